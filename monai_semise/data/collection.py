# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai.utils import StrEnum

__all__ = ["Collection", "Problem", "ProblemKind", "Record"]


class ProblemKind(StrEnum):
    """What can be wrong with an image of a data set; the values are the words a person reads."""

    MISSING = "missing file"
    UNREADABLE = "unreadable file"
    GRADE = "grade outside the scale"
    DUPLICATE = "duplicate image"
    CONFLICT = "duplicate image with another grade"
    SPLIT = "patient in two splits"
    BLACK = "black image"
    MASK_SIZE = "mask of another size"
    MASK_OVERLAP = "mask without overlap"
    NAME_CASE = "file names that differ only in case"


@dataclass(frozen=True)
class Problem:
    """One image that is left out of the datalist, and why.

    Args:
        kind: what is wrong.
        image: path of the image.
        detail: what was found, to be read after the path.
    """

    kind: ProblemKind
    image: Path
    detail: str


@dataclass(frozen=True)
class Record:
    """One image of a data set as it lies on disk.

    Args:
        image: path of the file, or of the folder of a DICOM series.
        severity: grade, 0 = healthy; None = ungraded.
        group: patient, study or lesion, whose images stay in one split; None = nothing is known, the image stands
            alone.
        split: ``"training"``, ``"validation"`` or ``"test"`` where the data set publishes it; None = to be drawn.
        masks: mask file of each structure, None where the structure is absent; None as a whole = not annotated.
    """

    image: Path
    severity: int | None = None
    group: str | None = None
    split: str | None = None
    masks: Mapping[str, Path | None] | None = None


@dataclass
class Collection:
    """What a source reads: the images of a data set, in order, and what it found wrong with some of them.

    Args:
        name: of the data set.
        grades: names of the grades, the mildest first; position = severity.
        records: the usable images.
        structures: names of what the masks outline, in the order of the mask channels.
        problems: images that cannot be used.
        notes: what a user of the data set should know, such as that it has no patient ids.
        private_groups: whether the groups are identifiers from file headers, which must not be written.
    """

    name: str
    grades: Sequence[str]
    records: list[Record] = field(default_factory=list)
    structures: Sequence[str] = ()
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    private_groups: bool = False

    def skip(self, kind: ProblemKind, image: Path, detail: str) -> None:
        """Note that ``image`` is left out."""
        self.problems.append(Problem(kind, image, detail))
