# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from monai_semise.utils.errors import InputError

__all__ = ["ensure_writable", "file_digest", "load_checkpoint", "save_checkpoint", "write_json", "write_whole"]


@contextmanager
def write_whole(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Open ``path`` for writing so that it ends up whole or untouched.

    The content goes to a temporary file in the same folder, is flushed to the disk and then renamed over ``path``.
    A crash, a full disk or an exception inside the block leaves what was there before.

    Args:
        path: file to write; its folder is made when missing.
        mode: ``"w"`` for text (UTF-8, newlines as given) or ``"wb"`` for bytes.

    Yields:
        the open temporary file.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
        >>> with write_whole(target) as stream:
        ...     _ = stream.write("whole")
        >>> target.read_text()
        'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        text = "b" not in mode
        with open(descriptor, mode, encoding="utf-8" if text else None, newline="" if text else None) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all (see :func:`write_whole`)."""
    with write_whole(path) as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")


def save_checkpoint(path: str | os.PathLike, content: Any) -> None:
    """Save tensors and plain values with :func:`torch.save`, whole or not at all (see :func:`write_whole`)."""
    with write_whole(path, "wb") as stream:
        torch.save(content, stream)


def load_checkpoint(path: str | os.PathLike, map_location: str | torch.device = "cpu") -> Any:
    """Load what :func:`save_checkpoint` wrote, with ``weights_only=True``.

    Raises:
        InputError: when the file is missing, damaged, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path}: no such file")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"checkpoint {path}: cannot be loaded with weights_only=True ({reason})") from error


def ensure_writable(folder: str | os.PathLike, option: str = "--output_dir") -> Path:
    """Make ``folder`` and prove that a file can be written in it.

    Args:
        folder: to be written to.
        option: by which the user names it, for the error.

    Returns:
        the absolute path of the folder.

    Raises:
        InputError: when it cannot be made or written.
    """
    folder = Path(folder).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable."):
            pass
    except OSError as error:
        raise InputError(
            f"{option.lstrip('-')}: cannot write to {folder} ({error.strerror or error}); "
            f"free it, or name another folder with {option}"
        ) from error
    return folder


def file_digest(path: str | os.PathLike | None) -> str:
    """SHA-256 of a file, by which to tell later whether it is still the same; empty where none is named (None, or
    ``"null"`` as the command line has it), or there is none.

    Example:
        >>> file_digest("null")
        ''
    """
    if path is None or str(path) == "null" or not Path(path).is_file():
        return ""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
