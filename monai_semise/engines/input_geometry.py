# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

__all__ = ["InputGeometry"]


@dataclass(frozen=True)
class InputGeometry:
    """Where an image lies, and which part of it the network saw: what it takes to bring masks back to the image.

    As text it passes any collation, like :class:`~monai_semise.data.DicomInfo`.

    Attributes:
        size: spatial size of the image as it was loaded.
        affine: from its pixels to millimeters in RAS, shape (4, 4).
        spacing: of its pixels in millimeters along each axis; None where the file does not tell.
        seen: first pixel, and the one after the last, that the network saw, along each axis.
        flipped: axes that ran backwards for the network.

    Example:
        >>> import torch
        >>> affine = torch.tensor([[-1.0, 0, 0, 4], [0, 1, 0, 2], [0, 0, 1, 0], [0, 0, 0, 1]])
        >>> geometry = InputGeometry.of_view((5, 4), torch.eye(4), None, view_size=(3, 1), view_affine=affine)
        >>> geometry.seen, geometry.flipped
        (((2, 5), (2, 3)), (0,))
        >>> geometry.restore(torch.tensor([[[1], [2], [3]]]))[0, :, 2]
        tensor([0, 0, 3, 2, 1])
    """

    size: tuple[int, ...]
    affine: tuple[tuple[float, ...], ...]
    spacing: tuple[float, ...] | None
    seen: tuple[tuple[int, int], ...]
    flipped: tuple[int, ...] = ()

    @classmethod
    def of_view(
        cls,
        size: Sequence[int],
        affine: Tensor,
        spacing: Sequence[float] | None,
        view_size: Sequence[int],
        view_affine: Tensor,
    ) -> InputGeometry:
        """
        Args:
            size: of the image.
            affine: of the image.
            spacing: of the image.
            view_size: of what is left of it after flips and crops.
            view_affine: from pixels of that to pixels of the image, shape (4, 4).
        """
        seen, flipped = [], []
        for axis, length in enumerate(view_size):
            first = round(float(view_affine[axis, 3]))
            if view_affine[axis, axis] < 0:
                flipped.append(axis)
                first += 1 - length
            seen.append((first, first + length))
        rows = tuple(tuple(row) for row in affine.tolist())
        return cls(tuple(size), rows, None if spacing is None else tuple(spacing), tuple(seen), tuple(flipped))

    @property
    def seen_size(self) -> tuple[int, ...]:
        """Spatial size of what the network saw, before it was resized."""
        return tuple(stop - start for start, stop in self.seen)

    @property
    def pixel_size(self) -> float | None:
        """Area of a pixel in square, or volume of a voxel in cubic millimeters; None where it is not known."""
        return None if self.spacing is None else math.prod(self.spacing)

    def restore(self, masks: Tensor) -> Tensor:
        """Masks of the whole image from those of what the network saw; 0 elsewhere.

        Args:
            masks: shape (S, *seen_size).

        Returns:
            shape (S, *size).
        """
        whole = masks.new_zeros((len(masks), *self.size))
        box = tuple(slice(start, stop) for start, stop in self.seen)
        whole[(slice(None), *box)] = masks.flip([1 + axis for axis in self.flipped])
        return whole

    def to_text(self) -> str:
        """The text that :meth:`from_text` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> InputGeometry:
        """The geometry of which :meth:`to_text` made a text."""
        fields = json.loads(text)
        for name in ("affine", "seen"):
            fields[name] = tuple(map(tuple, fields[name]))
        for name in ("size", "spacing", "flipped"):
            fields[name] = None if fields[name] is None else tuple(fields[name])
        return cls(**fields)
