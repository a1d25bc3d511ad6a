# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""How many encoder passes it takes to order phantoms: pairs drawn one by one, or all pairs of a batch.

Every way starts from the same weights and learns with the same network, optimizer, loss and images. Passes are forward
passes of single images in training; the learning rate is the best of the same few for every way.

    python benchmarks/pairs.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data.utils import list_data_collate
from page import opening, publish, spread
from torch import Tensor
from torch.utils.data import DataLoader

from monai_semise.data import GradeBalancedBatchSampler, PairDataset, draw_preference_pairs, healthy_indices
from monai_semise.data.phantoms import N_GRADES, make_phantom
from monai_semise.engines import PrepareSeverityBatch, ViewInferer
from monai_semise.losses import SemiseLoss, cosine_distance, preference_loss
from monai_semise.metrics import ordinal_c_index
from monai_semise.networks import SemiseNet
from monai_semise.transforms import RandBatchAugment
from monai_semise.utils.heads import PREFERENCE, PROJECTION

Batch = dict[str, Any]

SCALE = 5.0
"""Steepness of the preference, as shipped."""
N_REFERENCES = 30
N_HELD_OUT = 150
FIRST_LOOK = 500
GOAL = 10
LOOK_RATIO = 1.25
"""Accuracy is measured after 500 passes, and then whenever there were so many times more."""


class Reached(NamedTuple):
    """What training needed until the target held at two looks in a row; infinite where it never did."""

    passes: float = math.inf
    processor: float = math.inf
    wall: float = math.inf
    pairs: float = math.inf


@cache
def phantoms(n: int, size: int, section: int) -> Tensor:
    """Images (n, 1, size, size) of the grades 0 to 4 in turn, in [0, 1]."""
    drawn = (make_phantom(k % N_GRADES, size, np.random.default_rng((0, section, k)))[0] for k in range(n))
    return torch.stack([torch.from_numpy(image - image.min()) / np.ptp(image) for image in drawn])[:, None]


def drawn_pairs(items: list[Batch], n_pairs: int, seed: int) -> Iterator[Batch]:
    """Batches of pairs drawn beforehand, each with a healthy image of its own."""
    pairs = draw_preference_pairs(items, len(items) * 10, seed)
    dataset = PairDataset(items, pairs, healthy_indices(items), seed=seed)
    torch.manual_seed(seed)
    yield from DataLoader(dataset, n_pairs, shuffle=True, drop_last=True, collate_fn=list_data_collate)


def graded_batches(items: list[Batch], batch_size: int, seed: int) -> Iterator[Batch]:
    """Batches of images with all grades alike, as shipped; as many epochs as it takes."""
    images = torch.stack([item["image"] for item in items])
    grades = torch.tensor([item["severity"] for item in items])
    sampler = GradeBalancedBatchSampler(grades.tolist(), batch_size, seed=seed)
    while True:
        for chosen in sampler:
            yield {"image": images[chosen], "severity": grades[chosen], "index": torch.tensor(chosen)}
        sampler.set_epoch(sampler.epoch + 1)


def pair_loss(network: SemiseNet, batch: Batch, calls: int, released: bool = False) -> tuple[Tensor, int, int]:
    """The earlier code's step: both images and the healthy one of each pair are encoded, in one call or in three."""
    role = np.array(batch["role"])
    sides = [batch["image"][role == side] for side in ("a", "b", "reference")]
    a, b, healthy = map(network, sides) if calls == 3 else network(torch.cat(sides)).chunk(3)
    of_a, of_b = (cosine_distance(side[:, PREFERENCE], healthy[:, PROJECTION]) for side in (a, b))
    preference = batch["preference"][role == "a"]
    if released:
        return released_loss(of_a, of_b, preference), len(role), 1
    return preference_loss(of_a, of_b, preference, scale=SCALE), len(role), len(a)


def released_loss(of_a: Tensor, of_b: Tensor, preference: Tensor) -> Tensor:
    """As released for ConPrO, whose ``NLLLoss`` of one axis takes the label of the first pair for the place of the only
    one that counts."""
    return -(of_b - of_a).sigmoid()[int(preference[0] > 0.5)]


def batch_loss(network: SemiseNet, batch: Batch, alpha: float) -> tuple[Tensor, int, int]:
    """Our step: all pairs of the images of a batch, with NT-Xent on a second view unless alpha is 0."""
    prepare = PrepareSeverityBatch(
        ["original", "augmented"] if alpha else ["original"], RandBatchAugment(flip_axes=(0, 1))
    )
    views, target = prepare(batch)
    grades = target["severity"][target["severity"] > 0]
    loss = SemiseLoss(alpha, scale=SCALE)(ViewInferer()(views, network), target)
    return loss, views.shape[0] * views.shape[1], int((grades[:, None] > grades).sum())


WAYS: dict[str, tuple[Callable, int, Callable[[SemiseNet, Batch], tuple[Tensor, int, int]]]] = {
    "drawn pairs, three calls": (drawn_pairs, 16, lambda network, batch: pair_loss(network, batch, calls=3)),
    "drawn pairs, one call": (drawn_pairs, 16, lambda network, batch: pair_loss(network, batch, calls=1)),
    "drawn pairs, three calls, released loss": (
        drawn_pairs,
        16,
        lambda network, batch: pair_loss(network, batch, 3, True),
    ),
    "all pairs of 32 images": (graded_batches, 32, lambda network, batch: batch_loss(network, batch, alpha=0.0)),
    "all pairs of 32 images, and NT-Xent": (graded_batches, 32, lambda network, batch: batch_loss(network, batch, 0.5)),
}
"""Batches, their size in pairs or images, and the loss with the passes and pairs that it took."""


def accuracy(network: SemiseNet, items: list[Batch], held_out: Tensor) -> float:
    """Accuracy over all pairs of held-out images that are anomalous and differ in grade."""
    healthy = torch.stack([items[n]["image"] for n in healthy_indices(items)[:N_REFERENCES]])
    grades = torch.arange(len(held_out)) % N_GRADES
    network.eval()
    with torch.inference_mode():
        network.set_healthy_reference(network(healthy)[:, PROJECTION].mean(dim=0))
        score = network.score(held_out)
    network.train()
    return float(ordinal_c_index(score[grades > 0], grades[grades > 0]))


def data(arguments: argparse.Namespace) -> tuple[list[Batch], Tensor]:
    """Training items and held-out images."""
    images = phantoms(arguments.images, arguments.size, section=0)
    items = [{"image": image, "severity": n % N_GRADES, "index": n} for n, image in enumerate(images)]
    return items, phantoms(N_HELD_OUT, arguments.size, section=1)


def train(way: str, learning_rate: float, seed: int, arguments: argparse.Namespace) -> Reached:
    """Train until the target holds."""
    items, held_out = data(arguments)
    batches, size, step = WAYS[way]
    torch.manual_seed(seed)
    network = SemiseNet("resnet10", in_channels=1).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=1e-4)
    spent, look, candidate = Reached(0, 0, 0, 0), FIRST_LOOK, Reached()
    processor, wall = time.process_time(), time.perf_counter()
    for batch in batches(items, size, seed):
        loss, passes, pairs = step(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        now = (passes, time.process_time() - processor, time.perf_counter() - wall, pairs)
        spent = Reached(*(total + new for total, new in zip(spent, now)))
        if spent.passes >= look:
            look *= LOOK_RATIO
            reached = accuracy(network, items, held_out) >= arguments.target
            if reached and candidate.passes < math.inf:
                return candidate
            candidate = spent if reached else Reached()
            if spent.passes > arguments.most_passes:
                break
        processor, wall = time.process_time(), time.perf_counter()
    return Reached()


def report(found: dict[str, dict[float, list[Reached]]], arguments: argparse.Namespace) -> str:
    """The section, in Markdown."""
    best = {way: min(rates, key=lambda rate: typical(rates[rate])) for way, rates in found.items()}
    lines = [
        *opening(
            "Pairs",
            f"Encoder passes in training until an accuracy of {arguments.target} over all pairs of held-out phantoms, "
            f"held at two looks in a row, a look whenever there were {LOOK_RATIO} times as many passes. "
            f"{arguments.images:,} training images of {arguments.size} px, ResNet-10 from random weights, SGD with "
            f"momentum 0.9, preference loss of scale {SCALE:g}. Drawn pairs are the earlier code's way, with the loss "
            "that it meant: both images and a healthy one are encoded for each pair, 16 pairs a batch, each of the "
            "three in a call of its own or all in one; then with the loss as it was released, in which one pair of a "
            "batch counts. The last way is phase 2 as shipped, with its two views. "
            f"Median (smallest to largest) over {arguments.seeds} seeds at the best learning rate of "
            f"{', '.join(map(str, arguments.rates))}, chosen for each way by these medians; inf where "
            f"{arguments.most_passes:,} passes were not enough.",
        ),
        "| way | learning rate | encoder passes | pairs compared | s of processor time | s |",
        "|---|---|---|---|---|---|",
    ]
    for way, rates in found.items():
        columns = zip(*rates[best[way]])
        passes, processor, wall, pairs = (spread(list(values), 0) for values in columns)
        lines.append(f"| {way} | {best[way]:g} | {passes} | {pairs} | {processor} | {wall} |")
    lines += ["", "| way | " + " | ".join(f"median passes at {rate:g}" for rate in arguments.rates) + " |"]
    lines += ["|---" * (1 + len(arguments.rates)) + "|"]
    for way, rates in found.items():
        lines.append(f"| {way} | {' | '.join(f'{typical(rates[rate]):.0f}' for rate in arguments.rates)} |")
    lines.append("")
    for way, rival in product([way for way in WAYS if "drawn" not in way], [way for way in WAYS if "drawn" in way]):
        ours, theirs = found[way][best[way]], found[rival][best[rival]]
        ratio = min(typical(theirs), arguments.most_passes) / typical(ours)
        by_seed = [min(their.passes, arguments.most_passes) / our.passes for our, their in zip(ours, theirs)]
        given_up = " (at least: the rival was given up)" if any(math.isinf(their.passes) for their in theirs) else ""
        verdict = "met" if ratio >= GOAL else "missed"
        lines.append(
            f"- {way[0].upper()}{way[1:]}: {ratio:.1f} times fewer passes than {rival}, by the medians; "
            f"{min(by_seed):.1f} to {max(by_seed):.1f} seed by seed{given_up}. Goal, {GOAL} times fewer: {verdict}."
        )
    return "\n".join([*lines, ""])


def typical(reached: list[Reached]) -> float:
    """Median passes."""
    return statistics.median(one.passes for one in reached)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=float, default=0.9, help="pair accuracy to reach")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[0.02, 0.05, 0.1], help="learning rates to choose from"
    )
    parser.add_argument("--images", type=int, default=2000, help="training images")
    parser.add_argument("--size", type=int, default=32, help="pixels along each axis")
    parser.add_argument("--most_passes", type=int, default=6000, help="after which a run is given up")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on one thread")
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data(arguments)  # made once, before the processes start
    runs = list(product(WAYS, arguments.rates, range(arguments.seeds)))
    found: dict[str, dict[float, list[Reached]]] = {way: {rate: [] for rate in arguments.rates} for way in WAYS}
    with get_context("fork").Pool(arguments.jobs) as pool:
        results = [pool.apply_async(train, (*run, arguments)) for run in runs]
        for (way, rate, seed), result in zip(runs, results):
            found[way][rate].append(result.get())
            print(way, rate, seed, found[way][rate][-1], file=sys.stderr, flush=True)
    publish(report(found, arguments), arguments.out)


if __name__ == "__main__":
    main()
