# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The app that MONAI Label's server runs; the ``main.py`` of an app folder imports it."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monailabel.interfaces.app
import torch
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore

from monai_semise import __version__
from monai_semise.apps.label.app_folder import COMPARISONS, MODELS
from monai_semise.apps.label.datastore import SharedDatastore, StudyFolder
from monai_semise.apps.label.infer_tasks import HeatMapTask, SegmentationTask, SeverityTask
from monai_semise.apps.label.packed_model import PackedModel
from monai_semise.apps.label.strategies import InformativePair, MostSevere, UncertainSeverity
from monai_semise.apps.label.study_archive import StudyArchive
from monai_semise.apps.label.train_task import ComparisonTrainTask, GradeTrainTask, OutlineTrainTask
from monai_semise.comparison import AnswerStore, ComparisonSession
from monai_semise.comparison.session import RATES
from monai_semise.utils import InputError

__all__ = ["SemiseApp"]

SESSIONS: dict[Path, ComparisonSession] = {}
"""By file of answers; they outlive an app that MONAI Label makes anew (``POST /reload``)."""
OPENING = threading.Lock()

monailabel.interfaces.app.DICOMWebDatastore = StudyArchive  # type: ignore[attr-defined]  # it has no other way


class SemiseApp(MONAILabelApp):
    """Severity, lesions and comparisons.

    Models ``severity`` and ``heat_map`` (of a packed ``semise_severity_...``), and ``segmentation``; training tasks of
    the same names, and ``preference``, which learns from comparisons; strategies ``most_severe``,
    ``uncertain_severity`` and ``informative_pair``.

    Args:
        app_dir: folder with the packed bundles below ``model/``.
        studies: folder of images, or the address of a DICOMweb server.
        conf: as MONAI Label passes it; ``repeat_rate`` and ``overlap_rate`` go to
            :class:`monai_semise.comparison.ComparisonSession`.

    Raises:
        InputError: when a bundle or a share cannot be used.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        packed = [PackedModel(folder) for folder in sorted((Path(app_dir) / MODELS).glob("semise_*"))]
        self.packed = {"segmentation" if model.name == "semise_segmentation" else "severity": model for model in packed}
        self.repeat_rate, self.overlap_rate = (_share(name, conf.get(name, "0.05")) for name in RATES)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="SEMISE",
            description="Severity, lesions and labelling by comparison",
            version=__version__,
        )

    def init_datastore(self) -> SharedDatastore:
        """A folder of images, or a DICOMweb server.

        Raises:
            InputError: when MONAI Label's settings name a datastore of another kind.
        """
        if not self.studies.startswith(("http://", "https://")):
            return StudyFolder(
                self.studies,
                extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
                auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
                read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
            )
        datastore = super().init_datastore()
        if not isinstance(datastore, StudyArchive):
            raise InputError(f"MONAI_LABEL_DATASTORE: {settings.MONAI_LABEL_DATASTORE!r}; serve a folder or DICOMweb")
        return datastore

    def datastore(self) -> SharedDatastore:
        """That of :meth:`init_datastore`."""
        return self._datastore  # type: ignore[no-any-return]

    def init_infers(self) -> dict[str, Any]:
        """The models."""
        tasks: dict[str, Any] = {}
        if "severity" in self.packed:
            tasks |= {
                "severity": SeverityTask(self.packed["severity"]),
                "heat_map": HeatMapTask(self.packed["severity"]),
            }
        if "segmentation" in self.packed:
            tasks["segmentation"] = SegmentationTask(self.packed["segmentation"])
        return tasks

    def init_trainers(self) -> dict[str, Any]:
        """One for each packed bundle, and one that learns from comparisons."""
        folder = Path(self.app_dir)
        tasks: dict[str, Any] = {}
        if "severity" in self.packed:
            tasks["severity"] = GradeTrainTask(self.packed["severity"], folder)
            if self.packed["severity"].name == "semise_pretrain":
                tasks["preference"] = ComparisonTrainTask(self.packed["severity"], folder)
        if "segmentation" in self.packed:
            tasks["segmentation"] = OutlineTrainTask(self.packed["segmentation"], folder)
        return tasks

    def init_strategies(self) -> dict[str, Any]:
        """Those of this package beside MONAI Label's ``random``."""
        return {
            **super().init_strategies(),
            "most_severe": MostSevere(),
            "uncertain_severity": UncertainSeverity(),
            "informative_pair": InformativePair(self.comparisons),
        }

    def infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Infer an image of the datastore, or one that was just sent; severities are kept in the image's info.

        Raises:
            InputError: when the image is of neither kind, or cannot be read.
        """
        datastore = self.datastore()
        image = str(request["image"])
        known = image in datastore.list_images()
        if not known and not _was_sent(image):
            raise InputError(f"image: {image!r} is not in the datastore; GET /datastore/?output=all lists what is")
        request = {**request, "source": datastore.source(image) if known else image}
        result: dict[str, Any] = super().infer(request, datastore)
        severity = (result["params"] or {}).get("severity")
        if known and severity is not None:
            datastore.update_image_info(image, {"severity": severity})
        return result

    def batch_infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Infer many images; one that cannot be read stops no other.

        MONAI Label's own divides by the number of GPUs, though there be none, and stops at the first error where it has
        one worker.
        """
        given = request if torch.cuda.is_available() else {**request, "multi_gpu": False, "device": "cpu"}

        def infer(request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
            try:
                return self.infer(request, datastore)
            except Exception:
                logging.getLogger("monai_semise").exception(f"{request['image']}: left out")
                return {}

        return dict(self._batch_infer(given, datastore or self.datastore(), infer))

    def comparisons(self) -> ComparisonSession:
        """The session of comparisons, with all images that are there by now; opened when first wanted.

        Raises:
            InputError: when another server has the answers open, or there are too few or too many images.
        """
        datastore = self.datastore()
        images = {image: datastore.path(image) for image in sorted(datastore.list_images())}
        path = Path(self.app_dir).resolve() / COMPARISONS
        with OPENING:
            if path not in SESSIONS:
                SESSIONS[path] = self._opened(path, images)
            SESSIONS[path].set_images(images)
            return SESSIONS[path]

    def _opened(self, path: Path, images: Mapping[str, str]) -> ComparisonSession:
        store = AnswerStore(path)
        try:
            return ComparisonSession(store, images, self.repeat_rate, self.overlap_rate)
        except InputError:
            store.close()
            raise

    def _download_dcmqi_tools(self) -> None:
        """Nothing: the server loads nothing from the network."""


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name}: {text!r} is not a share between 0 and 1") from None


def _was_sent(image: str) -> bool:
    """Whether it is a file that the server itself put down: an upload, or that of a session."""
    sessions = settings.MONAI_LABEL_SESSION_PATH or os.path.expanduser("~/.cache/monailabel/sessions")
    path = Path(os.path.realpath(image))
    uploaded = path.parent == Path(os.path.realpath(tempfile.gettempdir()))
    return path.is_file() and (uploaded or path.is_relative_to(os.path.realpath(sessions)))
