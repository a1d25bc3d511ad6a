# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import shutil
import sys

import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage

from monai_semise import __version__
from monai_semise.data import DicomReader
from monai_semise.dicom import write_dicom_seg, write_severity_sr
from monai_semise.utils import InputError
from tests.data.dicom_files import bundled, write_dicom
from tests.dicom.sources import (
    AXIAL,
    MIRRORED,
    PATIENT,
    TILTED,
    UNPLACED,
    complaints,
    ct_series,
    enhanced_mr,
    unplaced,
    volume_of,
)

highdicom = pytest.importorskip("highdicom")

THRESHOLDS = {"bright": 200, "very bright": 300}


def masks_of(source):
    """Masks of what is above the thresholds in the image that our reader gives, shape (2, x, y[, slices])."""
    image = LoadImage(reader=DicomReader(), image_only=True)(source).numpy()
    return np.stack([image > threshold for threshold in THRESHOLDS.values()])


def slices_of(source):
    """Stored pixels, read by pydicom alone: {(SOP instance UID, frame number, from 1): (rows, columns)}."""
    found = {}
    for file in source.iterdir() if source.is_dir() else [source]:
        dataset = pydicom.dcmread(file)
        pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
        found.update({(dataset.SOPInstanceUID, n): frame for n, frame in enumerate(pixels, 1)})
    return found


def check_overlay(path, source):
    """Every frame is above the threshold where the frame of the source to which it refers is; none is missing."""
    dataset = pydicom.dcmread(path)
    slices, seen = slices_of(source), set()
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    for groups, mask in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        reference = groups.DerivationImageSequence[0].SourceImageSequence[0]
        key = (reference.ReferencedSOPInstanceUID, int(reference.get("ReferencedFrameNumber", 1)))
        assert np.array_equal(mask, slices[key] > list(THRESHOLDS.values())[segment - 1])
        seen.add((key, segment))
        if source.is_dir():
            position = next(
                pydicom.dcmread(f).ImagePositionPatient
                for f in source.iterdir()
                if pydicom.dcmread(f).SOPInstanceUID == key[0]
            )
            assert groups.PlanePositionSequence[0].ImagePositionPatient == position
    expected = {
        (key, number)
        for key, frame in slices.items()
        for number, threshold in enumerate(THRESHOLDS.values(), 1)
        if (frame > threshold).any()
    }
    assert seen == expected


@pytest.mark.parametrize("affine", [AXIAL, TILTED, MIRRORED])
def test_series_in_shuffled_files(tmp_path, affine):
    source = ct_series(tmp_path / "s", affine)
    path = tmp_path / "out" / "seg.dcm"
    write_dicom_seg(path, source, masks_of(source), list(THRESHOLDS))
    check_overlay(path, source)
    assert complaints(path) == {"Error": [], "Warning": []}


def test_list_of_files_in_any_order(tmp_path):
    source = ct_series(tmp_path / "s", TILTED)
    files = sorted(source.iterdir(), key=lambda file: pydicom.dcmread(file).InstanceNumber)
    write_dicom_seg(tmp_path / "seg.dcm", files, masks_of(source), list(THRESHOLDS))
    check_overlay(tmp_path / "seg.dcm", source)


@pytest.mark.parametrize("affine", [AXIAL, TILTED, MIRRORED])
def test_frames_of_one_file_in_any_order(tmp_path, affine):
    source = enhanced_mr(tmp_path / "e.dcm", affine, [3, 0, 4, 2, 1])
    write_dicom_seg(tmp_path / "seg.dcm", source, masks_of(source), list(THRESHOLDS))
    check_overlay(tmp_path / "seg.dcm", source)
    assert complaints(tmp_path / "seg.dcm") == {"Error": [], "Warning": []}


@pytest.mark.parametrize("affine", [AXIAL, TILTED])
def test_highdicom_reads_the_masks_back_in_their_place(tmp_path, affine):
    source = ct_series(tmp_path / "s", affine)
    masks = masks_of(source)
    write_dicom_seg(tmp_path / "seg.dcm", source, masks, list(THRESHOLDS))
    volume = highdicom.seg.segread(tmp_path / "seg.dcm").get_volume(allow_missing_positions=True)
    ours = LoadImage(reader=DicomReader(), image_only=True)(source)
    to_lps = np.diag([-1, -1, 1, 1])
    for (frame, row, column, segment), value in np.ndenumerate(volume.array):
        place = volume.affine @ [frame, row, column, 1]
        x, y, z = np.linalg.solve(to_lps @ ours.affine.numpy(), place)[:3].round().astype(int)
        assert masks[segment, x, y, z] == value


@pytest.mark.parametrize("elements", [{}, {"PixelSpacing": [0.1, 0.2], "PatientOrientation": ["P", "L"]}])
@pytest.mark.parametrize("kind", UNPLACED)
def test_image_without_a_place_in_the_patient(tmp_path, kind, elements):
    source = unplaced(tmp_path / "a.dcm", kind, volume_of(5)[:, :, 0].T, **elements)
    write_dicom_seg(tmp_path / "seg.dcm", source, masks_of(source), list(THRESHOLDS))
    check_overlay(tmp_path / "seg.dcm", source)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert "FrameOfReferenceUID" not in dataset
    measures = dataset.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence", [])
    assert [list(item.PixelSpacing) for item in measures] == [elements[key] for key in ["PixelSpacing"] if elements]
    assert list(dataset.PatientOrientation or []) == elements.get("PatientOrientation", [])
    assert complaints(tmp_path / "seg.dcm") == {"Error": [], "Warning": []}


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_padded.dcm"])
def test_single_slices_of_real_devices(tmp_path, name):
    source = bundled(name)
    dataset = pydicom.dcmread(source)
    mask = np.zeros((1, dataset.Columns, dataset.Rows), bool)
    mask[0, 5:20, 30] = True
    write_dicom_seg(tmp_path / "seg.dcm", source, mask, ["a line"])
    assert np.array_equal(pydicom.dcmread(tmp_path / "seg.dcm").pixel_array, mask[0].T)
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


def test_radiograph_with_a_frame_of_reference_alone(tmp_path):
    source = unplaced(tmp_path / "a.dcm", "mammogram", FrameOfReferenceUID="1.2.3.4")
    write_dicom_seg(tmp_path / "seg.dcm", source, masks_of(source), list(THRESHOLDS))
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


def test_color_photograph(tmp_path):
    source = unplaced(tmp_path / "a.dcm", "fundus", np.zeros((7, 11, 3), np.uint8))
    mask = np.zeros((1, 11, 7), bool)
    mask[0, 8, 2] = True
    write_dicom_seg(tmp_path / "seg.dcm", source, mask, ["lesion"])
    assert np.argwhere(pydicom.dcmread(tmp_path / "seg.dcm").pixel_array).tolist() == [[2, 8]]
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


def test_segments_say_what_they_are_and_who_made_them(tmp_path):
    names = ["Läsion \\ 1", "x" * 80, "病变"]
    source = unplaced(tmp_path / "a.dcm")
    write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((3, 11, 7)), names)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert [segment.SegmentLabel for segment in dataset.SegmentSequence] == ["Läsion _ 1", "x" * 64, "病变"]
    for segment in dataset.SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        identification = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (identification.AlgorithmName, identification.AlgorithmVersion) == ("monai_semise", __version__)
    assert dataset.SegmentationType == "BINARY"
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


def test_patient_and_study_are_those_of_the_source(tmp_path):
    source = unplaced(tmp_path / "a.dcm")
    write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((1, 11, 7)), ["lesion"])
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert {key: dataset[key].value for key in PATIENT if key != "SpecificCharacterSet"} == {
        key: value for key, value in PATIENT.items() if key != "SpecificCharacterSet"
    }
    assert dataset.SeriesInstanceUID != pydicom.dcmread(source).SeriesInstanceUID


@pytest.mark.parametrize("present", [[], [1]])
def test_absent_structures_are_written_as_empty_frames(tmp_path, present):
    source = ct_series(tmp_path / "s", AXIAL)
    masks = np.zeros((2, 11, 7, 5), bool)
    masks[present, 2:4, 3, 1] = True
    write_dicom_seg(tmp_path / "seg.dcm", source, masks, ["a", "b"])
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert dataset.NumberOfFrames == 10
    assert dataset.pixel_array.sum() == masks.sum()
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


def test_missing_elements_that_may_be_empty(tmp_path):
    source = write_dicom(tmp_path / "a.dcm", volume_of(1)[:, :, 0].T, StudyInstanceUID=PATIENT["StudyInstanceUID"])
    write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((1, 11, 7)), ["lesion"])
    assert not pydicom.dcmread(tmp_path / "seg.dcm").PatientName
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


@pytest.mark.parametrize("method", [{}, {"DeidentificationMethod": "by hand"}])
def test_deidentified_source(tmp_path, method):
    source = unplaced(tmp_path / "a.dcm", PatientIdentityRemoved="YES", **method)
    write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((1, 11, 7)), ["lesion"])
    expected = method.get("DeidentificationMethod", "not stated by the source")
    assert pydicom.dcmread(tmp_path / "seg.dcm").DeidentificationMethod == expected
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


def test_series_without_a_slice_thickness(tmp_path):
    source = ct_series(tmp_path / "s", AXIAL, SliceThickness="")
    write_dicom_seg(tmp_path / "seg.dcm", source, masks_of(source), list(THRESHOLDS))
    check_overlay(tmp_path / "seg.dcm", source)
    assert complaints(tmp_path / "seg.dcm")["Error"] == []


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SOPInstanceUID"])
def test_source_without_identifiers(tmp_path, missing):
    source = unplaced(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(source)
    delattr(dataset, missing)
    dataset.save_as(source)
    with pytest.raises(InputError, match=rf"a\.dcm: lacks {missing}, by which a DICOM result refers to it"):
        write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((1, 11, 7)), ["lesion"])


def test_several_frames_without_a_place(tmp_path):
    cine = unplaced(tmp_path / "cine.dcm", "ultrasound", volume_of(5).transpose(2, 1, 0))
    with pytest.raises(InputError, match=r"cine\.dcm: its 5 frames have no frame of reference"):
        write_dicom_seg(tmp_path / "seg.dcm", cine, masks_of(cine), list(THRESHOLDS))
    series = ct_series(tmp_path / "s", AXIAL)
    for file in series.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.ImagePositionPatient
        dataset.save_as(file)
    with pytest.raises(InputError, match=r"s: its 5 frames have no .*position"):
        write_dicom_seg(tmp_path / "seg.dcm", series, masks_of(series), list(THRESHOLDS))
    assert not (tmp_path / "seg.dcm").exists()


def test_nothing_of_the_patient_is_told(tmp_path, caplog, recwarn):
    """highdicom logs identifiers, and warns of names without the caret."""
    source = unplaced(tmp_path / "a.dcm", PatientName="JANE", PatientBirthDate="")
    with caplog.at_level("DEBUG"):
        write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((1, 11, 7)), ["lesion"])
        write_severity_sr(tmp_path / "sr.dcm", source, 0.5)
    told = caplog.text + "".join(str(warning.message) for warning in recwarn)
    assert "JANE" not in told
    assert pydicom.dcmread(source).SOPInstanceUID not in told


@pytest.mark.parametrize(
    ("element", "value"),
    [("PatientSex", "JANE"), ("PatientBirthDate", "JANE"), ("StudyDate", "JANE"), ("StudyTime", "JANE")],
)
def test_bad_header_is_told_without_quoting_it(tmp_path, element, value):
    source = unplaced(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(source)
    dataset[element].validation_mode = pydicom.config.IGNORE
    dataset[element].value = value
    dataset.save_as(source)
    with pytest.raises(InputError, match=rf"a\.dcm: its {element} is not as DICOM writes it") as caught:
        write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((1, 11, 7)), ["lesion"])
    assert "JANE" not in str(caught.value)


def test_ct_without_a_frame_of_reference(tmp_path):
    with pytest.raises(InputError, match=r"693_J2KI\.dcm: no DICOM SEG can be made of it \(it has no frame of refer"):
        write_dicom_seg(tmp_path / "seg.dcm", bundled("693_J2KI.dcm"), np.ones((1, 512, 512)), ["lesion"])


def test_single_slice_without_a_thickness(tmp_path):
    (source,) = ct_series(tmp_path / "s", AXIAL, n_slices=1, SliceThickness="").iterdir()
    with pytest.raises(InputError, match=r"its header has no SliceThickness, as a DICOM SEG needs"):
        write_dicom_seg(tmp_path / "seg.dcm", source, np.ones((1, 11, 7)), ["lesion"])


@pytest.mark.parametrize("shape", [(1, 7, 11), (2, 11, 7), (1, 11, 7, 1)])
def test_masks_of_another_size(tmp_path, shape):
    source = unplaced(tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"a\.dcm: its masks have shape .*, not \(1, 11, 7\)"):
        write_dicom_seg(tmp_path / "seg.dcm", source, np.ones(shape), ["lesion"])


def test_sources_that_are_no_image(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no DICOM")
    with pytest.raises(InputError, match=r"a\.png: is not a DICOM file"):
        write_dicom_seg(tmp_path / "seg.dcm", tmp_path / "a.png", np.ones((1, 11, 7)), ["lesion"])
    first = unplaced(tmp_path / "a.dcm")
    second = unplaced(tmp_path / "b.dcm", StudyInstanceUID="1.2.3")
    with pytest.raises(InputError, match=r"a\.dcm and 1 more: its files are of several studies"):
        write_dicom_seg(tmp_path / "seg.dcm", [first, second], np.ones((1, 11, 7, 2)), ["lesion"])


def test_several_files_of_several_frames(tmp_path):
    enhanced_mr(tmp_path / "a.dcm", AXIAL, [0, 1])
    shutil.copy(tmp_path / "a.dcm", tmp_path / "b.dcm")
    with pytest.raises(InputError, match=r"several files of several frames have no DICOM SEG"):
        write_dicom_seg(tmp_path / "c", [tmp_path / "a.dcm", tmp_path / "b.dcm"], np.ones((1, 11, 7, 4)), ["lesion"])


def test_without_highdicom(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(InputError, match=r'DICOM SEG: needs .*pip install "monai-semise\[dicom\]"'):
        write_dicom_seg(tmp_path / "seg.dcm", unplaced(tmp_path / "a.dcm"), np.ones((1, 11, 7)), ["lesion"])
