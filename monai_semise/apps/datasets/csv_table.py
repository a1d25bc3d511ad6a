# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, _ArgumentGroup
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from monai_semise.apps.datasets.dicom_groups import group_by_patient
from monai_semise.apps.datasets.only_file import find_only_file
from monai_semise.apps.datasets.option_types import names
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.split_names import split_from_name
from monai_semise.apps.datasets.tables import read_table, table_rows, whole_number
from monai_semise.data.collection import Collection, ProblemKind, Record
from monai_semise.data.datalist import MAX_SEVERITY
from monai_semise.utils import InputError

__all__ = ["CsvTable"]

USUAL = {
    "image": ("image", "filename", "file", "path", "image_path"),
    "grade": ("severity", "grade", "label", "level", "diagnosis"),
    "group": (
        *("group", "patient", "patient_id", "subject", "subject_id", "participant", "participant_id", "mrn", "case_id"),
        *("study", "study_id", "study_instance_uid"),
    ),
    "split": ("split", "set"),
    "mask": ("mask",),
}
"""Column names that are taken without an option, the first one found, however they are spaced: ``PatientID``, too."""
ABSENT = "absent"
SHOWN = 8

Grading = tuple[Sequence[str], Callable[[str], int | None]]


class CsvTable(Source):
    """Any table (CSV) with one image a row.

    Licence: of the images themselves.

    Layout: a CSV file with a header, as the root or alone in it. Columns are taken by their usual names, upper or lower
    case and however spaced (image: ``image``, ``filename``, ``file``, ``path``, ``image_path``; grade: ``severity``,
    ``grade``, ``label``, ``level``, ``diagnosis``; group: ``group``, ``patient``, ``patient_id``, ``subject``,
    ``subject_id``, ``participant``, ``participant_id``, ``mrn``, ``case_id``, ``study``, ``study_id``,
    ``study_instance_uid``; split: ``split``, ``set``; mask: ``mask``), or named by options. Image and mask files are
    given from the folder of the table, or absolute; an image may be the folder of a DICOM series.

    Grade order: a column of whole numbers is taken as it stands, 0 = healthy; with a column ``severity``, a column
    ``grade`` gives the names. Names of grades need ``--grades``, in order. An empty cell is an ungraded image.

    Split: ``train``, ``val`` and ``test`` in the split column; without one, all is drawn.

    Group: the group column; an empty cell is a patient of its own. Without the column, DICOM images are grouped by the
    PatientID of their header, which is written nowhere.

    Masks: one column for each structure. In a row with a mask, an empty cell says that the structure is absent; a row
    without any mask is not annotated. ``absent`` in a cell says it on its own.

    Args:
        image_column: column of the image files.
        grade_column: column of the grades.
        group_column: column of the patients, studies or whatever must not be split.
        split_column: column of the published split.
        mask_columns: columns of the mask files; their names become the structures.
        grades: names of the grades, the mildest first.
        separator: between cells, one character.
    """

    name = "csv"
    title = "any table with one image a row"

    def __init__(
        self,
        *,
        image_column: str | None = None,
        grade_column: str | None = None,
        group_column: str | None = None,
        split_column: str | None = None,
        mask_columns: Sequence[str] | None = None,
        grades: Sequence[str] | None = None,
        separator: str = ",",
    ) -> None:
        self.columns = {"image": image_column, "grade": grade_column, "group": group_column, "split": split_column}
        self.mask_columns = mask_columns
        self.names = tuple(grades or ())
        self.separator = separator

    @classmethod
    def add_arguments(cls, parser: ArgumentParser | _ArgumentGroup) -> None:
        for role, what in (
            ("image", "image files"),
            ("grade", "grades"),
            ("group", "patients, which are never split"),
            ("split", "published split"),
        ):
            usual = ", ".join(USUAL[role])
            parser.add_argument(f"--{role}-column", metavar="NAME", help=f"column of the {what} (default: {usual})")
        parser.add_argument(
            "--mask-columns",
            type=names,
            metavar="NAME,NAME,...",
            help="columns of the mask files, one for each structure (default: mask)",
        )
        parser.add_argument(
            "--grades", type=names, metavar="NAME,NAME,...", help="names of the grades in order, the mildest first"
        )
        parser.add_argument("--separator", default=",", metavar="CHARACTER", help="between cells (default: a comma)")

    def read(self, root: Path, work: Path) -> Collection:
        path = find_only_file(root, ".csv")
        masks = list(self.mask_columns or ())
        table = read_table(path, [column for column in (*self.columns.values(), *masks) if column], self.separator)
        columns = {role: given or _usual_column(table, role) for role, given in self.columns.items()}
        if not masks:
            masks = [column for column in [_usual_column(table, "mask")] if column]
        image_column = columns["image"]
        if image_column is None:
            raise InputError(_no_column(path, table, "image"))
        if columns["grade"] is None and not masks:
            raise InputError(_no_column(path, table, "grade"))
        grades, severity_of = self._grading(path, table, columns["grade"])
        collection = Collection(path.absolute().parent.name, grades, structures=tuple(masks))
        used = {**columns, "mask": ", ".join(masks) or None}
        collection.notes.append(
            "columns taken: " + ", ".join(f"{role} from {column!r}" for role, column in used.items() if column)
        )
        for line, row in table_rows(table):
            grade = row[columns["grade"]] if columns["grade"] else ""
            files = {column: row[column] for column in masks}
            image = path.parent / row[image_column]
            severity = severity_of(grade)
            missing = _missing_file(path.parent, row[image_column], files)
            if missing is not None:
                collection.skip(ProblemKind.MISSING, image, f"line {line}: {missing}")
            elif grade and severity is None:
                collection.skip(ProblemKind.GRADE, image, f"line {line}: {columns['grade']} is {grade!r}")
            else:
                group = row[columns["group"]] if columns["group"] else None
                split = self._split(path, line, columns["split"], row)
                collection.records.append(Record(image, severity, group or None, split, _masks(path.parent, files)))
        if columns["group"] is None:
            group_by_patient(collection, "--group-column")
        return collection

    def _grading(self, path: Path, table: pd.DataFrame, column: str | None) -> Grading:
        """Names of the grades, and what translates a cell into a severity."""
        if column is None:
            return (), lambda cell: None
        cells = [cell for cell in dict.fromkeys(table[column]) if cell]
        position = {name.casefold(): severity for severity, name in enumerate(self.names)}
        if any(cell.casefold() in position for cell in cells):
            return self.names, lambda cell: position.get(cell.casefold())
        texts = [cell for cell in cells if not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", cell)]
        if texts:
            found = ", ".join(map(repr, texts[:SHOWN])) + (", ..." if len(texts) > SHOWN else "")
            if self.names:
                raise InputError(f"{path}: no {column} is one of --grades {','.join(self.names)}; found {found}")
            raise InputError(
                f"{path}: {column} holds {found}, which are no whole numbers; name the grades in order, the mildest "
                "first, with --grades MILDEST,...,WORST, or another column with --grade-column"
            )
        severities = {cell: whole_number(cell) for cell in cells}
        last = len(self.names) - 1 if self.names else MAX_SEVERITY
        usable = {cell: severity for cell, severity in severities.items() if severity is not None and severity <= last}
        return self.names or _names_beside(path, table, column, usable), usable.get

    @staticmethod
    def _split(path: Path, line: int, column: str | None, row: dict[str, str]) -> str | None:
        if column is None or not row[column]:
            return None
        split = split_from_name(row[column])
        if split is None:
            raise InputError(
                f"{path}, line {line}: {column} is {row[column]!r}, not train, val or test; correct it, name another "
                "column with --split-column, or rename this one if it holds something else"
            )
        return split


def _usual_column(table: pd.DataFrame, role: str) -> str | None:
    present = {_bare(column): column for column in reversed(table.columns)}
    return next((present[_bare(name)] for name in USUAL[role] if _bare(name) in present), None)


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())


def _no_column(path: Path, table: pd.DataFrame, role: str) -> str:
    return (
        f"{path}: no column is called {' or '.join(USUAL[role])}; found {', '.join(map(repr, table.columns))}; "
        f"name the one that holds the {role} with --{role}-column"
    )


def _names_beside(path: Path, table: pd.DataFrame, column: str, severities: dict[str, int]) -> Sequence[str]:
    """Names of whole-number grades: from a column ``grade`` beside ``severity``, or the numbers themselves."""
    found: dict[int, str] = {}
    beside = next((name for name in table.columns if name.casefold() == "grade"), None)
    if column.casefold() == "severity" and beside is not None:
        for line, row in table_rows(table):
            severity, name = severities.get(row[column]), row[beside]
            if severity is None or not name:
                continue
            if found.setdefault(severity, name) != name:
                raise InputError(
                    f"{path}, line {line}: severity {severity} is called {name!r} here and {found[severity]!r} before; "
                    "correct one, or name the grades with --grades"
                )
    return [found.get(severity, str(severity)) for severity in range(max(severities.values(), default=-1) + 1)]


def _missing_file(folder: Path, image: str, masks: dict[str, str]) -> str | None:
    """What a row names that is not there."""
    if not image:
        return "no image is named"
    if not os.path.exists(folder / image):
        return "does not exist"
    for column, file in masks.items():
        if file and file.casefold() != ABSENT and not os.path.isfile(folder / file):
            return f"its {column}, {file!r}, does not exist"
    return None


def _masks(folder: Path, files: dict[str, str]) -> dict[str, Path | None] | None:
    if not any(files.values()):
        return None
    return {column: folder / file if file and file.casefold() != ABSENT else None for column, file in files.items()}
