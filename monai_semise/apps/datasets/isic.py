# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from abc import abstractmethod
from argparse import ArgumentParser, _ArgumentGroup
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from monai.utils import look_up_option

from monai_semise.apps.datasets.image_files import image_stem, list_images, require_folder
from monai_semise.apps.datasets.layout import find
from monai_semise.apps.datasets.option_types import names
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.tables import read_table, table_rows
from monai_semise.data.collection import Collection, ProblemKind, Record
from monai_semise.utils import InputError

__all__ = ["Isic2016", "Isic2017", "Isic2018", "IsicChallenge"]

SPLITS = {"Training": "training", "Validation": "validation", "Test": "test"}
LESION = "lesion"
IS_ONE = {"0": False, "0.0": False, "1": True, "1.0": True}
INFERRED = "no source ranks these diagnoses: the order {} is inferred from how dangerous they are"
TASKS = ("grading", "segmentation")
LESION_TABLES = r"ISIC2018_Task3_(Training_LesionGroupings|\w+_GroundTruth)\.csv|HAM10000_metadata(\.csv)?"


class IsicChallenge(Source):
    """What the ISIC challenges have in common: folders of images and of masks, and tables, with the split in their
    names, in the root or up to three folders below it.

    Within ISIC the same id means the same image. So images, masks and diagnoses are joined by it, and of the copies of
    an image in several folders the first is taken. An image without a diagnosis is ungraded.

    Attributes:
        image_folders: regular expression of their names, with ``{split}`` for Training, Validation or Test.
        mask_folders: the same for folders of masks.
        tables: the same for tables of diagnoses.
        example: name of one image folder and of one table, for errors.
    """

    image_folders: ClassVar[str]
    mask_folders: ClassVar[str]
    tables: ClassVar[str]
    example: ClassVar[tuple[str, str]]

    def __init__(self) -> None:
        self.order: Sequence[str] = self.grades

    @abstractmethod
    def read_diagnoses(self, table: Path) -> dict[str, str]:
        """Diagnosis of each image id: one of :attr:`grades`, or else what the table says instead."""

    def read_lesions(self, root: Path, collection: Collection) -> dict[str, str]:
        """Lesion id of each image id, as far as known."""
        collection.notes.append(
            "the data set has no lesion ids: images of one lesion may lie on both sides of the split"
        )
        return {}

    def read(self, root: Path, work: Path) -> Collection:
        require_folder(root, f"folders such as {self.example[0]}")
        collection = Collection(self.name.upper(), self.order)
        lesions = self.read_lesions(root, collection)
        for word, split in SPLITS.items():
            images = _files_by_id(root, self.image_folders.format(split=word))
            masks = _files_by_id(root, self.mask_folders.format(split=word), "_segmentation")
            diagnoses = self.diagnoses(root, word)
            for isic_id, image in images.items():
                self.add(collection, image, diagnoses.get(isic_id), lesions.get(isic_id), split, masks.get(isic_id))
            for isic_id in diagnoses:
                if isic_id not in images:
                    detail = f"has a diagnosis, but is in no folder such as {self.example[0]}"
                    collection.skip(ProblemKind.MISSING, root / f"{isic_id}.jpg", detail)
        if not collection.problems and not any(r.severity is not None or r.masks for r in collection.records):
            found = sorted(path.name for path in root.iterdir())[:8] or ["nothing"]
            raise InputError(
                f"{root}: no images with a diagnosis or a mask; --root must hold {' and '.join(self.example)}, and the "
                f"like; found {', '.join(found)}"
            )
        return collection

    def diagnoses(self, root: Path, word: str) -> dict[str, str]:
        """Diagnoses of the split ``word``; none when its table is not there."""
        tables = (path for path in find(root, self.tables.format(split=word)) if path.is_file())
        return next(map(self.read_diagnoses, tables), {})

    def add(
        self,
        collection: Collection,
        image: Path,
        diagnosis: str | None,
        lesion: str | None,
        split: str,
        mask: Path | None,
    ) -> None:
        """Add an image, unless its diagnosis is no grade."""
        if diagnosis is None or diagnosis in self.order:
            severity = None if diagnosis is None else self.order.index(diagnosis)
            masks = None if mask is None else {LESION: mask}
            collection.records.append(Record(image, severity, lesion, split, masks))
            if masks:
                collection.structures = (LESION,)
        else:
            collection.skip(ProblemKind.GRADE, image, f"diagnosis is {diagnosis}, not one of {', '.join(self.order)}")


class Isic2016(IsicChallenge):
    """Dermoscopic images, benign or malignant, with lesion masks (ISIC challenge 2016, Gutman et al. 2016,
    arXiv 1605.01397).

    Licence: CC0.

    Layout: ``ISBI2016_ISIC_Part1_Training_Data`` and ``..._Test_Data`` (images), ``ISBI2016_ISIC_Part1_*_GroundTruth``
    (masks, ``ISIC_<7 digits>_Segmentation.png``), ``ISBI2016_ISIC_Part3_*_GroundTruth.csv`` (diagnoses). Other parts
    hold the same images again and will do as well; part 3B has the masks beside the images. Masks may be left out, and
    so may the diagnoses.

    Grade order: benign < malignant.

    Split: training and test as published; validation is drawn from training.

    Group: none; the data set has no lesion or patient ids.

    Quirks: the tables have no header; the training table says ``benign`` or ``malignant``, the test table ``0.0`` or
    ``1.0``. Superpixels and texts in the image folders are passed over.
    """

    name = "isic-2016"
    title = "ISIC 2016, dermoscopic images, benign or malignant, with lesion masks"
    grades = ("benign", "malignant")
    image_folders = r"ISBI2016_ISIC_Part\w+_{split}_Data"
    mask_folders = r"ISBI2016_ISIC_Part(1_{split}_GroundTruth|3B_{split}_Data)"
    tables = r"ISBI2016_ISIC_Part3B?_{split}_GroundTruth\.csv"
    example = ("ISBI2016_ISIC_Part3_Training_Data", "ISBI2016_ISIC_Part3_Training_GroundTruth.csv")

    def read_diagnoses(self, table: Path) -> dict[str, str]:
        content = read_table(table, ())
        rows = [list(content.columns), *content.to_numpy().tolist()]  # its first row was taken for a header
        for line, row in zip((1, *content.index), rows):
            if len(row) != 2 or not re.fullmatch(r"ISIC_\d+", row[0]):
                raise InputError(f"{table}, line {line}: {', '.join(row)!r} is not an image id and a diagnosis")
        words = {"0": "benign", "0.0": "benign", "1": "malignant", "1.0": "malignant"}
        return {isic_id: words.get(cell, cell) for isic_id, cell in rows}


class Isic2017(IsicChallenge):
    """Dermoscopic images of nevi, seborrheic keratoses and melanomas, with lesion masks (ISIC challenge 2017, Codella
    et al. 2018, arXiv 1710.05006).

    Licence: CC0.

    Layout: ``ISIC-2017_{Training,Validation,Test_v2}_Data`` (images), ``ISIC-2017_*_Part1_GroundTruth`` (masks,
    ``ISIC_<7 digits>_segmentation.png``), ``ISIC-2017_*_Part3_GroundTruth.csv`` (diagnoses). Masks may be left out, and
    so may the diagnoses.

    Grade order: NV (nevus) < SK (seborrheic keratosis) < MEL (melanoma). It is inferred: the challenge ranks nothing,
    and a seborrheic keratosis is as benign as a nevus. There is no healthy skin; nevi stand in for it.

    Split: as published.

    Group: none; the data set has no lesion or patient ids.

    Quirks: superpixels and texts in the image folders are passed over.
    """

    name = "isic-2017"
    title = "ISIC 2017, dermoscopic images of three diagnoses, with lesion masks"
    grades = ("NV", "SK", "MEL")
    image_folders = r"ISIC-2017_{split}(_v2)?_Data"
    mask_folders = r"ISIC-2017_{split}(_v2)?_Part1_GroundTruth"
    tables = r"ISIC-2017_{split}(_v2)?_Part3_GroundTruth\.csv"
    example = ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part3_GroundTruth.csv")

    def read(self, root: Path, work: Path) -> Collection:
        collection = super().read(root, work)
        collection.notes.append(INFERRED.format(" < ".join(self.order)))
        return collection

    def read_diagnoses(self, table: Path) -> dict[str, str]:
        codes = {"melanoma": "MEL", "seborrheic_keratosis": "SK"}
        rows = table_rows(read_table(table, ("image_id", *codes)))
        return {
            row["image_id"]: _marked({code: row[column] for column, code in codes.items()}, "NV") for _, row in rows
        }


class Isic2018(IsicChallenge):
    """Dermoscopic images of seven diagnoses, or others with lesion masks (ISIC challenge 2018, Codella et al. 2019,
    arXiv 1902.03368; HAM10000, Tschandl et al. 2018, doi 10.1038/sdata.2018.161).

    Licence: CC BY-NC 4.0.

    Layout: for grading (task 3) ``ISIC2018_Task3_{Training,Validation,Test}_Input`` and
    ``ISIC2018_Task3_*_GroundTruth.csv``; for segmentation (task 1) ``ISIC2018_Task1-2_*_Input`` and
    ``ISIC2018_Task1_*_GroundTruth`` (masks, ``ISIC_<7 digits>_segmentation.png``). The lesion of each training image is
    in ``ISIC2018_Task3_Training_LesionGroupings.csv`` or ``HAM10000_metadata.csv``.

    Grade order: NV < DF < BKL < VASC < AKIEC < BCC < MEL (nevus, dermatofibroma, benign keratosis, vascular lesion,
    actinic keratosis, basal cell carcinoma, melanoma). It is inferred: neither the challenge nor the SEMISE paper,
    which uses these diagnoses as grades, ranks them. There is no healthy skin; nevi stand in for it.

    Split: as published. Where validation or test are not on disk, they are drawn from training.

    Group: the lesion, of which many have several images. Of validation and test images it is not published.

    Quirks: tables of the same name come in two forms, told apart by their header: one column for each diagnosis, or
    ``image_id`` and ``dx`` as in HAM10000. Task 1 and task 3 have different images; an image of task 1 has a grade only
    if its id also stands in a table of task 3. Texts in the image folders are passed over.

    Args:
        task: ``"grading"`` or ``"segmentation"``.
        order: the seven codes in another order, the mildest first.
    """

    name = "isic-2018"
    title = "ISIC 2018, dermoscopic images of seven diagnoses (HAM10000), or with lesion masks"
    grades = ("NV", "DF", "BKL", "VASC", "AKIEC", "BCC", "MEL")
    image_folders = r"ISIC2018_Task3_{split}_(Input|Images)"
    mask_folders = r"ISIC2018_Task1_{split}_GroundTruth"
    tables = r"ISIC2018_Task3_{split}_GroundTruth\.csv"
    example = ("ISIC2018_Task3_Training_Input", "ISIC2018_Task3_Training_GroundTruth.csv")

    def __init__(self, *, task: str = "grading", order: Sequence[str] | None = None) -> None:
        self.task = look_up_option(task, TASKS)
        self.order = self.grades if order is None else tuple(code.upper() for code in order)
        if sorted(self.order) != sorted(self.grades):
            raise InputError(f"order: {', '.join(self.order)} does not name each of {', '.join(self.grades)} once")

    @classmethod
    def add_arguments(cls, parser: ArgumentParser | _ArgumentGroup) -> None:
        parser.add_argument("--task", choices=TASKS, default="grading", help="which images to read (default: grading)")
        parser.add_argument(
            "--order",
            type=names,
            metavar="CODE,CODE,...",
            help=f"grade order, the mildest first (default: {','.join(cls.grades)})",
        )

    def read(self, root: Path, work: Path) -> Collection:
        collection = super().read(root, work) if self.task == "grading" else self.read_segmentation(root)
        if collection.grades and self.order == self.grades:
            collection.notes.append(f"{INFERRED.format(' < '.join(self.order))}; --order changes it")
        return collection

    def read_segmentation(self, root: Path) -> Collection:
        """The images of task 1; only those with a mask are used."""
        require_folder(root, "folders such as ISIC2018_Task1-2_Training_Input")
        collection = Collection("ISIC-2018 segmentation", ())
        lesions = self.read_lesions(root, collection)
        diagnoses = {isic_id: dx for word in SPLITS for isic_id, dx in self.diagnoses(root, word).items()}
        for word, split in SPLITS.items():
            images = _files_by_id(root, f"ISIC2018_Task1-2_{word}_Input")
            masks = _files_by_id(root, self.mask_folders.format(split=word), "_segmentation")
            if images and not masks:
                collection.notes.append(f"{len(images)} {split} image(s) are left out: their masks are not there")
                continue
            for isic_id, image in images.items():
                if isic_id in masks:
                    self.add(collection, image, diagnoses.get(isic_id), lesions.get(isic_id), split, masks[isic_id])
                else:
                    collection.skip(ProblemKind.MISSING, image, f"has no mask {isic_id}_segmentation.png")
        if not collection.records:
            raise InputError(
                f"{root}: no images with masks; --root must hold folders such as ISIC2018_Task1-2_Training_Input and "
                "ISIC2018_Task1_Training_GroundTruth"
            )
        if any(record.severity is not None for record in collection.records):
            collection.grades = self.order
        return collection

    def read_diagnoses(self, table: Path) -> dict[str, str]:
        if "dx" in read_table(table, ()).columns:
            rows = table_rows(read_table(table, ("image_id", "dx")))
            return {row["image_id"]: row["dx"].upper() for _, row in rows}
        rows = table_rows(read_table(table, ("image", *self.grades)))
        return {row["image"]: _marked({code: row[code] for code in self.grades}, "none") for _, row in rows}

    def read_lesions(self, root: Path, collection: Collection) -> dict[str, str]:
        lesions: dict[str, str] = {}
        for path in find(root, LESION_TABLES):
            table = read_table(path, ()) if path.is_file() else None
            if table is not None and "lesion_id" in table.columns:
                column = "image" if "image" in table.columns else "image_id"
                for _, row in table_rows(read_table(path, (column,))):
                    if row["lesion_id"]:
                        lesions.setdefault(row[column], row["lesion_id"])
        if not lesions:
            collection.notes.append(
                "no lesion ids: images of one lesion may lie on both sides of a split that is drawn; "
                "ISIC2018_Task3_Training_LesionGroupings.csv holds them"
            )
        return lesions


def _files_by_id(root: Path, folders: str, ending: str = "") -> dict[str, Path]:
    """Image files called ``ISIC_<7 digits>`` and ``ending``, in folders of the pattern, by their id."""
    files: dict[str, Path] = {}
    for folder in find(root, folders):
        for file in list_images(folder, recursive=True) if folder.is_dir() else ():
            name = re.fullmatch(rf"(ISIC_\d{{7}}){ending}", image_stem(file), re.IGNORECASE)
            if name:
                files.setdefault(name[1], file)
    return files


def _marked(cells: dict[str, str], otherwise: str) -> str:
    """The diagnosis whose cell is 1; ``otherwise`` when all are 0; a description of anything else."""
    strange = [f"{code} {cell!r}" for code, cell in cells.items() if cell not in IS_ONE]
    return " and ".join(strange or [code for code, cell in cells.items() if IS_ONE[cell]]) or otherwise
