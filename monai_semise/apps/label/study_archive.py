# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import tempfile
from typing import Any

from cachetools import TTLCache, cached
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.datastore.utils.dicom import dicom_web_download_series
from monailabel.interfaces.datastore import DefaultLabelTag

from monai_semise.apps.label.datastore import SharedDatastore
from monai_semise.utils import InputError

__all__ = ["StudyArchive"]

MODALITY = "00080060"
SERIES = "0020000E"
NO_IMAGES = {"AU", "DOC", "ECG", "FID", "KO", "PLAN", "PR", "REG", "RTDOSE", "RTPLAN", "RTSTRUCT", "RWV", "SEG", "SR"}
"""Modalities of series that a person made of images, or that are none."""


class StudyArchive(SharedDatastore, DICOMWebDatastore):
    """MONAI Label's datastore of a DICOMweb server, of which it lists images only.

    A series comes from the server when it is first looked at, whole or not at all.
    """

    @cached(cache=TTLCache(maxsize=16, ttl=settings.MONAI_LABEL_DICOMWEB_CACHE_EXPIRY))
    def list_images(self) -> list[str]:
        """The series of images."""
        found = self._client.search_for_series(search_filters=self._search_filter)
        return [_first(series, SERIES) for series in found if _first(series, MODALITY) not in NO_IMAGES]

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """
        Raises:
            InputError: always; images are sent to the archive, and not to this server.
        """
        raise InputError("image: send it to the DICOMweb server, which this server takes images from")

    def path(self, image_id: str) -> str:
        """See :meth:`SharedDatastore.path`."""
        return os.path.join(os.path.realpath(self._datastore.image_path()), image_id)

    def source(self, image_id: str) -> str:
        """See :meth:`SharedDatastore.source`."""
        series = self.path(image_id)
        if not os.path.isdir(series):
            with tempfile.TemporaryDirectory(dir=os.path.dirname(series), prefix=".") as folder:
                downloaded = os.path.join(folder, image_id)
                dicom_web_download_series(None, image_id, downloaded, self._client, self._fetch_by_frame)
                os.rename(downloaded, series)
        return series

    def outlines(self) -> dict[str, str]:
        """See :meth:`SharedDatastore.outlines`; the DICOM SEG of the server are converted to NIfTI."""
        self._download_labeled_data()
        final = DefaultLabelTag.FINAL
        return {
            image: LocalDatastore.get_label_uri(self, image, final) for image in self._datastore.filter_by_tag(final)
        }

    def get_image_uri(self, image_id: str) -> str:
        """File of an image, converted to NIfTI for viewers, or the folder of a series whose images are no volume."""
        source = self.source(image_id)
        try:
            return str(super().get_image_uri(image_id))
        except RuntimeError:  # of ITK
            with self._up_to_date():
                image = ImageLabelModel(image=DataModel(info=self._dicom_info(image_id), ext=""))
                self._datastore.objects.setdefault(image_id, image)
                self._update_datastore_file()
            return source


def _first(series: dict[str, Any], tag: str) -> str:
    return str(series.get(tag, {}).get("Value", [""])[0])
