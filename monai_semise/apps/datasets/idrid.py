# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from argparse import ArgumentParser, _ArgumentGroup
from pathlib import Path

import numpy as np
from monai.utils import look_up_option
from PIL import Image

from monai_semise.apps.datasets.dr_grades import DR_GRADES
from monai_semise.apps.datasets.graded_images import add_graded_images
from monai_semise.apps.datasets.image_files import image_stem, list_images, require_folder
from monai_semise.apps.datasets.layout import require
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.tables import read_table
from monai_semise.data.collection import Collection, ProblemKind, Record

__all__ = ["Idrid"]

IMAGES = "1. Original Images"
SETS = {"a. Training Set": ("training", "train"), "b. Testing Set": ("test", "test")}
TABLES = {
    "a. Training Set": "a. IDRiD_Disease Grading_Training Labels.csv",
    "b. Testing Set": "b. IDRiD_Disease Grading_Testing Labels.csv",
}
MASKS = "2. All Segmentation Groundtruths"
STRUCTURES = {
    "MA": "1. Microaneurysms",
    "HE": "2. Haemorrhages",
    "EX": "3. Hard Exudates",
    "SE": "4. Soft Exudates",
    "OD": "5. Optic Disc",
}
TASKS = ("grading", "segmentation")
TARGETS = {
    "retinopathy": ("Retinopathy grade", DR_GRADES),
    "edema": (
        "Risk of macular edema",
        ("no hard exudates", "hard exudates far from the macula", "hard exudates near the macula"),
    ),
}


class Idrid(Source):
    """Fundus images with diabetic retinopathy (Indian Diabetic Retinopathy Image Dataset, Porwal et al. 2018,
    doi 10.3390/data3030025; IEEE DataPort, doi 10.21227/H25W98).

    Licence: CC BY 4.0.

    Layout: ``B. Disease Grading`` for grading and ``A. Segmentation`` for segmentation, as they are unpacked, in the
    root or as the root; an archive may be nested once more in a folder of its own name. Inside lie
    ``1. Original Images/{a. Training Set,b. Testing Set}`` and ``2. Groundtruths`` with two tables, or
    ``2. All Segmentation Groundtruths`` with a folder of masks for each structure.

    Grade order: the columns ``Retinopathy grade`` (0 to 4, the International Clinical Diabetic Retinopathy scale) and
    ``Risk of macular edema`` (0 to 2, by the distance of hard exudates from the macula), as they stand.

    Split: training and test as published; validation is drawn from training.

    Group: the data set has no patient ids, so every image is a group. Its name says the set as well as the number
    (``train-IDRiD_001``), because the numbers begin anew in the test set of the grading part.

    Masks: with ``task="segmentation"``, of microaneurysms (MA), haemorrhages (HE), hard exudates (EX), soft exudates
    (SE) and the optic disc (OD). A lesion without a mask file is absent; an image without a mask of its optic disc is
    reported, since that file must be lost.

    Quirks: masks are TIFF files of one bit, of a palette or of colors, which readers take for different things, and are
    therefore written again as PNG files. Headers end in spaces, and rows in empty columns. The numbers of the two parts
    (``IDRiD_01``, ``IDRiD_001``) do not belong together, so images are never joined by number, and those of the
    segmentation part have no grade.

    Args:
        task: ``"grading"`` or ``"segmentation"``.
        target: ``"retinopathy"`` or ``"edema"``, for grading.
    """

    name = "idrid"
    title = "IDRiD, fundus images by diabetic retinopathy or macular edema, or with lesion masks"
    grades = DR_GRADES

    def __init__(self, *, task: str = "grading", target: str = "retinopathy") -> None:
        self.task = look_up_option(task, TASKS)
        self.column, self.order = look_up_option(target, TARGETS)

    @classmethod
    def add_arguments(cls, parser: ArgumentParser | _ArgumentGroup) -> None:
        parser.add_argument("--task", choices=TASKS, default="grading", help="which part to read (default: grading)")
        parser.add_argument(
            "--target", choices=TARGETS, default="retinopathy", help="what to grade by (default: retinopathy)"
        )

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection(
            "IDRiD",
            self.order if self.task == "grading" else (),
            notes=["the data set has no patient ids: images of one patient may lie on both sides of the split"],
        )
        if self.task == "grading":
            self._read_grades(root, collection)
        else:
            self._read_masks(root, work, collection)
        return collection

    def _read_grades(self, root: Path, collection: Collection) -> None:
        expected = f"B. Disease Grading, with {IMAGES} and 2. Groundtruths"
        for folder, (split, prefix) in SETS.items():
            path = require(root, TABLES[folder], expected)
            images = require_folder(path.parents[1] / IMAGES / folder, expected)
            table = read_table(path, ("Image name", self.column))
            add_graded_images(
                collection,
                table,
                images,
                "Image name",
                self.column,
                split,
                lambda name, prefix=prefix: f"{prefix}-{name}",
            )

    def _read_masks(self, root: Path, work: Path, collection: Collection) -> None:
        expected = f"A. Segmentation, with {IMAGES} and {MASKS}"
        collection.structures = tuple(STRUCTURES)
        base = require(root, MASKS, expected).parent
        for folder, (split, prefix) in SETS.items():
            files = {
                structure: {image_stem(mask): mask for mask in list_images(require_folder(masks, expected))}
                for structure, masks in ((s, base / MASKS / folder / name) for s, name in STRUCTURES.items())
            }
            for image in list_images(require_folder(base / IMAGES / folder, expected)):
                name = image_stem(image)
                found = {structure: files[structure].get(f"{name}_{structure}") for structure in STRUCTURES}
                if found["OD"] is None:
                    detail = f"no mask {name}_OD.tif in {STRUCTURES['OD']}, which every image has"
                    collection.skip(ProblemKind.MISSING, image, detail)
                else:
                    masks = {structure: mask and _plain(mask, work) for structure, mask in found.items()}
                    collection.records.append(Record(image, None, f"{prefix}-{name}", split, masks))


def _plain(mask: Path, work: Path) -> Path:
    """``mask`` itself if it is one of gray levels, else one that is 255 wherever it is not black."""
    try:
        with Image.open(mask) as image:
            if image.mode == "L":
                return mask
            marked = np.asarray(image.convert("RGB")).any(axis=-1)
    except OSError:
        return mask  # whoever decodes it in full will say what is wrong with it
    plain = work / "masks" / f"{image_stem(mask)}.png"
    plain.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(marked.astype(np.uint8) * 255).save(plain)
    return plain
