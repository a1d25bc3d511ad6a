# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

from monai_semise.apps.datasets.dr_grades import DR_GRADES
from monai_semise.apps.datasets.graded_images import add_graded_images
from monai_semise.apps.datasets.image_files import list_images, require_folder
from monai_semise.apps.datasets.layout import require
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.tables import read_table
from monai_semise.data.collection import Collection, Record

__all__ = ["Aptos"]

EXPECTED = "train.csv and the folder train_images"


class Aptos(Source):
    """Fundus images with diabetic retinopathy (APTOS 2019 Blindness Detection, Aravind Eye Hospital; on Kaggle as
    aptos2019-blindness-detection).

    Licence: the rules of the Kaggle competition; they have to be accepted there, and forbid passing the images on.

    Layout: ``train.csv`` (``id_code,diagnosis``) and ``train_images/<id_code>.png``. ``test_images``, where present,
    holds the images of the competition's test set, whose grades were never published.

    Grade order: the column ``diagnosis``, 0 to 4, the International Clinical Diabetic Retinopathy scale, as it stands.

    Split: none is published; the images of ``test_images`` become ungraded images for training.

    Group: the data set has no patient ids.
    """

    name = "aptos"
    title = "APTOS 2019, fundus images by diabetic retinopathy"
    grades = DR_GRADES

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection(
            "APTOS 2019",
            self.grades,
            notes=["the data set has no patient ids: images of one patient may lie on both sides of the split"],
        )
        path = require(root, "train.csv", EXPECTED)
        folder = require_folder(path.parent / "train_images", EXPECTED)
        add_graded_images(collection, read_table(path, ("id_code", "diagnosis")), folder, "id_code", "diagnosis")
        ungraded = path.parent / "test_images"
        if ungraded.is_dir():
            collection.records += [Record(image) for image in list_images(ungraded, recursive=True)]
        return collection
