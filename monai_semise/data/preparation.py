# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from monai_semise.data.quantize import dequantize, quantize
from monai_semise.data.source_files import file_stamps, source_files
from monai_semise.utils import InputError, plain_tensor

__all__ = ["Preparation", "Prepared"]

PROBE = "_probe"
"""A field that no item has; whether a transform passes it on tells whether it passes on every field."""


class Prepared(NamedTuple):
    """What is kept of an item."""

    files: tuple[str, ...]
    """Files that it was made of, see :func:`monai_semise.data.source_files.source_files`."""
    stamps: tuple[str, ...]
    """Their state before they were read."""
    arrays: dict[str, np.ndarray]


class Preparation:
    """Splits what a transform gives into arrays, which are kept, and fields, which the item itself tells.

    How it does so is learned from one item; the others must be alike.

    Args:
        transform: turns an item into a dictionary with a tensor under each of ``keys``.
        keys: fields to keep as arrays.
        dtype: how floating point tensors are kept, see :func:`monai_semise.data.quantize.quantize`.
        item: the item to learn from.

    Attributes:
        example: what is kept of that item.

    Raises:
        InputError: when the transform gives no tensors, or changes or adds other fields.
    """

    def __init__(
        self, transform: Callable[[dict[str, Any]], Any], keys: Sequence[str], dtype: str, item: Mapping[str, Any]
    ) -> None:
        self.transform = transform
        self.keys = tuple(keys)
        self.dtype = dtype
        files = source_files(item, self.keys)
        stamps = file_stamps(files)
        result = transform({**item, PROBE: True})
        where = next(filter(None, files))
        if not isinstance(result, Mapping):
            raise InputError(f"{where}: the preprocessing gives {type(result).__name__} where a dictionary is needed")
        tensors = self._tensors(result, where)
        self.floating = {key: tensor.is_floating_point() for key, tensor in tensors.items()}
        self.example = Prepared(files, stamps, self._arrays(tensors, where))
        self._learn_fields(item, result, where)

    def prepare(self, item: Mapping[str, Any]) -> Prepared:
        """Transform an item.

        Raises:
            InputError: when the result is not like that of the first item; other errors as the transform raises them.
        """
        files = source_files(item, self.keys)
        stamps = file_stamps(files)  # before the files are read: a change in the meantime must not go unnoticed
        result = self.transform(dict(item))
        where = next(filter(None, files))
        expected = self.fields(item)
        for name in {**result, **expected}:
            known = name in result and name in expected and _same(result[name], expected[name])
            if not known and name not in self.keys:
                raise InputError(
                    f'{where}: the preprocessing treats the field "{name}" otherwise than it does for the first image; '
                    "give every item the same fields"
                )
        arrays = self._arrays(self._tensors(result, where), where)
        for key, array in arrays.items():
            first = self.example.arrays[key]
            if (array.shape, array.dtype) != (first.shape, first.dtype):
                raise InputError(
                    f"{where}: {key} is {array.dtype} of shape {array.shape} after the preprocessing, the first one is "
                    f"{first.dtype} of shape {first.shape}; let the preprocessing make them alike (Resized)"
                )
        return Prepared(files, stamps, arrays)

    def fields(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What the transform gives besides the arrays."""
        if self.passes_on:
            fields = {name: value for name, value in item.items() if name not in self.dropped}
        else:
            fields = {name: item[name] for name in self.selected if name in item}
        for name, key in self.paths.items():
            fields[name] = str(item[key])
        return fields

    def tensor(self, key: str, array: np.ndarray) -> Tensor:
        """The tensor under ``key`` that ``array`` was kept of, but for rounding."""
        return dequantize(array, self.floating[key])

    def _tensors(self, result: Mapping[str, Any], where: str) -> dict[str, Tensor]:
        for key in self.keys:
            if key not in result:
                raise InputError(f"{where}: the preprocessing gives no {key}, only {', '.join(map(str, result))}")
        return {key: plain_tensor(torch.as_tensor(result[key])) for key in self.keys}

    def _arrays(self, tensors: Mapping[str, Tensor], where: str) -> dict[str, np.ndarray]:
        return {key: quantize(tensor, self.dtype, name=f"{where}: {key}") for key, tensor in tensors.items()}

    def _learn_fields(self, item: Mapping[str, Any], result: Mapping[str, Any], where: str) -> None:
        given = {name: value for name, value in result.items() if name not in (PROBE, *self.keys)}
        self.paths = {f"{key}_path": key for key in self.keys if f"{key}_path" in given and key in item}
        for name, value in given.items():
            if name in self.paths:
                known = _same(value, str(item[self.paths[name]]))
            else:
                known = name in item and _same(value, item[name])
            if not known:
                raise InputError(
                    f'{where}: the preprocessing {"changes" if name in item else "adds"} the field "{name}", but only '
                    f"{', '.join(self.keys)} can be kept; leave it out with SelectItemsd, or do that step afterwards"
                )
        self.passes_on = PROBE in result
        self.dropped = {name for name in item if name not in given}
        self.selected = [name for name in given if name not in self.paths]


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and np.array_equal(a, b))
