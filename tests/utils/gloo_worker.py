# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What every rank of a two-process job computes, written so that one process can compute it on the whole batch too.

Run as ``python -m tests.utils.gloo_worker FOLDER RANK``: the results of the rank go to ``FOLDER/RANK.pt``.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from monai_semise.comparison import ImpliedPreference
from monai_semise.data import PreferencePair
from monai_semise.engines import ViewInferer
from monai_semise.losses import (
    ComparisonLoss,
    CrossCorrelationLoss,
    HealthyAnomalyLoss,
    MarginContrastiveLoss,
    NTXentLoss,
    PreferenceLoss,
    RankNContrastLoss,
    SemiseLoss,
    SupervisedContrastiveLoss,
    healthy_reference,
)
from monai_semise.methods.labelled_rows_loss import LabelledRowsLoss
from monai_semise.methods.view_pair_loss import ViewPairLoss
from monai_semise.metrics import (
    EmbeddingCollapse,
    GradeAccuracy,
    GradeMeanAbsoluteError,
    KendallTau,
    MacroAUC,
    MacroF1Score,
    MacroMeanAbsoluteError,
    MacroRecall,
    MeanAbsoluteExponentialError,
    OneOffAccuracy,
    PairAccuracy,
    QuadraticWeightedKappa,
    RankedProbabilityScore,
    SpearmanCorrelation,
)
from monai_semise.networks import SemiseNet
from monai_semise.utils import gather_with_gradient, is_main_process, rank, world_size
from monai_semise.utils.heads import CONTRAST, PREFERENCE, PROJECTION

SIZES = (5, 3)  # images of each rank
WHOLE = (0, sum(SIZES))
ROWS_AN_IMAGE = 150  # where there are many
SEVERITY = torch.tensor([0, 1, 3, -1, 0, 3, 1, 2])  # the second rank has no healthy image
GRADE_METRICS = (
    GradeAccuracy,
    GradeMeanAbsoluteError,
    MacroF1Score,
    MacroMeanAbsoluteError,
    MacroRecall,
    MeanAbsoluteExponentialError,
    OneOffAccuracy,
    QuadraticWeightedKappa,
)
PAIRS = torch.tensor([[1, 2], [2, 4], [4, 1], [5, 7]])  # three of the first rank, one of the second
PREFERENCES = torch.tensor([0.0, 1.0, 0.3, 1.0])
WEIGHTS = torch.tensor([1.0, 0.5, 2.0, 3.0])


def share(of_rank):
    """First image of a rank and the one after its last."""
    start = sum(SIZES[:of_rank])
    return start, start + SIZES[of_rank]


def views(start, end):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, sum(SIZES), 1, 32, 32, generator=generator, dtype=torch.float64)[:, start:end]


def grades_of(start, end):
    return {"severity": SEVERITY[start:end]}


def pairs_of(start, end, weighted=True):
    """The explicit pairs between images of this share, their indices counted from its first image."""
    within = ((start <= PAIRS) & (end > PAIRS)).all(dim=1)
    target = {**grades_of(start, end), "pairs": PAIRS[within] - start, "preference": PREFERENCES[within]}
    return {**target, "weight": WEIGHTS[within]} if weighted else target


def unweighted_pairs_of(start, end):
    return pairs_of(start, end, weighted=False)


def pairs_of_the_first_rank(start, end):
    target = pairs_of(start, end)
    kept = target["pairs"][:, 0] + start < SIZES[0]
    return {**target, **{name: target[name][kept] for name in ("pairs", "preference", "weight")}}


def pairs_of_shared_images(start, end):
    """Image 7, of the second rank, is image 2 of the first once more, and image 6 is image 0, a healthy one."""
    severity = torch.tensor([0, 1, 3, -1, 0, 3, 0, 3])
    return {
        **pairs_of(start, end),
        "severity": severity[start:end],
        "index": torch.arange(8)[[0, 1, 2, 3, 4, 5, 0, 2]][start:end],
    }


class LossOfSharedImages(SemiseLoss):
    """In one process, whose batch would not hold an image twice, the second copies enter nothing but their pairs."""

    def forward(self, input, target):
        if world_size() > 1:
            return super().forward(input, target)
        seen = range(6)
        reference = healthy_reference(input[0, seen][:, PROJECTION], target["severity"][seen])
        pairs = (target["preference"], reference, target["pairs"], target["weight"])
        nt_xent = self.nt_xent(*input[:, seen][:, :, CONTRAST])
        preference = self.preference(input[0, :, PREFERENCE], *pairs)
        self.terms = {"nt_xent": nt_xent.detach(), "preference": preference.detach()}
        return 0.5 * nt_xent + 0.5 * preference


def no_pairs(start, end):
    return {**pairs_of(start, start), "severity": SEVERITY[start:end]}


def nothing_to_compare(start, end):
    return {"severity": SEVERITY[start:end].clamp_max(1)}


class ExplicitMarginLoss(MarginContrastiveLoss):
    """Takes what the other losses take: explicit pairs of projections, similar where the preference is not 1."""

    def forward(self, input, target):
        a, b = input[0, target["pairs"], PROJECTION].unbind(1)
        return super().forward(a, target["preference"] < 1, b)


class PreferenceToAFixedPoint(PreferenceLoss):
    def forward(self, input, target):
        return super().forward(input[0, :, PREFERENCE], target["severity"], torch.ones(input.shape[-1]).to(input))


class ComparisonFromAFixedPoint(ComparisonLoss):
    def forward(self, input, target):
        return super().forward(torch.cat([torch.ones_like(input[:, :, :1]), input[:, :, 1:]], dim=2), target)


def numbers_of(start, end):
    return {"index": torch.arange(start, end)}


COMPARED = [PreferencePair(int(a), int(b), float(worse)) for (a, b), worse in zip(PAIRS, PREFERENCES)]

# what to compute, and on which target
LOSSES = {
    "phase 1": (HealthyAnomalyLoss(), grades_of),
    "phase 1, sum of all pairs alike": (HealthyAnomalyLoss(balance="none", reduction="sum"), grades_of),
    "margin loss of explicit pairs": (ExplicitMarginLoss(), pairs_of),
    "preference": (PreferenceToAFixedPoint(include_healthy=True, ties="half"), grades_of),
    "phase 2": (SemiseLoss(0.5, temperature=0.1), grades_of),
    "phase 2, sum": (SemiseLoss(0.5, reduction="sum", balance="none", detach_reference=True), grades_of),
    "phase 2, equal grades together": (SemiseLoss(0.5, grade_weight=0.7), grades_of),
    "phase 2, thresholds between grades": (SemiseLoss(0.5, ordinal_weight=0.7, n_grades=4), grades_of),
    "phase 2, NT-Xent alone": (SemiseLoss(1.0), grades_of),
    "phase 2, preference alone": (SemiseLoss(0.0, scale=4.0), grades_of),
    "phase 2 without a comparable pair": (SemiseLoss(0.0), nothing_to_compare),
    "explicit pairs": (SemiseLoss(0.5), unweighted_pairs_of),
    "weighted explicit pairs": (SemiseLoss(0.5), pairs_of),
    "explicit pairs on one rank": (SemiseLoss(0.5), pairs_of_the_first_rank),
    "explicit pairs of images that both ranks have": (LossOfSharedImages(0.5), pairs_of_shared_images),
    "no explicit pair": (SemiseLoss(0.0), no_pairs),
    "comparisons": (ComparisonFromAFixedPoint(ImpliedPreference(COMPARED), grade_weight=0.5), numbers_of),
    "supervised contrastive": (LabelledRowsLoss(SupervisedContrastiveLoss()), grades_of),
    "rank-n-contrast": (LabelledRowsLoss(RankNContrastLoss()), grades_of),
    "barlow twins": (ViewPairLoss(CrossCorrelationLoss()), grades_of),
}


def network():
    """With separate heads, so that every kind of head is there; batch norm in evaluation, as it sees local images."""
    torch.manual_seed(0)
    return SemiseNet("resnet10", embedding_dim=6, separate_heads=True, n_grades=4).double().eval()


def loss_and_gradients(name, model, bounds):
    """The loss of a share of the batch and, of every parameter's gradient, the norm and up to 500 values."""
    loss, target = LOSSES[name]
    model.zero_grad()
    value = loss(ViewInferer()(views(*bounds), model), target(*bounds))
    value.backward()
    gradients = [parameter.grad.flatten() for parameter in model.parameters()]
    values = [torch.cat([g.norm()[None], g[:: max(1, len(g) // 500)]]) for g in gradients]
    return {
        "loss": value.detach(),
        "terms": loss.terms if hasattr(loss, "terms") else {},
        "gradients": torch.cat(values),
    }


def metrics(bounds):
    """Metrics over the share, from batches of two images."""
    share_of_rows = list(range(*bounds))
    generator = torch.Generator().manual_seed(1)
    score = torch.rand(sum(SIZES), generator=generator)
    embedding = torch.randn(sum(SIZES), 4, generator=generator)
    truth = torch.stack([SEVERITY, torch.arange(sum(SIZES))], dim=1)
    given_pairs = [(2, 5, 1.0, 1.0), (7, 0, 1.0, 1.0), (1, 6, 0.0, 1.0)]  # across the ranks
    predicted = SEVERITY.roll(1).clamp_min(0)
    of_first = [n for n in share_of_rows if n < SIZES[0]]
    cases = {
        "pair accuracy": (PairAccuracy(include_healthy=True), score, truth, share_of_rows),
        "accuracy of given pairs": (PairAccuracy(given_pairs), score, truth, share_of_rows),
        "kendall": (KendallTau(), score, truth, share_of_rows),
        "kendall, an image on every rank": (KendallTau(), score, truth, [0, *share_of_rows]),
        "kendall, none on the second rank": (KendallTau(), score, truth, of_first),
        "kendall, none on the first rank": (KendallTau(), score, truth, share_of_rows[len(of_first) :]),
        "spearman": (SpearmanCorrelation(), score, SEVERITY, share_of_rows),
        "macro auc": (MacroAUC(), embedding, SEVERITY, share_of_rows),
        "ranked probability score": (RankedProbabilityScore(), embedding.softmax(1), truth, share_of_rows),
        "collapse": (EmbeddingCollapse(), embedding, truth, share_of_rows),
        "collapse, none on the second rank": (EmbeddingCollapse(), embedding, truth, of_first),
        **{metric.__name__: (metric(), predicted, SEVERITY, share_of_rows) for metric in GRADE_METRICS},
    }
    values = {}
    for name, (metric, y_pred, y, rows) in cases.items():
        for first in range(0, len(rows), 2):
            metric(y_pred[rows[first : first + 2]], y[rows[first : first + 2]])
        values[name] = metric.aggregate()
    try:
        KendallTau().aggregate()
    except ValueError:
        values["refused, none on any rank"] = torch.ones(())
    return values


def gathered(bounds):
    """What the gather makes of a share, whatever its type, layout and size, and the gradient of the share."""
    start, end = bounds
    numbers = torch.arange(2.0 * sum(SIZES), dtype=torch.float64).reshape(-1, 2)
    local = numbers[start:end].clone().requires_grad_()
    whole = gather_with_gradient(local)
    # two gathers whose sum hands one gradient tensor to both
    ((gather_with_gradient(3 * local) + gather_with_gradient(local)) * numbers).sum().backward()
    return {
        "whole": whole.detach(),
        "gradient": local.grad,
        "integers": gather_with_gradient(SEVERITY[start:end]),
        "transposed": gather_with_gradient(numbers.T.contiguous().T[start:end]),
        "one rank has none": gather_with_gradient(numbers[start:end] if start == 0 else numbers[:0]),
        "no rank has any": gather_with_gradient(numbers[:0]),
    }


def of_many_rows(bounds):
    """Losses of so many rows that the ranks share them out: value, gradient, and the work of this rank."""
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(sum(SIZES) * ROWS_AN_IMAGE, 2, 8, generator=generator, dtype=torch.float64)
    grades = torch.randint(-1, 4, (len(rows),), generator=generator)
    start, end = (bound * ROWS_AN_IMAGE for bound in bounds)
    results = {}
    for loss in (NTXentLoss(), SupervisedContrastiveLoss(), RankNContrastLoss()):
        local = rows[start:end].clone().requires_grad_()
        first, second = local.unbind(1)
        with FlopCounterMode(display=False) as work:
            value = loss(first, second if isinstance(loss, NTXentLoss) else grades[start:end])
            value.backward()
        results[type(loss).__name__] = {
            "value": value.detach(),
            "gradient": local.grad,
            "operations": work.get_total_flops(),
        }
    return results


def everything(model, bounds):
    return {
        "losses": {name: loss_and_gradients(name, model, bounds) for name in LOSSES},
        "metrics": metrics(bounds),
        "gathered": gathered(bounds),
        "many rows": of_many_rows(bounds),
        "identity": (rank(), world_size(), is_main_process()),
    }


def main(folder, of_rank):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=(folder / "rendezvous").as_uri(),
        rank=of_rank,
        world_size=len(SIZES),
        timeout=datetime.timedelta(seconds=60),
    )
    try:
        torch.save(everything(DistributedDataParallel(network()), share(of_rank)), folder / f"{of_rank}.pt")
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
