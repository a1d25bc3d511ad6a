# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from pathlib import Path

from monai_semise.apps.datasets.dr_grades import DR_GRADES
from monai_semise.apps.datasets.graded_images import add_graded_images
from monai_semise.apps.datasets.image_files import image_stem, list_images, require_folder
from monai_semise.apps.datasets.layout import require
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.tables import read_table
from monai_semise.data.collection import Collection, Record

__all__ = ["Eyepacs"]

TABLE = "trainLabels.csv"
TEST_TABLE = "retinopathy_solution.csv"
COLUMNS = ("image", "level")


class Eyepacs(Source):
    """Fundus images with diabetic retinopathy (EyePACS; on Kaggle as diabetic-retinopathy-detection, 2015).

    Licence: the rules of the Kaggle competition; they have to be accepted there, and forbid passing the images on.

    Layout: ``trainLabels.csv`` (``image,level``) and ``train/<patient>_{left,right}.jpeg``; optionally ``test`` with
    images of the same kind, and ``retinopathy_solution.csv`` (``image,level,Usage``) with their grades, which was
    published after the competition.

    Grade order: the column ``level``, 0 to 4, the International Clinical Diabetic Retinopathy scale, as it stands.

    Split: with both ``test`` and its grades (public and private alike) training and test are as published, and
    validation is drawn from training. Images of ``test`` without the table of grades become ungraded ones.

    Group: the patient, whose number the file names begin with: the left and the right eye stay together.
    """

    name = "eyepacs"
    title = "EyePACS, fundus images by diabetic retinopathy (Kaggle 2015)"
    grades = DR_GRADES

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection("EyePACS", self.grades)
        expected = f"{TABLE} and the folder train"
        path = require(root, TABLE, expected)
        folder, test_folder = require_folder(path.parent / "train", expected), path.parent / "test"
        test_path = path.parent / TEST_TABLE
        has_test = test_folder.is_dir() and test_path.is_file()
        add_graded_images(
            collection, read_table(path, COLUMNS), folder, *COLUMNS, "training" if has_test else None, _patient
        )
        if has_test:
            add_graded_images(collection, read_table(test_path, COLUMNS), test_folder, *COLUMNS, "test", _patient)
        elif test_folder.is_dir():
            images = list_images(test_folder, recursive=True)
            collection.records += [Record(image, group=_patient(image_stem(image))) for image in images]
            collection.notes.append(f"the images of test are ungraded, because {TEST_TABLE} is not there")
        elif test_path.is_file():
            collection.notes.append(f"{TEST_TABLE} is not used, because there is no folder test")
        return collection


def _patient(stem: str) -> str:
    return re.sub(r"_(left|right)$", "", stem)
