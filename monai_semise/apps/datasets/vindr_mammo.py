# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from argparse import ArgumentParser, _ArgumentGroup
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.utils import look_up_option
from PIL import Image

from monai_semise.apps.datasets.dicom_files import read_header
from monai_semise.apps.datasets.image_files import list_images, require_folder
from monai_semise.apps.datasets.layout import note_unlisted, require
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.tables import read_table, table_rows
from monai_semise.data.collection import Collection, ProblemKind, Record
from monai_semise.utils import InputError

__all__ = ["VindrMammo"]

BREASTS = "breast-level_annotations.csv"
FINDINGS = "finding_annotations.csv"
EXPECTED = f"{BREASTS} and images/<study_id>/<image_id>.dicom"
NO_FINDING = "No Finding"
EDGES = ("xmin", "ymin", "xmax", "ymax")
SPLITS = ("training", "test")
TARGETS = {
    "birads": ("breast_birads", ("BI-RADS 1", "BI-RADS 2", "BI-RADS 3", "BI-RADS 4", "BI-RADS 5")),
    "density": ("breast_density", ("DENSITY A", "DENSITY B", "DENSITY C", "DENSITY D")),
}

Box = tuple[int, int, int, int]


class VindrMammo(Source):
    """Full-field digital mammograms of 5 000 examinations, four views each (VinDr-Mammo 1.0.0, Nguyen et al. 2023,
    doi 10.1038/s41597-023-02100-7; PhysioNet, doi 10.13026/br2v-7517).

    Licence: PhysioNet Restricted Health Data License 1.5.0. Neither images nor tables may be passed on.

    Layout: ``breast-level_annotations.csv``, ``finding_annotations.csv`` (for the masks) and
    ``images/<study_id>/<image_id>.dicom``. ``metadata.csv`` is not read.

    Grade order: the BI-RADS assessment of the breast, 1 to 5 (the suspicion of cancer), becomes 0 to 4. With
    ``target="density"`` the ACR breast density, A to D, becomes 0 to 3: it is ordered, but it is no severity; a dense
    breast is not a sick one.

    Split: training and test as published, by study; validation is drawn from training, 8 % of all images.

    Group: the study. The data set publishes no patient ids.

    Quirks: an image is known by its id and never by its view, which is wrong in one study; the SOP class, which
    de-identification has overwritten, is not looked at. Raw detector data (marked FOR PROCESSING in the header) is
    left out, as it is by the reader of the data set's authors, and counted in a note.

    Args:
        target: ``"birads"`` or ``"density"``.
        masks: whether to turn the boxes of the findings into masks: one PNG file an image, 255 inside its boxes,
            of the rows and columns that the table gives for the DICOM file. The radiologists boxed only findings that
            call for more than routine follow-up. An image that they looked at without a finding (``No Finding``) has
            the structure ``finding`` marked as absent; an image that the table does not name has no masks.
    """

    name = "vindr-mammo"
    title = "VinDr-Mammo, mammograms as DICOM files, by BI-RADS or breast density"
    grades = TARGETS["birads"][1]
    validation = 0.08

    def __init__(self, *, target: str = "birads", masks: bool = False) -> None:
        self.column, self.order = look_up_option(target, TARGETS)
        self.masks = masks

    @classmethod
    def add_arguments(cls, parser: ArgumentParser | _ArgumentGroup) -> None:
        parser.add_argument("--target", choices=TARGETS, default="birads", help="what to grade by (default: birads)")
        parser.add_argument("--masks", action="store_true", help="make masks of the boxes around the findings")

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection(
            "VinDr-Mammo", self.order, notes=["the group is the study: the data set publishes no patient ids"]
        )
        if self.column == "breast_density":
            collection.notes.append("breast density is ordered, but it is no severity")
        base = require(root, BREASTS, EXPECTED).parent
        folder = require_folder(base / "images", EXPECTED)
        boxes = _read_boxes(base / FINDINGS) if self.masks else {}
        if self.masks:
            collection.structures = ("finding",)
            (work / "masks").mkdir(parents=True, exist_ok=True)
        listed: set[Path] = set()
        raw: list[Path] = []
        columns = ("study_id", "image_id", "height", "width", self.column, "split")
        for line, row in table_rows(read_table(base / BREASTS, columns)):
            image = folder / row["study_id"] / f"{row['image_id']}.dicom"
            listed.add(image)
            if row["split"] not in SPLITS:
                raise InputError(f"{base / BREASTS}, line {line}: split is {row['split']!r}, not training or test")
            if not image.is_file():
                collection.skip(ProblemKind.MISSING, image, f"named in line {line} of {BREASTS}")
            elif row[self.column] not in self.order:
                detail = f"{self.column} is {row[self.column]!r}, not one of {', '.join(self.order)}"
                collection.skip(ProblemKind.GRADE, image, detail)
            elif _is_for_processing(image):
                raw.append(image)
            else:
                masks = None
                if row["image_id"] in boxes:
                    size = _read_size(row, f"{base / BREASTS}, line {line}")
                    inside = [_clip(box, size) for box in boxes[row["image_id"]]]
                    if None in inside:
                        detail = f"a box of {FINDINGS} lies outside its {size[0]} x {size[1]} pixels"
                        collection.skip(ProblemKind.MASK_OVERLAP, image, detail)
                        continue
                    mask = work / "masks" / f"{image.stem}.png" if inside else None
                    if mask is not None:
                        _write_mask(mask, size, [box for box in inside if box is not None])
                    masks = {"finding": mask}
                severity = self.order.index(row[self.column])
                collection.records.append(Record(image, severity, row["study_id"], row["split"], masks))
        if raw:
            collection.notes.append(
                f"{len(raw)} image(s) of raw detector data (marked FOR PROCESSING) are left out, such as {raw[0]}"
            )
        note_unlisted(collection, list_images(folder, recursive=True), listed)
        return collection


def _is_for_processing(path: Path) -> bool:
    intent = read_header(path, ["PresentationIntentType"]).get("PresentationIntentType")
    return str(intent).upper().endswith("PROCESSING")


def _read_boxes(path: Path) -> dict[str, list[Box]]:
    """Boxes of each image: columns from, rows from, columns to, rows to; none for an image without a finding."""
    boxes: dict[str, list[Box]] = {}
    for line, row in table_rows(read_table(path, ("image_id", "finding_categories", *EDGES))):
        found = boxes.setdefault(row["image_id"], [])
        edges = [row[edge] for edge in EDGES]
        if NO_FINDING in row["finding_categories"] and not any(edges):
            continue
        try:
            left, top, right, bottom = map(float, edges)
            found.append((math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)))
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"{path}, line {line}: {', '.join(EDGES)} are {', '.join(map(repr, edges))}; a finding has four "
                f"numbers there, and {NO_FINDING!r} nothing"
            ) from error
    return boxes


def _read_size(row: dict[str, str], where: str) -> tuple[int, int]:
    try:
        return int(row["height"]), int(row["width"])
    except ValueError as error:
        raise InputError(f"{where}: height {row['height']!r} and width {row['width']!r} are not numbers") from error


def _clip(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box that is inside the image, None when nothing is."""
    left, top, right, bottom = max(box[0], 0), max(box[1], 0), min(box[2], size[1]), min(box[3], size[0])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _write_mask(path: Path, size: tuple[int, int], boxes: Sequence[Box]) -> None:
    mask = np.zeros(size, dtype=np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(path)
