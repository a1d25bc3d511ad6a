# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
import sys
from types import TracebackType

from monai.utils import MONAIEnvVars

from monai_semise.utils import InputError, SemiseError, TrainingError

__all__ = ["find_semise_error", "report_semise_errors"]

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


def report_semise_errors() -> None:
    """From now on, let an uncaught :class:`~monai_semise.utils.SemiseError` end the process with its message alone.

    For the ``initialize`` list of a bundle config. Other errors, and all of them under ``MONAI_DEBUG=1``, keep their
    traceback. Code that catches exceptions is not affected.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        known = find_semise_error(error)
        if known is None or MONAIEnvVars.debug():
            previous(kind, error, traceback)
        else:
            print(f"\nError: {known}\n(Set MONAI_DEBUG=1 to see where it was raised.)", file=sys.stderr)

    if getattr(previous, "reports_semise_errors", False):
        return
    hook.reports_semise_errors = True  # type: ignore[attr-defined]
    sys.excepthook = hook
