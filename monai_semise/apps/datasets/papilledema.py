# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

from monai_semise.apps.datasets.image_files import list_images, require_folder, subfolder
from monai_semise.apps.datasets.source import Source
from monai_semise.data.collection import Collection, Record

__all__ = ["Papilledema"]


class Papilledema(Source):
    """Fundus images with and without papilledema (Kim 2018, OSF doi 10.17605/OSF.IO/2W5CE; a mirror is on Kaggle).

    Licence: not stated where we looked; ask before passing the images on.

    Layout: the folders ``Normal``, ``Pseudopapilledema`` and ``Papilledema`` in the root or one folder below it.

    Grade order: Normal < Pseudopapilledema < Papilledema, of the SEMISE paper, section 3.1 (the folders in alphabetical
    order are another); pseudopapilledema is a benign mimic rather than a milder stage.

    Split: none is published; validation and test are drawn, 15 % each.

    Group: the data set has no patient ids.
    """

    name = "papilledema"
    title = "Papilledema, fundus images in three folders"
    grades = ("Normal", "Pseudopapilledema", "Papilledema")

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection(
            "Papilledema",
            self.grades,
            notes=["the data set has no patient ids: images of one patient may lie on both sides of the split"],
        )
        base = subfolder(root, self.grades)
        for severity, grade in enumerate(self.grades):
            folder = require_folder((base.parent if base else root) / grade, f"the folders {', '.join(self.grades)}")
            collection.records += [Record(image, severity) for image in list_images(folder)]
        return collection
