# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

__all__ = ["InputError", "SemiseError", "TrainingError"]


class SemiseError(Exception):
    """An error whose message is written to be read on its own, without a traceback.

    It names the item and the field, says what was found and what to do.
    """


class InputError(SemiseError, ValueError):
    """Something the user gave cannot be used: data, a setting or a path.

    Example:
        >>> from monai_semise.utils import InputError
        >>> str(InputError("training[3].severity: -1 is negative; use 0 (healthy), 1, 2, ..."))
        'training[3].severity: -1 is negative; use 0 (healthy), 1, 2, ...'
    """


class TrainingError(SemiseError, RuntimeError):
    """Training cannot go on, though its input could be read."""
