# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What the DICOM files of this package have in common: the optional package that makes them, and who made them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monai.utils import optional_import
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

import monai_semise
from monai_semise.utils import InputError

__all__ = ["MAKER", "algorithm", "dicom_text", "discreet", "instance", "require_highdicom"]

INSTALL = 'pip install "monai-semise[dicom]"'
MAKER = "monai_semise"
CHARACTER_SET = "ISO_IR 192"
"""UTF-8, so that names of any script go with the text of any source."""
NO_FRAME_OF_REFERENCE = "no frame of reference"
TEXT_LENGTH = 64
"""Of a label or the meaning of a code (value representation LO)."""


def require_highdicom(wanted: str) -> Any:
    """The package ``highdicom``.

    Args:
        wanted: the setting or file that needs it, for the error.

    Raises:
        InputError: when it is not installed.
    """
    highdicom, installed = optional_import("highdicom")
    if not installed:
        raise InputError(f"{wanted}: needs the package highdicom; install it with {INSTALL}")
    return highdicom


def algorithm() -> dict[str, Any]:
    """Arguments by which highdicom's classes name the algorithm."""
    return {"name": MAKER, "version": monai_semise.__version__}


def instance(hd: Any, series_number: int, content: str) -> dict[str, Any]:
    """Arguments by which highdicom's classes describe a new file, in a series of its own, and who made it."""
    return {
        "series_instance_uid": hd.UID(),
        "series_number": series_number,
        "series_description": f"{content} by {MAKER}",
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": monai_semise.__version__,
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "specific_character_set": CHARACTER_SET,
    }


def dicom_text(text: str) -> str:
    """A name as DICOM takes it: in one line of at most 64 characters, without the backslash that parts values.

    Example:
        >>> dicom_text("hard\\nexudates \\\\ soft")
        'hard_exudates _ soft'
    """
    return "".join(c if c.isprintable() and c != "\\" else "_" for c in text)[:TEXT_LENGTH].strip()


@contextmanager
def discreet(name: str, kind: str) -> Iterator[None]:
    """Nothing of a header, which is about a patient, gets out of the block but into files.

    highdicom and pydicom log identifiers, and quote values that they find odd in warnings and errors. Warnings and logs
    are left out, and errors become an :class:`InputError` that quotes nothing; a full disk stays what it is.

    Args:
        name: the source.
        kind: what is made of it.
    """
    loggers = [logging.getLogger(package) for package in ("highdicom", "pydicom")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, AttributeError) and isinstance(error.obj, Dataset):
            found = f"its header lacks {error.name}"
        elif NO_FRAME_OF_REFERENCE in str(error).lower():
            found = "it has no frame of reference, which its kind of image must have"
        else:
            found = f"{type(error).__name__} in its header"
        raise InputError(f"{name}: no {kind} can be made of it ({found}); correct the header of the source") from error
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
