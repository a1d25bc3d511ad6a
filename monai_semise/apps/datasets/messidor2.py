# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from pathlib import Path

from monai_semise.apps.datasets.dr_grades import DR_GRADES
from monai_semise.apps.datasets.graded_images import add_graded_images
from monai_semise.apps.datasets.image_files import image_stem
from monai_semise.apps.datasets.layout import find, require
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.tables import read_table, table_rows, whole_number
from monai_semise.data.collection import Collection
from monai_semise.utils import InputError

__all__ = ["Messidor2"]

TABLE = "messidor_data.csv"
PAIRS = "messidor-2.csv"
EXPECTED = f"{TABLE} (the grades, on Kaggle as google-brain/messidor2-dr-grades) and the folder IMAGES"
SCHEMAS = (("image_id", "adjudicated_dr_grade"), ("id_code", "diagnosis"))
GRADABLE = "adjudicated_gradable"


class Messidor2(Source):
    """Fundus images with diabetic retinopathy (Messidor-2: Decenciere et al. 2014, doi 10.5566/ias.1155, and Abramoff
    et al. 2013; adjudicated grades: Krause et al. 2018, doi 10.1016/j.ophtha.2018.01.034).

    Licence: the images are given out by ADCIS for research and education, and must not be passed on.

    Layout: the folder ``IMAGES`` (``.png`` and ``.JPG`` files) and ``messidor_data.csv`` with the grades, in the
    columns ``image_id,adjudicated_dr_grade`` (original) or ``id_code,diagnosis`` (a mirror, which may call the folder
    ``preprocess``), and ``adjudicated_gradable``. The images come with ``messidor-2.csv``, which has no grades.

    Grade order: 0 to 4, the International Clinical Diabetic Retinopathy scale, as it stands.

    Split: none is published.

    Group: the examination, whose left and right eye stand in one line of ``messidor-2.csv`` (``left;right``). Without
    that file every image is taken for a patient of its own, with a note.

    Quirks: images that the graders called ungradable are left out, with a note. File names may differ from the tables
    in upper and lower case.
    """

    name = "messidor-2"
    title = "Messidor-2, fundus images by diabetic retinopathy"
    grades = DR_GRADES

    def read(self, root: Path, work: Path) -> Collection:
        collection = Collection("Messidor-2", self.grades)
        path = require(root, TABLE, EXPECTED)
        folder = next((path for path in find(root, "IMAGES|preprocess") if path.is_dir()), None)
        if folder is None:
            raise InputError(f"{root}: no folder 'IMAGES' in it; --root must hold {EXPECTED}")
        table = read_table(path, (GRADABLE,))
        schema = next((schema for schema in SCHEMAS if set(schema) <= set(table.columns)), None)
        if schema is None:
            expected = " or ".join(", ".join(columns) for columns in SCHEMAS)
            raise InputError(f"{path}: expected the columns {expected}; found {', '.join(table.columns)}")
        gradable = table[GRADABLE].map(whole_number) != 0
        examination = self._examinations(root, collection)
        add_graded_images(
            collection, table[gradable], folder, *schema, group_of=lambda stem: examination.get(stem.lower())
        )
        if not gradable.all():
            collection.notes.append(f"{(~gradable).sum()} image(s) that the graders called ungradable are left out")
        return collection

    def _examinations(self, root: Path, collection: Collection) -> dict[str, str]:
        """Group of each image, by its name in lower case without ending."""
        path = next(find(root, re.escape(PAIRS)), None)
        if path is None:
            collection.notes.append(
                f"there is no {PAIRS} to tell which images are the two eyes of one patient; "
                "they may lie on both sides of the split"
            )
            return {}
        groups: dict[str, str] = {}
        for _, row in table_rows(read_table(path, ("left", "right"), separator=";")):
            eyes = [image_stem(Path(row[side])).lower() for side in ("left", "right") if row[side]]
            group = next((groups[eye] for eye in eyes if eye in groups), eyes[0])
            groups.update(dict.fromkeys(eyes, group))
        return groups
