# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import ArgumentParser, _ArgumentGroup
from pathlib import Path
from typing import ClassVar

from monai_semise.data.collection import Collection

__all__ = ["Source"]


class Source(ABC):
    """A data set in its original layout on disk. Subclasses are thin: they find files and translate grades.

    Their ``__init__`` takes the options that :meth:`add_arguments` defines, by keyword; the class docstring says where
    the data set comes from, under which licence, and where its grade order comes from.

    Attributes:
        name: on the command line.
        title: one line for ``--help``.
        grades: names of the grades, the mildest first; empty when they come from the data.
        validation: share of all images to draw for validation, when the data set publishes none.
        test: share of all images to draw for testing, when the data set publishes none.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    grades: ClassVar[tuple[str, ...]] = ()
    validation: ClassVar[float] = 0.15
    test: ClassVar[float] = 0.15

    @classmethod  # noqa: B027
    def add_arguments(cls, parser: ArgumentParser | _ArgumentGroup) -> None:
        """Define the options of this source, beyond those that all have."""

    @abstractmethod
    def read(self, root: Path, work: Path) -> Collection:
        """Read the data set.

        Args:
            root: its folder (or file), which exists.
            work: folder for files that the source must make (masks from boxes, images from an array); made when
                needed. It is moved beside the datalist once everything is checked, so nothing is left of a run that
                fails.

        Raises:
            InputError: when the layout is not that of the data set. What is wrong with single images goes to
                :meth:`Collection.skip <monai_semise.data.Collection.skip>` instead.
        """
