# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import sys
from types import TracebackType

from monai.utils import MONAIEnvVars

from monai_semise.utils import find_semise_error

__all__ = ["report_semise_errors"]


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
