# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Two augmented views of a batch by RandBatchAugment, by MONAI's dictionary transforms and by kornia, on one recipe.

They alternate in each round; ratios are taken within a round. kornia (``pip install kornia``) is left out where it is
not installed.

    python benchmarks/augmentation.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from monai.data import DataLoader, Dataset
from monai.transforms import (
    Compose,
    EnsureTyped,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleCropd,
    RandScaleIntensityFixedMeand,
    RandShiftIntensityd,
    Resized,
)
from monai.utils import optional_import
from page import chip, opening, publish, spread
from torch import Tensor

from monai_semise.transforms import RandBatchAugment

kornia, has_kornia = optional_import("kornia.augmentation")

OURS = "`RandBatchAugment`"
MONAI = "MONAI's dictionary transforms"
RECIPES = ("affine and intensities", "with crop and blur")
CROP, BLUR = (0.5, 1.0), (0.1, 2.0)
GOALS = {MONAI: 10.0, "kornia": 2.0}
Views = Callable[[Tensor], tuple[Tensor, Tensor]]


def twice(augment: Callable[[Tensor], Tensor]) -> Views:
    """Two views of a batch, on the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def views(images: Tensor) -> tuple[Tensor, Tensor]:
        images = images.to(device)
        return augment(images), augment(images)

    return views


def monai_transforms(size: int, more: bool) -> Compose:
    """The recipe in MONAI, for one image."""
    key = "image"
    crop = [
        RandScaleCropd(key, roi_scale=math.sqrt(CROP[0]), max_roi_scale=math.sqrt(CROP[1]), random_size=True),
        Resized(key, (size, size), mode="bilinear"),
    ]
    affine = [
        RandAffined(
            key,
            prob=1.0,
            rotate_range=math.radians(15),
            translate_range=0.05 * size,
            scale_range=0.1,
            mode="bilinear",
            padding_mode="reflection",
        ),
        RandFlipd(key, prob=0.5, spatial_axis=0),
        RandFlipd(key, prob=0.5, spatial_axis=1),
    ]
    blur = [RandGaussianSmoothd(key, sigma_x=BLUR, sigma_y=BLUR, prob=1.0)]
    intensities = [
        RandScaleIntensityFixedMeand(key, factors=(-0.2, 0.25), fixed_mean=True, prob=1.0),
        RandShiftIntensityd(key, offsets=0.1, prob=1.0),
        RandAdjustContrastd(key, gamma=(0.8, 1.25), prob=1.0),
        RandGaussianNoised(key, std=0.03, prob=1.0),
        EnsureTyped(key, track_meta=False),
    ]
    return Compose([*crop, *affine, *blur, *intensities] if more else [*affine, *intensities])


def both(transforms: Compose, item: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Two views of one image."""
    return transforms(item)["image"], transforms(item)["image"]


def monai_views(transforms: Compose, num_workers: int) -> Views:
    """Two views of a batch as MONAI's loader makes them."""

    def views(images: Tensor) -> tuple[Tensor, Tensor]:
        items = Dataset([{"image": image} for image in images], functools.partial(both, transforms))
        ((first, second),) = DataLoader(items, batch_size=len(images), num_workers=num_workers)
        return first, second

    return views


def kornia_transforms(size: int, more: bool) -> Callable[[Tensor], Tensor]:
    """The recipe in kornia, for a batch."""
    affine = [
        kornia.RandomAffine(15.0, (0.05, 0.05), (0.9, 1.1), padding_mode="reflection", p=1.0),
        kornia.RandomVerticalFlip(p=0.5),
        kornia.RandomHorizontalFlip(p=0.5),
    ]
    crop = [kornia.RandomResizedCrop((size, size), scale=CROP, p=1.0)]
    blur = [kornia.RandomGaussianBlur((17, 17), BLUR, p=1.0)]
    intensities = [
        kornia.RandomContrast((0.8, 1.25), p=1.0),
        kornia.RandomBrightness((0.9, 1.1), p=1.0),
        kornia.RandomGamma((0.8, 1.25), p=1.0),
        kornia.RandomGaussianNoise(std=0.03, p=1.0),
    ]
    steps = [*crop, *affine, *blur, *intensities] if more else [*affine, *intensities]
    return kornia.AugmentationSequential(*steps, data_keys=["input"])


def contenders(size: int, more: bool, num_workers: int) -> dict[str, Views]:
    """What makes two views of a batch, by name."""
    found = {
        OURS: twice(RandBatchAugment(crop=CROP, blur=BLUR) if more else RandBatchAugment()),
        MONAI: monai_views(monai_transforms(size, more), 0),
        f"{MONAI}, {num_workers} processes": monai_views(monai_transforms(size, more), num_workers),
    }
    return {**found, "kornia": twice(kornia_transforms(size, more))} if has_kornia else found


def seconds(views: Views, images: Tensor) -> tuple[float, float]:
    """Wall time and processor time, that of loader processes included."""
    before, start = sum(os.times()[:4]), time.perf_counter()
    made = views(images)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    wall = time.perf_counter() - start
    if [view.shape for view in made] != [images.shape] * 2:
        raise ValueError(f"expected two views of shape {tuple(images.shape)}, found {[view.shape for view in made]}")
    return wall, sum(os.times()[:4]) - before


def report(arguments: argparse.Namespace) -> str:
    """The section, in Markdown."""
    shape = f"batch {arguments.batch_size}, {arguments.size} px"
    lines = [
        *opening(
            "Augmentation",
            f"Two augmented views, {shape}, float32, threads: {arguments.threads}; median (smallest to largest) over "
            f"{arguments.rounds} rounds. Ratios are to ours in the same round, above 1 where ours is faster. "
            "Processor time is that of all threads and loader processes and suffers less from other work on the "
            "machine. The first recipe: rotation, zoom, shift, flips along both axes, contrast, brightness, gamma "
            f"and noise of the default ranges; the second, also a crop of {CROP[0]:g} to {CROP[1]:g} of the area and "
            f"a blur of {BLUR[0]:g} to {BLUR[1]:g} px.",
            kornia_version(),
            chip(),
        ),
        "| recipe | channels | views by | seconds | ratio | processor seconds | ratio of processor time |",
        "|---|---|---|---|---|---|---|",
    ]
    smallest = dict.fromkeys(GOALS, math.inf)
    for recipe in RECIPES:
        for channels in arguments.channels:
            found = measure(recipe, channels, arguments)
            ours = found[OURS]
            for name, theirs in found.items():
                cells = []
                for part in (0, 1):
                    cells.append(spread([one[part] for one in theirs], 2))
                    ratios = [one[part] / own[part] for one, own in zip(theirs, ours)]
                    cells.append(spread(ratios, 1))
                    if name in GOALS and recipe == RECIPES[0]:
                        smallest[name] = min(smallest[name], statistics.median(ratios))
                lines.append(f"| {recipe} | {channels} | {name} | {' | '.join(cells)} |")
    goals = [f"{goal:g} times the speed of {name}: {verdict(smallest[name], goal)}" for name, goal in GOALS.items()]
    return "\n".join([*lines, "", f"Goals, on the first recipe: {'; '.join(goals)}.", ""])


def measure(recipe: str, channels: int, arguments: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor time of each contender, round by round, after one on a few images."""
    torch.manual_seed(0)
    images = torch.rand(arguments.batch_size, channels, arguments.size, arguments.size)
    makers = contenders(arguments.size, recipe == RECIPES[1], arguments.num_workers)
    for views in makers.values():
        seconds(views, images[:4])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
    for _ in range(arguments.rounds):
        for name, views in makers.items():
            found[name].append(seconds(views, images))
    print(recipe, channels, found, file=sys.stderr, flush=True)
    return found


def verdict(ratio: float, goal: float) -> str:
    """Whether the smallest median ratio reaches a goal."""
    if math.isinf(ratio):
        return "not measured"
    return f"{'met' if ratio >= goal else 'missed'} (smallest median {ratio:.1f})"


def kornia_version() -> str:
    """For the sentence about the machine."""
    return f"kornia {optional_import('kornia')[0].__version__}" if has_kornia else "kornia not installed"


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--num_workers", type=int, default=2, help="loader processes of MONAI's second row")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--size", type=int, default=224, help="pixels along each axis")
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    publish(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
