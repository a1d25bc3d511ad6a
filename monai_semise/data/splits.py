# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from monai_semise.utils import InputError

__all__ = ["check_labelled_share", "check_split_shares", "draw_labelled_groups", "draw_split"]

MAX_FOLDS = 20
REPEATS = 5
MANY_GROUPS = 300
"""Above it a single draw is close to the shares."""

Image = tuple[str, int]
"""Group and grade."""


def check_split_shares(shares: Mapping[str, float]) -> None:
    """Check shares of sections to draw.

    Raises:
        InputError: when they are not in [0, 1) or leave nothing for training.
    """
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise InputError(f"{name}: {share} is not a share in [0, 1)")
    if sum(shares.values()) >= 1:
        raise InputError(f"{' + '.join(shares)}: {' + '.join(map(str, shares.values()))} leave nothing for training")


def check_labelled_share(share: float) -> None:
    """Check the share of the training patients that keep their labels.

    Raises:
        InputError: when it is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"labelled: {share} is not a share in (0, 1]")


def draw_split(
    groups: Sequence[str],
    grades: Sequence[int],
    shares: Mapping[str, float],
    seed: int = 0,
    fixed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Draw sections for groups of images (patients), stratified by grade.

    Uses scikit-learn's ``StratifiedGroupKFold``: a section is made of as many folds as its share comes to; of several
    draws, the folds are taken in which each grade comes closest to the share. What is drawn is what a section lacks:
    where few patients join many that are ``fixed``, most of them go to training, until a section lacks half of a
    patient or more. A section with a share never stays empty unless training would, and training keeps at least half
    of what is drawn from when the shares allow for it.

    Args:
        groups: group of each image.
        grades: grade of each image, any integers.
        shares: share of the images of each section to draw, in this order; what is left is "training".
        seed: of the draw; the result depends on it and on the groups and grades, not on the order of the images.
        fixed: section of groups that stay where they are.

    Returns:
        section of each group.

    Raises:
        InputError: when the shares are not in [0, 1) or leave nothing for training.

    Example:
        >>> section = draw_split([str(n) for n in range(40)], [n % 2 for n in range(40)], {"test": 0.25})
        >>> sum(value == "test" for value in section.values())
        10
    """
    check_split_shares(shares)
    fixed = fixed or {}
    images = list(zip(groups, grades))
    section = {group: fixed.get(group, "training") for group, _ in images}
    rest = [image for image in images if image[0] not in fixed]
    has_training = any(section[group] == "training" for group in fixed.keys() & section.keys())
    most = max(1.0, 0.5 / (sum(shares.values()) or 1.0)) * len(rest)
    for name, share in shares.items():
        present = sum(section[group] == name for group, _ in images)
        wanted = min(share * len(images) - present, share * most)
        n_groups = len({group for group, _ in rest})
        if wanted <= 0 or n_groups < (1 if has_training else 2):
            continue
        if present and wanted * n_groups < 0.5 * len(rest):
            continue  # less than half of an average patient
        drawn = _draw_groups(rest, wanted / len(rest), f"{seed} {name}", take_all=has_training)
        section.update(dict.fromkeys(drawn, name))
        rest = [image for image in rest if image[0] not in drawn]
    return section


def draw_labelled_groups(
    groups: Sequence[str], grades: Sequence[int], share: float, seed: int = 0, masked: Collection[str] = ()
) -> set[str]:
    """Draw the groups (patients) that keep their labels in semi-supervised work, stratified by their worst grade.

    Draws with the same seed are nested: the groups of a share lie among those of every larger one. Every grade, also
    one that is nobody's worst, keeps at least one group, and so do masks.

    Args:
        groups: group of each image.
        grades: grade of each image.
        share: of the groups that keep their labels, in (0, 1].
        seed: of the draw.
        masked: groups that have masks.

    Raises:
        InputError: when ``share`` is not in (0, 1].

    Example:
        >>> groups, grades = [str(n) for n in range(100)], [n % 4 for n in range(100)]
        >>> ten, quarter = (draw_labelled_groups(groups, grades, share) for share in (0.1, 0.25))
        >>> len(ten), len(quarter), ten <= quarter
        (10, 25, True)
    """
    check_labelled_share(share)
    strata = _by_worst_grade(zip(groups, grades))
    places: list[tuple[float, bytes, str]] = []
    for same_grade in strata:
        ordered = sorted((_hash(f"{seed}", group), group) for group in same_grade)
        for rank, (draw, group) in enumerate(ordered):
            place = (rank + 0.5) / len(ordered) if rank else 0.0  # evenly in (0, 1), but the first of all grades ahead
            places.append((place, draw, group))
    ordered = [group for _, _, group in sorted(places)]
    kept = set(ordered[: max(len(strata), round(share * len(places)))])
    holders: dict[int, set[str]] = {}
    for group, grade in zip(groups, grades):
        holders.setdefault(grade, set()).add(group)
    missing = [same for same in (*holders.values(), set(masked)) if same and not same & kept]
    return kept | {next(group for group in ordered if group in same) for same in missing}


def _draw_groups(images: Sequence[Image], share: float, seed: str, take_all: bool) -> set[str]:
    """Groups, at least one, that hold about ``share`` of the images of every grade.

    Args:
        images: to draw from.
        share: above 0.
        seed: of the draw.
        take_all: whether all groups may be drawn; otherwise there must be at least two, and one is left.
    """
    names = sorted({group for group, _ in images})
    n_folds = min(MAX_FOLDS, len(names))
    if share < 1 / MAX_FOLDS and len(names) > MAX_FOLDS:
        part = _closest_folds(images, Fraction(1, MAX_FOLDS), seed)
        inside = [image for image in images if image[0] in part]
        return _draw_groups(inside, share * len(images) / len(inside), f"{seed} of these", take_all=True)
    fraction = max(Fraction(min(share, 1.0)).limit_denominator(n_folds), Fraction(1, n_folds))
    if fraction == 1 and not take_all:
        fraction = Fraction(n_folds - 1, n_folds)
    return set(names) if fraction == 1 else _closest_folds(images, fraction, seed)


def _closest_folds(images: Sequence[Image], fraction: Fraction, seed: str) -> set[str]:
    """Groups of ``fraction.numerator`` out of ``fraction.denominator`` folds in which the grades come closest to it."""
    names = sorted({group for group, _ in images})
    _, grades = np.unique([grade for _, grade in images], return_inverse=True)
    wanted = float(fraction) * np.bincount(grades)
    # scikit-learn refuses to work when every label is rarer than the folds
    labels = grades if np.bincount(grades).max() >= fraction.denominator else np.zeros_like(grades)
    closest: tuple[float, set[str]] = (np.inf, set())
    for repeat in range(REPEATS if len(names) <= MANY_GROUPS else 1):
        # with shuffle=True, older versions stratified other groups than they drew (scikit-learn issue 32478)
        order = sorted(names, key=lambda name: _hash(f"{seed} {repeat}", name))
        number = {name: n for n, name in enumerate(order)}
        codes = np.array([number[group] for group, _ in images])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class")  # rare grades: best of the draws
            split = list(StratifiedGroupKFold(fraction.denominator).split(codes, labels, codes))
        folds = [held_out for _, held_out in split]
        for first in range(len(folds)):
            drawn = np.concatenate([*folds[first:], *folds[:first]][: fraction.numerator])
            found = np.bincount(grades[drawn], minlength=len(wanted))
            distance = float(np.sum(np.abs(found - wanted) / np.maximum(1.0, wanted)))
            # scikit-learn leaves a fold empty once in a while (issue 34828), and others may hold nearly everything
            if 0 < len(drawn) < len(images) and distance < closest[0]:
                closest = distance, {order[n] for n in np.unique(codes[drawn])}
    return closest[1]


def _by_worst_grade(images: Iterable[Image]) -> list[list[str]]:
    worst: dict[str, int] = {}
    for group, grade in images:
        worst[group] = max(grade, worst.get(group, grade))
    return [[group for group in worst if worst[group] == grade] for grade in set(worst.values())]


def _hash(seed: str, name: str) -> bytes:
    """What stands for a random number that depends on ``seed`` and ``name`` alone."""
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
