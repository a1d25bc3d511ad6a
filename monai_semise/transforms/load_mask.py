# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils.enums import TransformBackends
from nibabel.orientations import aff2axcodes
from torch import Tensor

from monai_semise.transforms.load_checked_image import LoadCheckedImage
from monai_semise.utils import InputError, plain_tensor

__all__ = ["LoadMask", "LoadMaskD", "LoadMaskDict", "LoadMaskd"]

MaskFiles = str | os.PathLike | Sequence[str | os.PathLike | None]
LOSSY = (".jpg", ".jpeg")
MOST_VALUES = 32
"""Above so many different values, a file is no mask: lossy compression or interpolation blurred it."""


class LoadMask(Transform):
    """Read the masks of an image, a channel for each structure, and check that they fit it.

    What a mask may be:

    - a list of one file for each structure, None where the image does not show it: structures may overlap;
    - one file where there is one structure;
    - one file where there are several: a label map, 0 = background, 1 = the first structure, 2 = the second, ...

    Except in a label map, every value but 0 is foreground (masks of 0 and 1 as well as of 0 and 255); in a colour file,
    every pixel that is not black. Files are read as images are, with the axes in the same order.

    Args:
        n_structures: number of structures S.
        spatial_dims: number of spatial axes, 2 or 3; None = any.
        exclusive: whether a pixel must not belong to two structures.
        kwargs: further arguments of MONAI's ``LoadImage``, such as ``reader``.

    Raises:
        InputError: naming the file, when it cannot be read, has another size than its image, lies otherwise in space
            (volumes), holds a label that stands for no structure or values that are no mask's; or when there is not
            one file for each structure, or exclusive structures overlap.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self, n_structures: int = 1, spatial_dims: int | None = 2, exclusive: bool = False, **kwargs: Any
    ) -> None:
        if n_structures < 1:
            raise ValueError(f"n_structures must be at least 1, got {n_structures}")
        self.n_structures = n_structures
        self.exclusive = exclusive
        self.load = LoadCheckedImage(channels=None, spatial_dims=spatial_dims, **kwargs)

    def __call__(self, mask: MaskFiles, image: Tensor, image_name: str = "the image") -> Tensor:
        """
        Args:
            mask: a file, or a list of files and None.
            image: the image as it was loaded, shape (C, *spatial).
            image_name: what to call it in an error.

        Returns:
            0 and 1, uint8, shape (S, *spatial). Small, because whoever scores in the image's own size keeps them.
        """
        if isinstance(mask, (str, os.PathLike)):
            if self.n_structures == 1:
                return self._foreground(mask, image, image_name)
            return self._labels(mask, image, image_name)
        if len(mask) != self.n_structures:
            raise InputError(
                f"{image_name}: {len(mask)} masks where there are {self.n_structures} structures; "
                "list one for each, null where the image does not show it"
            )
        absent = torch.zeros((1, *image.shape[1:]), dtype=torch.uint8)
        masks = [absent if file is None else self._foreground(file, image, image_name) for file in mask]
        joined = torch.cat(masks)
        n_shared = int((joined.sum(dim=0) > 1).sum()) if self.exclusive else 0
        if n_shared:
            raise InputError(
                f"{image_name}: its masks overlap in {n_shared} pixels, and the structures are said to be exclusive; "
                "set exclusive to false, or correct the masks"
            )
        return joined

    def _foreground(self, file: str | os.PathLike, image: Tensor, image_name: str) -> Tensor:
        values = self._read(file, image, image_name)
        if len(values) not in (1, 3):
            raise InputError(f"{file}: {len(values)} channels found; save the mask as a grey image")
        n_values = len(values.unique())
        if n_values > MOST_VALUES:
            raise InputError(
                f"{file}: {n_values} different values found, which is no mask; threshold it, and save it without "
                "lossy compression (PNG, not JPEG)"
            )
        return (values != 0).any(dim=0, keepdim=True).byte()

    def _labels(self, file: str | os.PathLike, image: Tensor, image_name: str) -> Tensor:
        values = self._read(file, image, image_name)
        if len(values) != 1:
            raise InputError(
                f"{file}: {len(values)} channels found where a label map has one; list one mask file for each of the "
                f"{self.n_structures} structures, or save the map as a grey image"
            )
        labels = torch.arange(1, self.n_structures + 1).view(-1, *[1] * (values.ndim - 1))
        stray = values[(values != 0) & (values != labels).all(dim=0, keepdim=True)]
        if len(stray):
            raise InputError(
                f"{file}: label {stray[0].item():g} found where a label map of {self.n_structures} structures holds "
                f"0 to {self.n_structures}; correct it, or list one mask file for each structure"
            )
        return (values == labels).byte()

    def _read(self, file: str | os.PathLike, image: Tensor, image_name: str) -> Tensor:
        if str(file).lower().endswith(LOSSY):
            raise InputError(
                f"{file}: a JPEG holds no exact mask, its compression blurs the border; threshold it at half of its "
                "largest value, and save it as PNG"
            )
        values = self.load(file)
        if values.shape[1:] != image.shape[1:]:
            raise InputError(
                f"{file}: the mask has size {_size(values)} and its image {image_name} {_size(image)}; "
                "correct the datalist, or draw the mask on this image"
            )
        if isinstance(image, MetaTensor) and values.ndim == 4:
            axes, image_axes = _orientation(values), _orientation(image)
            if axes != image_axes:
                raise InputError(
                    f"{file}: the axes of the mask point to {axes} and those of its image {image_name} to "
                    f"{image_axes}; save the mask in the orientation of the image"
                )
        return plain_tensor(values)


class LoadMaskd(MapTransform):
    """Dictionary form of :class:`LoadMask`; use it where the image was just loaded, before it is resized.

    Args:
        keys: keys of the masks.
        image_key: key of the image; its path, for errors, under ``f"{image_key}_path"``.
        n_structures: see :class:`LoadMask`.
        spatial_dims: see :class:`LoadMask`.
        exclusive: see :class:`LoadMask`.
        allow_missing_keys: whether a missing key is skipped.
        kwargs: further arguments of ``LoadImage``.
    """

    backend = LoadMask.backend

    def __init__(
        self,
        keys: KeysCollection,
        image_key: Hashable = "image",
        n_structures: int = 1,
        spatial_dims: int | None = 2,
        exclusive: bool = False,
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.load = LoadMask(n_structures, spatial_dims, exclusive, **kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        name = str(data.get(f"{self.image_key}_path", "the image"))
        for key in self.key_iterator(data):
            result[key] = self.load(data[key], data[self.image_key], name)
        return result


def _size(image: Tensor) -> str:
    return " x ".join(str(length) for length in image.shape[1:])


def _orientation(volume: MetaTensor) -> str:
    """Where the axes point to, such as ``"RAS"``."""
    return "".join(str(code) for code in aff2axcodes(volume.affine.numpy()))


LoadMaskD = LoadMaskDict = LoadMaskd
