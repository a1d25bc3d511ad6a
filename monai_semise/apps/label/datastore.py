# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import shutil
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore
from monailabel.datastore.utils.convert import dicom_to_nifti
from monailabel.interfaces.datastore import DefaultLabelTag

from monai_semise.apps.datasets.dicom_files import DICOM_SUFFIXES, is_dicom_file
from monai_semise.transforms import LoadCheckedImage
from monai_semise.utils import InputError, write_whole

__all__ = ["SharedDatastore", "StudyFolder", "check_name"]

CONVERTED = ".converted"
"""Folder of the series that a client asked for, as NIfTI, below that of the studies."""


def check_name(field: str, name: str) -> None:
    """Check an image id or a label tag that came over the network.

    Raises:
        InputError: when it could name a file elsewhere.

    Example:
        >>> check_name("image", "Läsion 1 %2e%2e")
        >>> check_name("image", "../a")
        Traceback (most recent call last):
            ...
        monai_semise.utils.errors.InputError: image: '../a' is no name of an image or a tag
    """
    if name in (".", "..") or any(c in "/\\" or ord(c) < 32 for c in name):
        raise InputError(f"{field}: {name!r} is no name of an image or a tag")


class SharedDatastore(LocalDatastore):
    """What stays true with several processes.

    MONAI Label runs batch inference and training in processes of their own, each of which writes the whole list of
    images as it knew it at its start. Here, whoever changes something reads the list again first.
    """

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label of an image.

        Raises:
            InputError: when the tag is no name.
        """
        check_name("tag", label_tag)
        with self._up_to_date():
            return str(super().save_label(image_id, label_filename, label_tag, label_info))

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Change what is known of an image."""
        with self._up_to_date():
            super().update_image_info(image_id, info)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Change what is known of a label."""
        with self._up_to_date():
            super().update_label_info(label_id, label_tag, info)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image."""
        self._init_from_datastore_file()
        return dict(super().get_image_info(image_id))

    def image_infos(self) -> dict[str, dict[str, Any]]:
        """What is known of every image, read once."""
        self._init_from_datastore_file()
        return {image: dict(super(SharedDatastore, self).get_image_info(image)) for image in self.list_images()}

    @abstractmethod
    def path(self, image_id: str) -> str:
        """File of an image, or folder of the DICOM files of a series, whether it is there yet or not."""

    def source(self, image_id: str) -> str:
        """The same, as models read it, after it was brought there."""
        return self.path(image_id)

    def outlines(self) -> dict[str, str]:
        """File of the final label of each image that has one."""
        return {image: self.get_label_uri(image, DefaultLabelTag.FINAL) for image in self.get_labeled_images()}

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the list of images, whole or not at all: MONAI Label's own, killed on the way, leaves a part of it."""
        content = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
        with FileLock(self._lock_file) if lock else nullcontext():
            self._ignore_event_config = True
            with write_whole(self._datastore_config_path) as stream:
                stream.write(content)
            os.utime(self._datastore_config_path)  # whoever watches the file is told of this, but of no renaming
            self._config_ts = os.stat(self._datastore_config_path).st_mtime

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        with FileLock(os.path.join(self._datastore_path, ".semise.lock")):
            self._init_from_datastore_file()
            yield


class StudyFolder(SharedDatastore):
    """MONAI Label's folder of images, which takes in nothing but images.

    Beside files with the endings of images, it finds DICOM files with none, and folders of DICOM files, each of
    which is one image, a series.
    """

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Take in an image under an id.

        Raises:
            InputError: when the id is none, or the file cannot be read as an image.
        """
        check_name("image", image_id)
        known = self._endings()
        if not image_filename.lower().endswith(known):
            ending = os.path.splitext(image_filename)[1]
            raise InputError(f"image: {image_id} ends with {ending!r}; send one of {', '.join(known)}")
        LoadCheckedImage(channels=None, spatial_dims=None)(image_filename)
        with self._up_to_date():
            return str(super().add_image(image_id, image_filename, image_info))

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label of an image.

        Raises:
            InputError: when the tag is no name, or the file cannot be read as an image.
        """
        LoadCheckedImage(channels=None, spatial_dims=None)(label_filename)
        return super().save_label(image_id, label_filename, label_tag, label_info)

    def path(self, image_id: str) -> str:
        """See :meth:`SharedDatastore.path`."""
        return str(super().get_image_uri(image_id))

    def get_image_uri(self, image_id: str) -> str:
        """File of an image; a series is converted to NIfTI, for viewers, or remains what it is where its images are no
        volume, such as the views of a mammography."""
        source = self.source(image_id)
        if not os.path.isdir(source):
            return source
        target = os.path.join(self._datastore_path, CONVERTED, f"{image_id}.nii.gz")
        if not os.path.exists(target):
            try:
                converted = dicom_to_nifti(source)
            except RuntimeError:  # of ITK
                return source
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.move(converted, target)
        return target

    def _endings(self) -> tuple[str, ...]:
        return tuple(pattern.removeprefix("*").lower() for pattern in self._extensions)

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        found = [name for name in os.listdir(path) if name.lower().endswith(self._endings())]
        if os.path.realpath(path) == os.path.realpath(self._datastore.image_path()) and self._takes_dicom():
            found += [name for name in os.listdir(path) if name not in found and self._is_series(Path(path, name))]
        return {name: name for name in sorted(found) if not name.startswith(".")}

    def _takes_dicom(self) -> bool:
        return not set(self._endings()).isdisjoint(DICOM_SUFFIXES)

    def _is_series(self, path: Path) -> bool:
        """Whether it is a DICOM file whose name has no ending, or a folder of DICOM files."""
        if path.name.startswith(".") or path.name == self._datastore.labels_dir:
            return False
        return any(map(is_dicom_file, path.iterdir())) if path.is_dir() else is_dicom_file(path)

    def _to_id(self, file: str) -> tuple[str, str]:
        # MONAI Label's takes the ending out of the middle of names too
        endings = [ending for ending in self._endings() if file.lower().endswith(ending)]
        ending = max(endings, key=len, default="")
        if not ending and not os.path.exists(os.path.join(self._datastore.image_path(), file)):
            ending = os.path.splitext(file)[1]  # of a label
        return file[: len(file) - len(ending)], file[len(file) - len(ending) :]
