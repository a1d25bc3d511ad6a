# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser

from monai_semise.apps.inference import find_inputs
from monai_semise.apps.pack.kinds import packed_kind
from monai_semise.apps.pack.packed_network import load_network
from monai_semise.data.datalist import UNGRADED
from monai_semise.utils import InputError

__all__ = ["Inference", "PackedModel"]

WRITERS = ("SeverityWriterHandler", "MaskWriterHandler")
TABLES = ("severity.csv", "segmentation.csv")


class Inference(NamedTuple):
    """What the inference config of a packed bundle made of an image.

    Attributes:
        rows: of ``severity.csv`` or ``segmentation.csv``.
        parser: of the config, to get other parts from, such as ``dataset``.
        folder: with what the handlers wrote; it is deleted afterwards.
    """

    rows: list[dict[str, str]]
    parser: ConfigParser
    folder: Path


class PackedModel:
    """A packed bundle whose network stays in memory between images, until its weights are replaced.

    Args:
        folder: of the bundle, as ``python -m monai_semise pack`` makes it.

    Raises:
        InputError: when there is no packed bundle of this package.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.name = packed_kind(self.folder)
        self.config: dict[str, Any] = ConfigParser.load_config_file(self.folder / "configs" / "inference.json")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._lock = threading.Lock()
        self._loaded: tuple[int, torch.nn.Module] | None = None

    @property
    def weights(self) -> Path:
        """File of the network."""
        return self.folder / "models" / "model.pt"

    @property
    def labels(self) -> dict[str, int]:
        """Structures and their values in a label map, or grades."""
        if self.name == "semise_segmentation":
            return {name: value for value, name in enumerate(self.config["structures"], 1)}
        return {name: grade for grade, name in enumerate(self.config["grade_names"])}

    def infer(self, image: str, use: Any) -> Any:
        """Run the inference config on an image.

        Args:
            image: a file, or a folder with the DICOM files of a series.
            use: takes the :class:`Inference`, and returns what this method returns.

        Raises:
            InputError: when the image cannot be read.
        """
        with self._lock, tempfile.TemporaryDirectory() as folder:
            parser = self._parser(self._items(image), folder)
            parser.get_parsed_content("evaluator").run()
            rows, unreadable = self._read(Path(folder))
            if not rows:
                raise InputError(unreadable[0]["reason"] if unreadable else f"{image}: nothing was found in it")
            return use(Inference(rows, parser, Path(folder)))

    def _items(self, image: str) -> list[dict[str, Any]]:
        if Path(image).is_dir():
            return find_inputs(image, self.config["spatial_dims"])
        return [{"image": image, "severity": UNGRADED, "index": 0}]

    def _parser(self, items: list[dict[str, Any]], folder: str) -> ConfigParser:
        handlers = [one for one in self.config["handlers"] if one["_target_"].rpartition(".")[2] in WRITERS]
        given: dict[str, Any] = {
            "bundle_root": str(self.folder),
            "output_dir": folder,
            "device": self.device,
            "num_workers": 0,
        }
        config: dict[str, Any] = {
            **self.config,
            **given,
            "handlers": handlers,
            "network": self._network(),
            "items": items,
        }
        if "masks" in config:
            config["masks"] = {**config["masks"], "exclusive": True}  # one label map, as MONAI Label keeps labels
        parser = ConfigParser(config)
        parser.parse()
        return parser

    def _network(self) -> torch.nn.Module:
        changed = self.weights.stat().st_mtime_ns
        if self._loaded is None or self._loaded[0] != changed:
            self._loaded = changed, load_network(self.folder).to(self.device)
        return self._loaded[1]

    def _read(self, folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        (table,) = (folder / name for name in TABLES if (folder / name).is_file())
        found = []
        for path in (table, folder / "unreadable.csv"):
            with open(path, encoding="utf-8", newline="") as stream:
                found.append(list(csv.DictReader(stream)))
        return found[0], found[1]
