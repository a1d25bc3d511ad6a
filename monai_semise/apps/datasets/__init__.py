# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Data sets as they lie on disk, each read by a small source into the one form that becomes a datalist."""

from __future__ import annotations

from monai_semise.apps.datasets.aptos import Aptos
from monai_semise.apps.datasets.brixia import Brixia
from monai_semise.apps.datasets.csv_table import CsvTable
from monai_semise.apps.datasets.eyepacs import Eyepacs
from monai_semise.apps.datasets.idrid import Idrid
from monai_semise.apps.datasets.image_folder import ImageFolder
from monai_semise.apps.datasets.isic import Isic2016, Isic2017, Isic2018
from monai_semise.apps.datasets.knee_oa import KneeOA
from monai_semise.apps.datasets.medmnist import MedMnist
from monai_semise.apps.datasets.messidor2 import Messidor2
from monai_semise.apps.datasets.papilledema import Papilledema
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.vindr_mammo import VindrMammo

__all__ = [
    "SOURCES",
    "Aptos",
    "Brixia",
    "CsvTable",
    "Eyepacs",
    "Idrid",
    "ImageFolder",
    "Isic2016",
    "Isic2017",
    "Isic2018",
    "KneeOA",
    "MedMnist",
    "Messidor2",
    "Papilledema",
    "Source",
    "VindrMammo",
]

SOURCES: dict[str, type[Source]] = {
    source.name: source
    for source in (
        VindrMammo,
        Papilledema,
        Isic2016,
        Isic2017,
        Isic2018,
        Idrid,
        Aptos,
        Messidor2,
        Eyepacs,
        MedMnist,
        KneeOA,
        Brixia,
        CsvTable,
        ImageFolder,
    )
}
"""The sources by their name on the command line."""
