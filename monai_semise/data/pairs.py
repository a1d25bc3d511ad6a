# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import difflib
import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monai.utils import look_up_option

from monai_semise.utils import InputError, write_whole

__all__ = [
    "PreferencePair",
    "draw_preference_pairs",
    "draw_validation_pairs",
    "read_pairs",
    "read_section_pairs",
    "write_pairs",
]

COLUMNS = ("image_a", "image_b", "winner")
OPTIONAL_COLUMNS = ("rater", "weight")
TRAINED_TOGETHER = {"unlabelled": "training"}
PREFERENCE = {"a": 1.0, "b": 0.0, "equal": 0.5}
TIE_PREFERENCE = {"half": 0.5, "zero": 0.0}


class PreferencePair(NamedTuple):
    """Two images and which of them is worse."""

    a: int
    """``index`` of the first image's item."""
    b: int
    """``index`` of the second image's item."""
    preference: float
    """Probability that a is the worse image: 1 a, 0 b, 0.5 equal."""
    weight: float = 1.0
    """Weight of the pair in the loss."""


def draw_preference_pairs(
    items: Sequence[Mapping[str, Any]],
    n_pairs: int,
    seed: int = 0,
    ties: str = "skip",
    include_healthy: bool = False,
) -> list[PreferencePair]:
    """Draw pairs of graded images as the paper does: a grade uniformly, then an image of that grade uniformly.

    Args:
        items: items of a datalist section, each with ``index`` and ``severity`` (negative: ungraded, never drawn).
        n_pairs: number of pairs; the paper draws 10^5 for training and 10^3 for evaluation.
        seed: seed of the draw; the same items and seed give the same pairs.
        ties: two images of equal grade are never paired (``"skip"``), or are paired with preference 0.5
            (``"half"``) or 0 (``"zero"``), as in :func:`monai_semise.losses.comparable_pairs`.
        include_healthy: whether healthy images are drawn too; the paper compares anomalous ones only.

    Returns:
        the pairs; an image is never paired with itself.

    Raises:
        InputError: when fewer than two grades can be compared.

    Example:
        >>> items = [{"index": i, "severity": s} for i, s in enumerate([0, 1, 2, 2])]
        >>> draw_preference_pairs(items, n_pairs=2, seed=1)[0]._fields
        ('a', 'b', 'preference', 'weight')
    """
    look_up_option(ties, ("skip", *TIE_PREFERENCE))
    by_grade: dict[int, list[int]] = {}
    for item in items:
        if item["severity"] >= (0 if include_healthy else 1):
            by_grade.setdefault(int(item["severity"]), []).append(int(item["index"]))
    grades = sorted(by_grade)
    if len(grades) < 2:
        raise InputError(
            f"cannot draw pairs: the {'graded' if include_healthy else 'anomalous'} images have "
            f"{'no grade' if not grades else f'severity {grades[0]} only'}, and a pair needs two grades; "
            + ("add images of another grade" if include_healthy else "set include_healthy to compare with healthy ones")
        )
    random = np.random.default_rng(seed)
    pairs: list[PreferencePair] = []
    while len(pairs) < n_pairs:
        grade_a, grade_b = (grades[n] for n in random.integers(len(grades), size=2))
        if grade_a == grade_b and ties == "skip":
            continue
        a, b = (by_grade[grade][random.integers(len(by_grade[grade]))] for grade in (grade_a, grade_b))
        if a == b:
            continue
        preference = TIE_PREFERENCE[ties] if grade_a == grade_b else float(grade_a > grade_b)
        pairs.append(PreferencePair(a, b, preference))
    return pairs


def draw_validation_pairs(
    items: Sequence[Mapping[str, Any]], n_pairs: int, seed: int = 0, include_healthy: bool = False
) -> list[PreferencePair]:
    """Draw the pairs by which a training is validated.

    As :func:`draw_preference_pairs`, but a method that compares no healthy images is still validated where the
    anomalous images have one grade: then healthy ones are drawn too.

    Args:
        items: of the validation section.
        n_pairs: number of pairs.
        seed: of the draw.
        include_healthy: whether healthy images are drawn whatever the grades.

    Raises:
        InputError: when fewer than two grades can be compared, healthy included.

    Warns:
        UserWarning: when healthy images are drawn for want of a second anomalous grade.

    Example:
        >>> items = [{"index": i, "severity": s} for i, s in enumerate([0, 0, 1])]
        >>> {(pair.a, pair.b) for pair in draw_validation_pairs(items, n_pairs=20, include_healthy=True)} <= {
        ...     (0, 2), (2, 0), (1, 2), (2, 1)
        ... }
        True
    """
    if not include_healthy and len({item["severity"] for item in items if item["severity"] > 0}) < 2:
        include_healthy = True
        warnings.warn("validation: fewer than two anomalous grades, so pairs with healthy images count too")
    try:
        return draw_preference_pairs(items, n_pairs, seed, include_healthy=include_healthy)
    except InputError as error:
        raise InputError(f"validation: {error}") from error


def read_pairs(path: str | os.PathLike, items: Sequence[Mapping[str, Any]]) -> list[PreferencePair]:
    """Read comparisons made by people: a CSV file with the columns ``image_a,image_b,winner``.

    ``winner`` names the more severe image: ``a``, ``b``, ``equal``, or the path as written in ``image_a`` or
    ``image_b``. Rows with the winner ``skip`` (could not tell) are left out, whatever their images. An
    optional column is ``weight`` (not negative, 1 when empty); others, such as ``rater`` and ``time``, are not read.

    Args:
        path: the CSV file; relative image paths start from its folder.
        items: datalist items that the images are looked up in, each with ``image`` and ``index``.

    Returns:
        the pairs in the order of the file.

    Raises:
        InputError: naming the row and the column.
    """
    path = Path(path)
    index = {os.path.realpath(item["image"]): int(item["index"]) for item in items}
    known: dict[str, int] = {}
    pairs = []
    for row_number, row in _read_rows(path):
        where = f"{path}, row {row_number}"
        winner = row["winner"].strip()
        if winner.lower() == "skip":
            continue
        for column in COLUMNS[:2]:
            if row[column] not in known:
                known[row[column]] = _look_up(row[column], f"{where}, {column}", path.parent, index)
        a, b = (known[row[column]] for column in COLUMNS[:2])
        if a == b:
            raise InputError(f"{where}: {row['image_a']!r} is compared with itself")
        preference = _preference(winner, row)
        if preference is None:
            raise InputError(f"{where}, winner: {winner!r} is none of a, b, equal, skip or one of the two images")
        pairs.append(PreferencePair(a, b, preference, _weight(row.get("weight"), f"{where}, weight")))
    if not pairs:
        raise InputError(f"{path}: no comparison in it; it needs at least one row with a winner")
    return pairs


def read_section_pairs(
    path: str | os.PathLike | None, datalist: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[PreferencePair]]:
    """Read comparisons as :func:`read_pairs` does, and give each section of a datalist its own.

    A pair with images of two sections belongs to neither, since training must not see validation and test images; a
    line in the log tells how many are left out.

    Args:
        path: the CSV file.
        datalist: sections as :func:`monai_semise.data.load_datalist` returns them.

    Returns:
        ``"training"`` (with the unlabelled images, whose ``index`` counts on), ``"validation"`` and ``"test"``: pairs
        of the ``index`` of each section.

    Raises:
        InputError: without a file, without a pair to train on, or naming the row and the column.
    """
    if path is None:
        raise InputError("pairs_file: none given; name the comparisons, such as --pairs_file pairs.csv")
    placed = [(TRAINED_TOGETHER.get(name, name), item) for name, section in datalist.items() for item in section]
    pairs: dict[str, list[PreferencePair]] = {"training": [], "validation": [], "test": []}
    mixed = 0
    for pair in read_pairs(path, [{"image": item["image"], "index": n} for n, (_, item) in enumerate(placed)]):
        (section, a), (other, b) = placed[pair.a], placed[pair.b]
        if section == other:
            pairs[section].append(pair._replace(a=int(a["index"]), b=int(b["index"])))
        else:
            mixed += 1
    if mixed:
        logging.getLogger("monai_semise").warning(f"{path}: left out {mixed} comparisons of images of two sections")
    if not pairs["training"]:
        raise InputError(f"{path}: no comparison of two training images; compare some, or move images to training")
    return pairs


def write_pairs(
    path: str | os.PathLike, pairs: Iterable[PreferencePair], items: Sequence[Mapping[str, Any]], rater: str = ""
) -> None:
    """Write pairs in the format that :func:`read_pairs` reads, whole or not at all.

    Args:
        path: the CSV file; images inside its folder are written relative to it.
        pairs: the pairs; a preference must be 0, 0.5 or 1.
        items: datalist items with ``image`` and ``index``.
        rater: who compared them.
    """
    folder = Path(path).absolute().parent
    image = {int(item["index"]): Path(item["image"]) for item in items}
    names = {value: key for key, value in PREFERENCE.items()}

    def portable(index: int) -> str:
        file = image[index]
        return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)

    with write_whole(path) as stream:
        writer = csv.writer(stream)
        writer.writerow((*COLUMNS, *OPTIONAL_COLUMNS))
        writer.writerows(
            (portable(pair.a), portable(pair.b), names[pair.preference], rater, pair.weight) for pair in pairs
        )


def _read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            header = reader.fieldnames or ()
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; the header must be {','.join(COLUMNS)}[,rater,weight]"
        )
    for number, row in rows:
        if any(row[column] is None for column in COLUMNS):
            raise InputError(f"{path}, row {number}: fewer values than the header has columns")
    return rows


def _look_up(name: str, where: str, folder: Path, index: Mapping[str, int]) -> int:
    known = index.get(os.path.realpath(folder / name)) if name and "\0" not in name else None
    if known is None:
        close = difflib.get_close_matches(Path(name).name, [Path(file).name for file in index], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"{where}: {name!r} is not an image of the datalist{hint}")
    return known


def _preference(winner: str, row: Mapping[str, str]) -> float | None:
    if winner == row["image_a"].strip():
        return 1.0
    if winner == row["image_b"].strip():
        return 0.0
    return PREFERENCE.get(winner.lower())


def _weight(text: str | None, where: str) -> float:
    if text is None or not text.strip():
        return 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = float("nan")
    if not 0 <= weight < float("inf"):
        raise InputError(f"{where}: {text!r} is not a number of at least 0")
    return weight
