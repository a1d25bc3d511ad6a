# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore

from monai_semise.transforms import LoadCheckedImage
from monai_semise.utils import InputError

__all__ = ["StudyFolder", "check_name"]


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


class StudyFolder(LocalDatastore):
    """MONAI Label's folder of images, which takes in nothing but images, and stays true with several processes.

    MONAI Label runs batch inference and training in processes of their own, each of which writes the whole list of
    images as it knew it at its start. Here, whoever changes something reads the list again first.
    """

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Take in an image under an id.

        Raises:
            InputError: when the id is none, or the file cannot be read as an image.
        """
        check_name("image", image_id)
        _, ending = self._to_id(os.path.basename(image_filename))
        known = [pattern.removeprefix("*") for pattern in self._extensions]
        if ending not in known:
            raise InputError(f"image: {image_id} ends with {ending!r}; send one of {', '.join(known)}")
        LoadCheckedImage(channels=None, spatial_dims=None)(image_filename)
        with self._up_to_date():
            return str(super().add_image(image_id, image_filename, image_info))

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label of an image."""
        check_name("tag", label_tag)
        with self._up_to_date():
            return str(super().save_label(image_id, label_filename, label_tag, label_info))

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Change what is known of an image."""
        with self._up_to_date():
            super().update_image_info(image_id, info)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image."""
        self._init_from_datastore_file()
        return dict(super().get_image_info(image_id))

    def _to_id(self, file: str) -> tuple[str, str]:
        # MONAI Label's takes the ending out of the middle of names too
        endings = [pattern.removeprefix("*") for pattern in self._extensions]
        fitting: list[str] = [ending for ending in endings if file.endswith(ending)] or [os.path.splitext(file)[1]]
        ending: str = max(fitting, key=len)
        return file.removesuffix(ending), ending

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        with FileLock(os.path.join(self._datastore_path, ".semise.lock")):
            self._init_from_datastore_file()
            yield
