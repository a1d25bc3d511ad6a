# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re

__all__ = ["InputError", "SemiseError", "TrainingError", "find_semise_error"]


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


KINDS = {kind.__name__: kind for kind in (InputError, TrainingError)}
WORKER_ERROR = re.compile(rf"^{SemiseError.__module__}\.(?P<kind>{'|'.join(KINDS)}): (?P<message>.*)$", re.MULTILINE)


def find_semise_error(error: BaseException | None) -> SemiseError | None:
    """The :class:`~monai_semise.utils.SemiseError` among an exception and its causes.

    MONAI wraps what happens inside a bundle in up to four ``RuntimeError`` ("Failed to evaluate ..."); torch passes on
    what happens in a loader's worker process as text.

    Example:
        >>> from monai_semise.utils import InputError
        >>> wrapped = RuntimeError("Failed to evaluate")
        >>> wrapped.__cause__ = InputError("batch_size: 0 is too small")
        >>> find_semise_error(wrapped)
        InputError('batch_size: 0 is too small')
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        from_worker = WORKER_ERROR.search(str(error))
        if from_worker is not None:
            return KINDS[from_worker["kind"]](from_worker["message"])
        if isinstance(error, SemiseError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
