# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_semise.data.datalist import SECTIONS
from monai_semise.utils import InputError

__all__ = ["EarlierDatalist"]

DECISIVE = ("validation", "test", "split", "seed")
"""Settings that place images in sections."""


@dataclass(frozen=True)
class EarlierDatalist:
    """The datalist that a run is about to replace.

    Args:
        path: of its file.
        sections: section of each image; unlabelled ones belong to training.
        source: how it was made; empty when this package did not make it.
    """

    path: Path
    sections: Mapping[Path, str]
    source: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> EarlierDatalist | None:
        """Read it; None when there is no such file.

        Raises:
            InputError: when the file is anything but a datalist.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            present = [section for section in SECTIONS if section in content]
            if not present:
                raise ValueError(f"none of the lists {', '.join(SECTIONS)}")
            sections = {
                path.parent / item["image"]: "training" if section == "unlabelled" else section
                for section in present
                for item in content[section]
            }
            source = content.get("source", {})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"--out: {path} exists and is not a datalist whose split could be kept "
                f"({type(error).__name__}: {error}); give --resplit to replace it, or name another file"
            ) from error
        return cls(path, sections, source if isinstance(source, dict) else {})

    @property
    def folder(self) -> str | None:
        """Name of the folder beside the file that holds what its source made."""
        name = self.source.get("files")
        beside = isinstance(name, str) and name == Path(name).name and name not in ("", "..")
        return name if beside else None

    def check_made_like(self, source: Mapping[str, Any]) -> None:
        """Check that the images can stay where they are.

        Args:
            source: how the new datalist is to be made.

        Raises:
            InputError: when the earlier one comes from another data set, or was split in another way.
        """
        for name, before, now in self._differences(source):
            made, give = (
                (f"from {before}", "") if name == "name" else (f"with --{name} {before}", f"--{name} {before}, ")
            )
            raise InputError(
                f"--out: {self.path} was made {made}, not {now}, and its images stay in their sections; "
                f"give {give}--resplit, or another file"
            )

    def _differences(self, source: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        for name in ("name", *DECISIVE):
            if name in self.source and self.source[name] != source[name]:
                yield name, self.source[name], source[name]
