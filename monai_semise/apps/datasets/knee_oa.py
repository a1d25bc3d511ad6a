# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from pathlib import Path

from monai_semise.apps.datasets.image_files import list_images, require_folder
from monai_semise.apps.datasets.layout import require
from monai_semise.apps.datasets.source import Source
from monai_semise.data.collection import Collection, Record

__all__ = ["KneeOA"]

SPLITS = {"train": "training", "val": "validation", "test": "test"}


class KneeOA(Source):
    """Knee radiographs of the Osteoarthritis Initiative, cut out joint by joint (Chen 2018, Mendeley Data,
    doi 10.17632/56rmx5bjcr.1; mirrors are on Kaggle).

    Licence: CC BY 4.0; the radiographs behind it are under the data use agreement of the Osteoarthritis Initiative.

    Layout: ``train``, ``val`` and ``test``, each with the folders ``0`` to ``4``, in the root or up to three folders
    below it. Where the archive holds the images in two sizes (``kneeKL224``, ``kneeKL299``), give one of them as root.

    Grade order: the grade of Kellgren and Lawrence, 0 to 4, which is the name of the folder.

    Split: as published.

    Group: the patient, whose seven digits the file names begin with: ``9003175L.png`` and ``9003175R.png`` are the left
    and the right knee of one.

    Quirks: ``auto_test`` holds the knees of the test set again, found by a detector; it is left out, with a note.
    """

    name = "knee-oa"
    title = "Knee osteoarthritis, radiographs in folders by Kellgren-Lawrence grade"
    grades = ("none", "doubtful", "minimal", "moderate", "severe")

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection("Knee osteoarthritis", self.grades)
        expected = f"the folders {', '.join(SPLITS)}, each with the folders 0 to 4"
        base = require(root, "train", expected).parent
        n_unknown = 0
        for folder, split in SPLITS.items():
            for severity in range(len(self.grades)):
                for image in list_images(require_folder(base / folder / str(severity), expected)):
                    patient = re.match(r"\d{7}(?!\d)", image.name)
                    n_unknown += patient is None
                    collection.records.append(Record(image, severity, patient[0] if patient else None, split))
        if n_unknown:
            collection.notes.append(
                f"{n_unknown} file name(s) do not begin with a patient number: each is taken for a patient of its own"
            )
        if (base / "auto_test").is_dir():
            n_images = len(list_images(base / "auto_test", recursive=True))
            collection.notes.append(f"auto_test is left out: its {n_images} image(s) show knees of the test set again")
        return collection
