# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_semise.comparison.answer import Answer
from monai_semise.data import PreferencePair
from monai_semise.utils import write_whole

__all__ = ["export_pairs", "pairs_text", "preference_pairs"]

WINNER = {"left": "a", "right": "b", "equal": "equal", "cannot_tell": "skip"}


def export_pairs(path: str | os.PathLike, answers: Sequence[Answer], images: Mapping[str, str]) -> int:
    """Write answers as the ``pairs.csv`` that training reads, whole or not at all.

    Args:
        path: the CSV file; images inside its folder are written relative to it.
        answers: those on other images are left out; "cannot tell" becomes the winner ``skip``, which training skips.
        images: file of each image, by id.

    Returns:
        number of rows.
    """
    kept = _of(answers, images)
    with write_whole(path) as stream:
        stream.write(pairs_text(kept, images, Path(path).absolute().parent))
    return len(kept)


def pairs_text(answers: Sequence[Answer], images: Mapping[str, str], folder: Path | None = None) -> str:
    """The content of a ``pairs.csv``.

    Args:
        answers: those on other images are left out.
        images: file of each image, by id.
        folder: that images are written relative to, where they lie inside.

    Example:
        >>> answer = Answer("7f3a", "1", "2", "left", "dr x", "2026-01-31T09:00:00Z", 2.5)
        >>> print(pairs_text([answer], {"1": "/data/a.png", "2": "/data/b.png"}, Path("/data")), end="")
        image_a,image_b,winner,rater,weight,time,seconds
        a.png,b.png,a,dr x,1,2026-01-31T09:00:00Z,2.5
    """

    def portable(image: str) -> str:
        file = Path(images[image]).absolute()
        return file.relative_to(folder).as_posix() if folder is not None and file.is_relative_to(folder) else str(file)

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image_a", "image_b", "winner", "rater", "weight", "time", "seconds"))
    for answer in _of(answers, images):
        pair = (portable(answer.image_a), portable(answer.image_b))
        writer.writerow((*pair, WINNER[answer.outcome], answer.rater, 1, answer.time, answer.seconds))
    return text.getvalue()


def preference_pairs(answers: Sequence[Answer], number: Mapping[str, int]) -> list[PreferencePair]:
    """Answers as pairs of numbers; those that say nothing are left out.

    Args:
        answers: on images that have a number.
        number: of each image.

    Example:
        >>> answer = Answer("7f3a", "a", "b", "equal", "dr x", "2026-01-31T09:00:00Z", 2.5)
        >>> preference_pairs([answer], {"a": 0, "b": 1})
        [PreferencePair(a=0, b=1, preference=0.5, weight=1.0)]
    """
    return [
        PreferencePair(number[answer.image_a], number[answer.image_b], answer.preference)
        for answer in answers
        if answer.preference is not None
    ]


def _of(answers: Sequence[Answer], images: Mapping[str, str]) -> list[Answer]:
    return [answer for answer in answers if answer.image_a in images and answer.image_b in images]
