# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from monai.utils import look_up_option
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, SecondaryCaptureImageStorage, generate_uid
from tqdm import tqdm

from monai_semise.data.datalist import write_datalist
from monai_semise.data.pydicom_versions import FILE_FORMAT

__all__ = ["N_GRADES", "ensure_phantoms", "make_phantom"]

N_GRADES = 5
LESIONS = ((0, 0), (1, 2), (3, 5), (6, 9), (10, 14))
"""Fewest and most lesions of each grade."""
RADIUS = (0.0, 0.08, 0.09, 0.10, 0.11)
"""Mean lesion radius of each grade, in half image widths."""
CONTRAST = (0.0, 0.22, 0.28, 0.34, 0.40)
"""Mean lesion brightness of each grade above its surroundings, image range 0 to 1."""
SPREAD = 0.2
"""Relative spread of radius and contrast about their mean, so that grades overlap lesion by lesion."""
SPACING = (0.75, 1.0, 2.5)
"""Voxel size of volumes along x, y and z in millimetres, as a scanner's: no two axes alike."""

EMPTY = (
    "PatientBirthDate",
    "PatientSex",
    "Laterality",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "PatientOrientation",
)
"""What DICOM wants in every image, if only empty."""
EMPTY_IN_MR = ("PositionReferenceIndicator", "ScanOptions", "RepetitionTime", "EchoTime", "EchoTrainLength")
"""What it wants in MR images besides."""


def make_phantom(
    grade: int, size: int, random: np.random.Generator, spatial_dims: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one phantom: an organ whose lesions grow in number, size and contrast with the grade.

    Position, size and tilt of the organ, its texture, bright vessels, illumination, gain, gamma and noise vary
    independently of the grade, so that the mean brightness does not tell it.

    Args:
        grade: 0 (healthy, no lesion) to 4.
        size: pixels (voxels) along each axis.
        random: source of all draws.
        spatial_dims: 2 or 3.

    Returns:
        image, float32 in [0, 1], and lesion mask, uint8 of 0 and 1, both of shape (size,) * spatial_dims.

    Example:
        >>> import numpy as np
        >>> image, mask = make_phantom(4, size=32, random=np.random.default_rng(0))
        >>> image.shape, mask.any()
        ((32, 32), np.True_)
    """
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    position = np.stack(np.meshgrid(*[axis] * spatial_dims, indexing="ij"))
    organ_distance, centre, radius_of_organ = _organ(position, random)
    organ = 1 / (1 + np.exp((organ_distance - 1) * 25))
    image = 0.08 + organ * (random.uniform(0.3, 0.45) + 0.05 * _texture(position, random))
    image += organ * _vessels(position, random)

    mask = np.zeros(position.shape[1:], dtype=bool)
    for _ in range(random.integers(LESIONS[grade][0], LESIONS[grade][1] + 1)):
        radius = RADIUS[grade] * random.uniform(1 - SPREAD, 1 + SPREAD)
        direction = random.normal(size=spatial_dims)
        direction *= random.uniform() ** (1 / spatial_dims) / np.linalg.norm(direction)
        at = centre + direction * (radius_of_organ * 0.8)
        distance = np.linalg.norm(position - at.reshape(-1, *[1] * spatial_dims), axis=0)
        contrast = CONTRAST[grade] * random.uniform(1 - SPREAD, 1 + SPREAD)
        image = np.maximum(image, image + contrast / (1 + np.exp((distance / radius - 1) * 8)))
        mask |= distance <= radius

    slope = random.uniform(-0.2, 0.2, size=spatial_dims).reshape(-1, *[1] * spatial_dims)
    image *= random.uniform(0.75, 1.2) * (1 + (slope * position).sum(axis=0))
    image = np.clip(image, 0, 1) ** random.uniform(0.8, 1.25)
    image += random.normal(scale=random.uniform(0.005, 0.02), size=image.shape)
    return np.clip(image, 0, 1).astype(np.float32), mask.astype(np.uint8)


def ensure_phantoms(
    root: str | Path,
    n_training: int = 320,
    n_validation: int = 120,
    n_test: int = 120,
    unlabelled_fraction: float = 0.05,
    size: int = 64,
    image_format: str = "png",
    seed: int = 0,
    progress: bool = True,
) -> str:
    """Write a graded phantom data set as real files, unless it is there already.

    Grades 0 to 4 are equally frequent. The set lies in a folder of its own under ``root``, named by the arguments; it
    appears whole or not at all.

    Args:
        root: folder to put the set in.
        n_training: training images, ungraded ones included.
        n_validation: validation images.
        n_test: test images.
        unlabelled_fraction: share of the training images that get no grade, in [0, 1).
        size: pixels (voxels) along each axis.
        image_format: images as ``"png"`` (8 bit) or ``"dicom"`` (16 bit), with PNG masks; volumes as ``"nifti"`` or
            ``"dicom_series"`` (a folder of MR slices each), with NIfTI masks. Both kinds of volumes hold the same
            values and the same geometry, with voxels of :data:`SPACING`.
        seed: seed of everything drawn.
        progress: whether to show a progress bar.

    Returns:
        path of the set's ``datalist.json``.

    Example:
        >>> import tempfile
        >>> from monai_semise.data import load_datalist
        >>> path = ensure_phantoms(tempfile.mkdtemp(), n_training=10, n_validation=5, n_test=5, size=16, progress=False)
        >>> [len(section) for section in load_datalist(path).values()]
        [10, 5, 5, 0]
    """
    write, suffix, spatial_dims = WRITERS[look_up_option(image_format, WRITERS.keys())]
    counts = {"training": n_training, "validation": n_validation, "test": n_test}
    sizes = "-".join(str(n) for n in counts.values())
    folder = Path(root).absolute() / f"phantoms_{image_format}_{size}px_{sizes}_{unlabelled_fraction:g}_seed{seed}"
    datalist_path = folder / "datalist.json"
    if datalist_path.is_file():
        return str(datalist_path)

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        temporary.chmod(0o755)
        datalist: dict[str, Any] = {
            "name": "graded phantoms",
            "description": "Synthetic images made by monai_semise.data.ensure_phantoms; no patient data.",
            "grades": ["healthy", "mild", "moderate", "severe", "very severe"],
            **{section: [] for section in (*counts, "unlabelled")},
        }
        order = np.random.default_rng(seed).permutation(n_training)
        ungraded = set(order[: round(n_training * unlabelled_fraction)].tolist())
        bar = tqdm(total=sum(counts.values()), desc="Making phantoms", unit="image", disable=not progress)
        for section_number, (section, count) in enumerate(counts.items()):
            for n in range(count):
                grade = n % N_GRADES
                image, mask = make_phantom(grade, size, np.random.default_rng((seed, section_number, n)), spatial_dims)
                item = _write_item(temporary, f"{section}_{n:05d}", image, mask, write, suffix)
                if section == "training" and n in ungraded:
                    datalist["unlabelled"].append({"image": item["image"], "group": item["group"]})
                else:
                    datalist[section].append({**item, "severity": grade})
                bar.update()
        bar.close()
        write_datalist(temporary / "datalist.json", datalist)
        try:
            temporary.rename(folder)
        except OSError:
            if not datalist_path.is_file():  # not merely another process that was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return str(datalist_path)


def _organ(position: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Relative distance from the centre of a tilted ellipsoid (1 at its surface), its centre and smallest radius."""
    dims = len(position)
    centre, radii = random.uniform(-0.1, 0.1, size=dims), random.uniform(0.65, 0.9, size=dims)
    tilt, _ = np.linalg.qr(np.eye(dims) + 0.3 * random.normal(size=(dims, dims)))
    offset = np.tensordot(tilt, position - centre.reshape(-1, *[1] * dims), axes=1)
    return np.linalg.norm(offset / radii.reshape(-1, *[1] * dims), axis=0), centre, float(radii.min())


def _texture(position: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A smooth random field of about unit variance."""
    waves = np.zeros(position.shape[1:])
    for _ in range(6):
        frequency = random.normal(scale=4.0, size=len(position))
        waves += np.cos(np.tensordot(frequency, position, axes=1) + random.uniform(0, 2 * np.pi))
    return waves / np.sqrt(3)


def _vessels(position: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A few thin bright lines, nearly as bright as lesions but long."""
    dims = len(position)
    lines = np.zeros(position.shape[1:])
    for _ in range(random.integers(1, 5)):
        direction = random.normal(size=dims)
        direction /= np.linalg.norm(direction)
        offset = position - random.uniform(-0.5, 0.5, size=dims).reshape(-1, *[1] * dims)
        along = np.tensordot(direction, offset, axes=1)
        distance = np.sqrt(np.maximum((offset**2).sum(axis=0) - along**2, 0))
        lines = np.maximum(lines, random.uniform(0.06, 0.2) * np.exp(-((distance / 0.04) ** 2)))
    return lines


def _write_item(
    folder: Path, name: str, image: np.ndarray, mask: np.ndarray, write: Callable, suffix: str
) -> Mapping[str, str]:
    mask_suffix, write_mask = (".nii.gz", _write_nifti) if mask.ndim == 3 else (".png", _write_png)
    paths = {"image": Path("images") / f"{name}{suffix}", "mask": Path("masks") / f"{name}{mask_suffix}"}
    for path in paths.values():
        (folder / path).parent.mkdir(exist_ok=True)
    write(folder / paths["image"], image)
    write_mask(folder / paths["mask"], mask)
    return {**{field: path.as_posix() for field, path in paths.items()}, "group": name}


def _write_png(path: Path, array: np.ndarray) -> None:
    Image.fromarray(np.round(array * 255).astype(np.uint8)).save(path)


def _write_nifti(path: Path, array: np.ndarray) -> None:
    data = array if array.dtype == np.uint8 else _to_12_bits(array).astype(np.int16)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = _origin(array.shape)
    affine[:2] *= -1  # x and y grow to the right and the front in NIfTI, to the left and the back in DICOM
    nib.save(nib.Nifti1Image(data, affine), path)


def _write_dicom(path: Path, array: np.ndarray) -> None:
    dataset = _dicom(path, array, SecondaryCaptureImageStorage, "OT", _digest(array))
    dataset.ConversionType = "SYN"
    dataset.PixelSpacing = [1.0, 1.0]
    pydicom.dcmwrite(path, dataset, **FILE_FORMAT)


def _write_dicom_series(folder: Path, array: np.ndarray) -> None:
    folder.mkdir()
    digest = _digest(array)
    x, y, z = _origin(array.shape)
    for n in range(array.shape[2]):
        # the axes of the array are x, y, z; DICOM stores rows, one for each y
        dataset = _dicom(folder, array[:, :, n].T, MRImageStorage, "MR", digest, instance=n + 1)
        dataset.FrameOfReferenceUID = _uid("frame", folder, digest)
        dataset.ImagePositionPatient = [x, y, z + n * SPACING[2]]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [SPACING[1], SPACING[0]]  # between rows, between columns
        dataset.SliceThickness = dataset.SpacingBetweenSlices = SPACING[2]
        dataset.ImageType, dataset.PatientPosition = ["DERIVED", "SECONDARY", "OTHER"], "HFS"
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.MRAcquisitionType = "RM", "NONE", "3D"
        for keyword in EMPTY_IN_MR:
            setattr(dataset, keyword, None)
        # as archives name them: the names do not tell the order
        pydicom.dcmwrite(folder / f"{dataset.SOPInstanceUID}.dcm", dataset, **FILE_FORMAT)


def _dicom(path: Path, array: np.ndarray, sop_class: UID, modality: str, digest: str, instance: int = 1) -> FileDataset:
    """A DICOM image of ``array`` (rows, columns) in the series that is named by ``path`` and ``digest``."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = _uid(f"instance {instance}", path, digest)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid("study", path, digest), _uid("series", path, digest)
    dataset.PatientID, dataset.PatientName, dataset.Modality = path.stem, "Phantom^", modality
    dataset.StudyDate, dataset.SeriesNumber, dataset.InstanceNumber = "20000101", 1, instance
    for keyword in EMPTY:
        setattr(dataset, keyword, None)
    dataset.Rows, dataset.Columns = array.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = _to_12_bits(array).astype("<u2").tobytes()
    return dataset


def _uid(kind: str, path: Path, digest: str) -> UID:
    return generate_uid(entropy_srcs=[kind, path.name, digest])  # the same image gets the same identifiers


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(_to_12_bits(array).tobytes()).hexdigest()


def _to_12_bits(array: np.ndarray) -> np.ndarray:
    return np.round(array * 4095)


def _origin(shape: Sequence[int]) -> np.ndarray:
    """Position of the first voxel when the middle of the volume is at 0: x, y and z in millimetres."""
    return -(np.array(shape) - 1) / 2 * SPACING


WRITERS: dict[str, tuple[Callable[[Path, np.ndarray], None], str, int]] = {
    "png": (_write_png, ".png", 2),
    "dicom": (_write_dicom, ".dcm", 2),
    "nifti": (_write_nifti, ".nii.gz", 3),
    "dicom_series": (_write_dicom_series, "", 3),
}
"""Writer, file name suffix and spatial dimensions of each format."""
