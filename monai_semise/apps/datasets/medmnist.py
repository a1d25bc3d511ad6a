# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from argparse import ArgumentParser, _ArgumentGroup
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from tqdm import tqdm

from monai_semise.apps.datasets.dr_grades import DR_GRADES
from monai_semise.apps.datasets.only_file import find_only_file
from monai_semise.apps.datasets.option_types import numbers
from monai_semise.apps.datasets.source import Source
from monai_semise.data.collection import Collection, ProblemKind, Record
from monai_semise.utils import InputError

__all__ = ["MedMnist"]

SPLITS = {"train": "training", "val": "validation", "test": "test"}
CLASSES = {
    "retinamnist": DR_GRADES,
    "dermamnist": ("AKIEC", "BCC", "BKL", "DF", "MEL", "NV", "VASC"),
}
"""Names of the classes, as they are numbered in the files."""
ORDERS = {"retinamnist": (0, 1, 2, 3, 4), "dermamnist": (5, 3, 2, 6, 0, 1, 4)}
"""Classes from the mildest to the worst."""
INFERRED = {"dermamnist"}
SHOWN = 20


class MedMnist(Source):
    """MedMNIST, small images and volumes cut out of many data sets (MedMNIST v2 and MedMNIST+, Yang et al. 2023,
    doi 10.1038/s41597-022-01721-8; Zenodo, doi 10.5281/zenodo.10519652).

    Licence: CC BY 4.0; DermaMNIST CC BY-NC 4.0.

    Layout: one file, such as ``retinamnist_224.npz``, as the root or alone in it, with the arrays
    ``{train,val,test}_images`` of shape (images, height, width), (images, height, width, 3) or (images, depth, height,
    width) and ``{train,val,test}_labels`` of shape (images, 1). Its images are written beside the datalist, as PNG
    files or, when they are volumes, as NIfTI files.

    Grade order: the grades of RetinaMNIST, 0 to 4, are those of its origin (DeepDRiD), the International Clinical
    Diabetic Retinopathy scale. In all other sets the labels number classes in an order that means nothing. For
    DermaMNIST it is inferred: NV < DF < BKL < VASC < AKIEC < BCC < MEL, from a harmless mole to the cancer that kills
    most often. For any other set ``--order`` has to say it.

    Split: as published.

    Group: the data sets have no patient ids.

    Quirks: sets with several labels for an image (ChestMNIST) have no grades, and are refused.

    Args:
        order: the classes from the mildest to the worst, by their number in the file. Images of other classes are left
            out.
    """

    name = "medmnist"
    title = "MedMNIST, any of its sets with one label an image"

    def __init__(self, *, order: Sequence[int] | None = None) -> None:
        self.order = order

    @classmethod
    def add_arguments(cls, parser: ArgumentParser | _ArgumentGroup) -> None:
        parser.add_argument(
            "--order",
            type=numbers,
            metavar="N,N,...",
            help="numbers of the classes, the mildest first (known for RetinaMNIST and DermaMNIST)",
        )

    def read(self, root: Path, work: Path) -> Collection:
        path = find_only_file(root, ".npz")
        arrays = _open(path)
        labels = {part: _read_labels(path, arrays, part) for part in SPLITS}
        order, collection = self._collection(path, np.unique(np.concatenate(list(labels.values()))).tolist())
        work.mkdir(parents=True, exist_ok=True)
        for part, split in SPLITS.items():
            images = _read_images(path, arrays, part, len(labels[part]))
            for n, label in enumerate(tqdm(labels[part].tolist(), desc=f"Writing {part} images", unit="image")):
                if label not in order:
                    collection.skip(ProblemKind.GRADE, path, f"{part}_labels[{n}] is {label}, which is not in --order")
                    continue
                file = _write_image(work / f"{part}_{n:05d}", images[n])
                collection.records.append(Record(file, order.index(label), split=split))
        return collection

    def _collection(self, path: Path, found: list[int]) -> tuple[list[int], Collection]:
        """The classes in the order of their grade, and the collection to fill."""
        match = re.match(r"[a-z]+mnist(3d)?", path.name.lower())
        data_set = match[0] if match else path.stem
        if self.order is None and data_set not in ORDERS:
            listed = ", ".join(map(str, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
            raise InputError(
                f"{path}: the labels {listed} number classes, not severities; list the classes with --order, the "
                "mildest first, such as --order 2,0,1"
            )
        order = list(ORDERS[data_set] if self.order is None else self.order)
        classes = dict(enumerate(CLASSES.get(data_set, ())))
        notes = ["the data set has no patient ids: images of one patient may lie on both sides of the published split"]
        if self.order is None and data_set in INFERRED:
            notes.append(f"the order of the grades is inferred from the diseases, not part of {data_set}")
        return order, Collection(path.stem, [classes.get(label, f"class {label}") for label in order], notes=notes)


def _open(path: Path) -> np.lib.npyio.NpzFile:
    try:
        arrays = np.load(path, allow_pickle=False)
    except Exception as error:  # whatever an archive that is damaged, or none, makes zipfile and NumPy raise
        raise InputError(f"{path}: cannot be read as an .npz file ({_reason(error)}); download it again") from error
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise InputError(f"{path}: holds a single array; expected an .npz file of MedMNIST")
    missing = [f"{part}_{what}" for part in SPLITS for what in ("images", "labels") if f"{part}_{what}" not in arrays]
    if missing:
        found = ", ".join(arrays.files) or "nothing"
        raise InputError(f"{path}: no array {', '.join(missing)}; found {found}; expected an .npz file of MedMNIST")
    return arrays


def _read_array(path: Path, arrays: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        array = arrays[key]
    except Exception as error:
        raise InputError(f"{path}: {key} cannot be read ({_reason(error)}); download the file again") from error
    if not isinstance(array, np.ndarray):  # a member that is no .npy file comes as bytes
        raise InputError(f"{path}: {key} is not an array; download the file again")
    return array


def _read_labels(path: Path, arrays: np.lib.npyio.NpzFile, part: str) -> np.ndarray:
    """Labels of shape (images,)."""
    labels = _read_array(path, arrays, f"{part}_labels")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise InputError(
            f"{path}: {part}_labels holds {labels.shape[1]} labels for each image; a severity needs one label an image"
        )
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: {part}_labels has shape {labels.shape} and type {labels.dtype}; "
            "expected whole numbers of shape (images, 1)"
        )
    return labels.reshape(len(labels))


def _read_images(path: Path, arrays: np.lib.npyio.NpzFile, part: str, n_labels: int) -> np.ndarray:
    images = _read_array(path, arrays, f"{part}_images")
    if images.ndim not in (3, 4) or images.dtype != np.uint8 or 0 in images.shape[1:]:
        raise InputError(
            f"{path}: {part}_images has shape {images.shape} and type {images.dtype}; expected uint8 of shape "
            "(images, height, width), (images, height, width, 3) or (images, depth, height, width)"
        )
    if len(images) != n_labels:
        raise InputError(f"{path}: {part}_images holds {len(images)} images, {part}_labels {n_labels} labels")
    return images


def _write_image(path: Path, image: np.ndarray) -> Path:
    """Write (height, width[, 3]) as PNG, (depth, height, width) as NIfTI; ``path`` is without ending."""
    if image.ndim == 2 or image.shape[-1] == 3:
        file = path.with_name(f"{path.name}.png")
        Image.fromarray(image).save(file)
    else:
        file = path.with_name(f"{path.name}.nii.gz")
        nib.save(nib.Nifti1Image(image.transpose(2, 1, 0), np.eye(4)), file)
    return file


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
