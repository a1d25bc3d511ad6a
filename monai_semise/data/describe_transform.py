# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import functools
import hashlib
import math
import os
import threading
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch

__all__ = ["describe_transform"]

STATE = (threading.local, type(threading.Lock()), np.random.RandomState, np.random.Generator, torch.Generator)
"""Attributes of these types come and go with use; MONAI's transforms have a thread-local one after their first call."""


def describe_transform(transform: Any) -> Any:
    """Class and parameters of a transform and of all that it consists of, as plain values for JSON.

    Two transforms that are made alike have equal descriptions, in every process. Functions count by their name.

    Example:
        >>> from monai.transforms import Flipd
        >>> describe_transform(Flipd("image", spatial_axis=0))["flipper"]["spatial_axis"]
        0
    """
    return _describe(transform, ())


def _describe(value: Any, enclosing: tuple[int, ...]) -> Any:
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if id(value) in enclosing:
        return "(itself)"
    inner = functools.partial(_describe, enclosing=(*enclosing, id(value)))
    if isinstance(value, Mapping):
        return {str(key): inner(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [inner(entry) for entry in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, np.generic):
        return inner(value.item())
    if isinstance(value, (np.ndarray, torch.Tensor)):
        array = np.ascontiguousarray(torch.as_tensor(value).cpu().numpy())
        return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    if isinstance(value, (np.dtype, torch.dtype, torch.device, os.PathLike)):
        return str(value)
    if isinstance(value, functools.partial):
        return {"_function_": inner(value.func), "args": inner(value.args), "keywords": inner(value.keywords)}
    if isinstance(value, type) or hasattr(value, "__qualname__"):  # a class or a function
        return f"{value.__module__}.{value.__qualname__}"
    parameters = {k: inner(v) for k, v in getattr(value, "__dict__", {}).items() if not isinstance(v, STATE)}
    return {"_class_": f"{type(value).__module__}.{type(value).__qualname__}", **parameters}
