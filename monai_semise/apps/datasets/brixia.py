# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

from monai_semise.apps.datasets.dicom_groups import group_by_patient
from monai_semise.apps.datasets.image_files import list_images
from monai_semise.apps.datasets.layout import note_unlisted, require
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.tables import read_table, table_rows
from monai_semise.data.collection import Collection, ProblemKind, Record
from monai_semise.utils import InputError

__all__ = ["Brixia"]

TABLE = "metadata_global_v2.csv"
IMAGES = "dicom_clean"
SPLITS = {"0": "training", "1": "test"}


class Brixia(Source):
    """Chest radiographs of patients with COVID-19 (BrixIA, Signoroni et al. 2021, doi 10.1016/j.media.2021.102046).

    Licence: for research, on terms to be accepted at https://brixia.github.io.

    Layout: ``metadata_global_v2.csv`` (separated by semicolons, with a byte order mark) and the DICOM files in
    ``dicom_clean``, both in the root or up to three folders below it.

    Grade order: the global Brixia score, 0 to 18: six zones of the lungs, each scored 0 (nothing) to 3 (infiltrates,
    most of them alveolar), added up. An image whose global score is not the sum of its six digits is left out.

    Split: test is the set that five radiologists scored (``ConsensusTestset`` = 1); validation is drawn from the rest.

    Group: the column ``Subject``, or the PatientID in the header of the DICOM files where the table has no such column.
    Both are written as numbers of our own.
    """

    name = "brixia"
    title = "BrixIA, chest radiographs as DICOM files, by Brixia score 0 to 18"
    grades = tuple(str(score) for score in range(19))

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection("BrixIA", self.grades, private_groups=True)
        expected = f"{TABLE} and the folder {IMAGES}"
        path, folder = require(root, TABLE, expected), require(root, IMAGES, expected)
        table = read_table(path, ("Filename", "BrixiaScore", "BrixiaScoreGlobal", "ConsensusTestset"), separator=";")
        listed = set()
        for line, row in table_rows(table):
            image = folder / row["Filename"]
            listed.add(image)
            zones, score = row["BrixiaScore"], row["BrixiaScoreGlobal"]
            if row["ConsensusTestset"] not in SPLITS:
                raise InputError(f"{path}, line {line}: ConsensusTestset is {row['ConsensusTestset']!r}, not 0 or 1")
            if not image.is_file():
                collection.skip(ProblemKind.MISSING, image, f"named in line {line} of {TABLE}")
            elif score not in self.grades:
                collection.skip(ProblemKind.GRADE, image, f"BrixiaScoreGlobal is {score!r}, not 0 to 18")
            elif not set(zones) <= set("0123") or sum(map(int, zones)) != int(score):
                detail = f"BrixiaScoreGlobal is {score}, which is not the sum of the zones {zones!r}"
                collection.skip(ProblemKind.GRADE, image, detail)
            else:
                split = SPLITS[row["ConsensusTestset"]]
                collection.records.append(Record(image, int(score), row.get("Subject") or None, split))
        if "Subject" not in table.columns:
            group_by_patient(collection)
        note_unlisted(collection, list_images(folder), listed)
        return collection
