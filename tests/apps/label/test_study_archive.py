# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.uid import CTImageStorage, generate_uid

pytest.importorskip("monailabel")

import nibabel as nib
import requests
from monailabel.client import MONAILabelClient

from tests.apps.label.archive import archive, store
from tests.apps.label.served import AFFINE, image_info, infer_all, server
from tests.data.dicom_files import write_dicom, write_series

STUDY, SERIES, IMAGE, REPORT, VIEWS = (
    generate_uid(entropy_srcs=[name]) for name in ("study", "series", "image", "report", "views")
)


def put(url, folder):
    """A CT of three slices, a gray image of another patient, two of unlike size in one series, and a report."""
    random = np.random.default_rng(0)
    common = {"StudyInstanceUID": STUDY, "PatientID": "p1", "PatientName": "Doe", "StudyDate": "20260101"}
    common |= {"StudyTime": "120000", "FrameOfReferenceUID": generate_uid(), "SOPClassUID": CTImageStorage}
    common |= {"StudyID": "1", "AccessionNumber": "", "SeriesNumber": 1, "PatientBirthDate": "", "PatientSex": ""}
    common |= {"ReferringPhysicianName": "", "SliceThickness": 3.0}
    volume = random.integers(4096, size=(32, 36, 3), dtype=np.uint16)
    write_series(folder / "ct", volume, AFFINE, SeriesInstanceUID=SERIES, Modality="CT", **common)
    other = {**common, "StudyInstanceUID": generate_uid(), "PatientID": "p2"}
    pixels = random.integers(4096, size=(30, 20), dtype=np.uint16)
    write_dicom(folder / "cr.dcm", pixels, SeriesInstanceUID=IMAGE, Modality="CR", **other)
    write_dicom(folder / "sr.dcm", pixels, SeriesInstanceUID=REPORT, Modality="SR", **other)
    for n, shape in enumerate([(30, 20), (24, 40)]):
        pixels = random.integers(4096, size=shape, dtype=np.uint16)
        write_dicom(folder / f"view{n}.dcm", pixels, SeriesInstanceUID=VIEWS, Modality="CR", **other)
    for path in (*sorted((folder / "ct").iterdir()), *sorted(folder.glob("*.dcm"))):
        store(url, path)
    return volume


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of a server of an archive, that of the archive, and the folder of both."""
    folder = tmp_path_factory.mktemp("archive")
    with archive(folder) as dicomweb:
        put(dicomweb, folder)
        with server(folder, dicomweb) as url:
            yield url, dicomweb, folder


@pytest.fixture(scope="module")
def client(served):
    return MONAILabelClient(served[0], str(served[2]))


def fetched(folder):
    """Series that were brought from the archive."""
    return {path.name for path in (folder / ".cache" / "monailabel" / "dicom").glob("*/*") if path.name[0].isdigit()}


def test_images_are_listed_and_fetched_when_they_are_looked_at(served, client):
    url, _, folder = served
    assert client.info()["datastore"]["total"] == 3  # a report is no image
    pair = client.next_sample("informative_pair", {})["pair"]
    assert set(pair) < {SERIES, IMAGE, VIEWS}
    assert len({name.removesuffix(".nii.gz") for name in fetched(folder)}) < 3
    shown = requests.get(f"{url}/compare/api/image", params={"id": SERIES}, timeout=60).json()
    assert (shown["slices"], shown["width"], shown["height"]) == (3, 32, 36)
    pixels = requests.get(f"{url}/compare/api/pixels", params={"id": SERIES, "slice": 1}, timeout=60)
    assert len(pixels.content) == 2 * 32 * 36
    assert {SERIES} <= fetched(folder)


def test_severity_is_read_from_the_dicom_files_and_kept(served, client):
    url = served[0]
    for image, n_images in ((SERIES, 3), (VIEWS, 2), (IMAGE, 1)):
        found = json.loads(client.infer("severity", image, {})[1])["severity"]
        assert found["n_images"] == n_images
        info = image_info(url, image)
        assert info["severity"] == found
    assert info["PatientID"] == "p2"
    assert client.next_sample("most_severe", {})["id"] in (SERIES, IMAGE, VIEWS)


def test_batch_inference_scores_every_series(served):
    infer_all(served[0], "severity")
    assert [image_info(served[0], image)["severity"]["n_images"] for image in (SERIES, IMAGE, VIEWS)] == [3, 1, 2]


def test_outlines_go_to_the_archive_as_dicom_seg(served, client, tmp_path):
    url, dicomweb, _ = served
    image = requests.get(f"{url}/datastore/image", params={"image": SERIES}, timeout=60)
    (tmp_path / "image.nii.gz").write_bytes(image.content)
    mask = np.zeros((32, 36, 3), np.uint8)
    mask[8:20, 8:20] = 1
    affine = nib.load(tmp_path / "image.nii.gz").affine
    nib.save(nib.Nifti1Image(mask, affine), tmp_path / "mask.nii.gz")
    client.save_label(SERIES, str(tmp_path / "mask.nii.gz"), "final", {"label_info": [{"name": "lesion"}]})
    found = requests.get(
        f"{dicomweb}/series", params={"Modality": "SEG"}, headers={"Accept": "application/dicom+json"}, timeout=60
    )
    (segmentation,) = found.json()
    assert segmentation["0020000D"]["Value"] == [STUDY]
    assert client.info()["datastore"]["total"] == 3


def test_images_are_not_taken_in_here(served):
    answer = requests.put(f"{served[0]}/datastore/?image=x", files={"file": ("x.png", b"x")}, timeout=60)
    assert answer.status_code == 400
    assert "send it to the DICOMweb server" in answer.json()["detail"]


def test_a_series_that_is_not_there(served):
    answer = requests.post(f"{served[0]}/infer/severity?image=1.2.3", timeout=60)
    assert answer.status_code == 400
    assert "is not in the datastore" in answer.json()["detail"]
