# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The inference bundles on what small training runs leave behind."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser

import pydicom
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image

from monai_semise.__main__ import main
from monai_semise.handlers import SeverityWriterHandler
from monai_semise.networks import SemiseNet
from monai_semise.severity import SeverityCalibrator
from monai_semise.transforms import LoadCheckedImage
from monai_semise.utils import InputError, find_semise_error, load_checkpoint
from tests.bundles import harness
from tests.bundles.harness import ROOT
from tests.dicom.sources import complaints, unplaced


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Output folder of a small pretraining run, and its phantoms."""
    folder = tmp_path_factory.mktemp("trained")
    out = harness.run(folder)
    return out, next(folder.glob("data/*/datalist.json"))


@pytest.fixture(scope="module")
def classifier(trained, tmp_path_factory):
    """Output folder of a small run of the classification bundle on the encoder of the pretraining run."""
    folder = tmp_path_factory.mktemp("classifier")
    settings = {
        "backbone": "resnet10",
        "image_size": 32,
        "hidden_channels": [16, 8],
        "n_resamples": 50,
        "encoder": str(trained[0] / "encoder.pt"),
        "datalist": str(trained[1]),
        "train::trainer::max_epochs": 2,
        "output_dir": str(folder),
    }
    training = ConfigWorkflow(
        [str(ROOT / "bundles" / "semise_classification.json")], logging_file=False, workflow_type="train", **settings
    )
    training.initialize()
    training.run()
    return folder


@pytest.fixture
def images(trained, tmp_path):
    """A folder with four phantoms, one file that is no image and one of another size."""
    folder = tmp_path / "images"
    for n in range(4):
        (folder / f"p{n}").mkdir(parents=True)
        shutil.copy(trained[1].parent / "images" / f"test_{n:05d}.png", folder / f"p{n}" / "image.png")
    (folder / "junk<script>.png").write_bytes(b"no image")
    Image.open(folder / "p0" / "image.png").resize((50, 41)).save(folder / "other_size.png")
    return folder


def infer(name, **settings):
    flow = ConfigWorkflow(
        [str(ROOT / "bundles" / f"{name}.json")],
        logging_file=False,
        workflow_type="infer",
        **{key: str(value) if key in ("run_dir", "output_dir", "input") else value for key, value in settings.items()},
    )
    flow.initialize()
    flow.run()
    return flow


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_scores_are_the_networks_and_their_places_the_calibrations(trained, images, tmp_path):
    infer("semise_severity_inference", run_dir=trained[0], input=images, output_dir=tmp_path / "out", batch_size=3)
    rows = rows_of(tmp_path / "out" / "severity.csv")
    assert [row["image"] for row in rows] == [
        str(images / name) for name in ("other_size.png", *(f"p{n}/image.png" for n in range(4)))
    ]
    network = SemiseNet("resnet10", embedding_dim=16)
    network.load_state_dict(load_checkpoint(trained[0] / "model.pt"))
    calibrator = SeverityCalibrator.from_dict(json.loads((trained[0] / "calibration.json").read_text()))
    for row in rows[1:]:  # 32 px phantoms: nothing to resize
        image = LoadCheckedImage(channels=1)(row["image"]).as_tensor()
        image = (image - image.min()) / (image.max() - image.min())
        with torch.inference_mode():
            score = float(network.eval().score(image[None])[0])
        assert float(row["score"]) == pytest.approx(score, abs=1e-4)
        calibrated = calibrator.calibrate([float(row["score"])])
        assert row["grade"] == str(calibrated.grade[0])
        assert row["grades"] == " ".join(map(str, calibrated.grade_sets()[0]))
        assert float(row["position"]) == pytest.approx(calibrated.position[0], abs=2e-3)
        assert row["severity"] == row["patient"] == ""


def test_an_unreadable_image_is_listed_and_does_not_stop_the_others(trained, images, tmp_path):
    infer("semise_severity_inference", run_dir=trained[0], input=images, output_dir=tmp_path / "out")
    (row,) = rows_of(tmp_path / "out" / "unreadable.csv")
    assert row["image"] == str(images / "junk<script>.png")
    assert "cannot be read as an image" in row["reason"]
    assert len(rows_of(tmp_path / "out" / "severity.csv")) == 5


def test_worklist_is_the_same_rows_in_order(trained, images, tmp_path):
    infer("semise_severity_inference", run_dir=trained[0], input=images, output_dir=tmp_path / "out")
    worklist = rows_of(tmp_path / "out" / "worklist.csv")
    assert [row["rank"] for row in worklist] == list("12345")
    scores = [float(row["score"]) for row in worklist]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 5
    severity = {row["image"]: row for row in rows_of(tmp_path / "out" / "severity.csv")}
    for row in worklist:
        assert {**severity[row["image"]], "rank": row["rank"]} == row


class Page(HTMLParser):
    """Tags of a page and what they load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href")]


def test_page_is_one_file_without_scripts(trained, images, tmp_path):
    infer("semise_severity_inference", run_dir=trained[0], input=images, output_dir=tmp_path / "out", n_shown=3)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert all(load.startswith(("data:image/png;base64,", "#")) for load in page.loads)
    assert "junk&lt;script&gt;.png" in text
    # the distribution, and of each of 3 images itself, its heat map and three neighbours
    assert page.tags.count("img") == 1 + 3 * (1 + 1 + 3)
    assert page.tags.count("section") == 3
    assert len(list((tmp_path / "out" / "heat_maps").iterdir())) == 3


def test_true_grades_bring_measures_with_intervals_and_baselines(trained, tmp_path):
    infer("semise_severity_inference", run_dir=trained[0], input=trained[1], output_dir=tmp_path / "out", n_shown=1)
    rows = rows_of(tmp_path / "out" / "severity.csv")
    assert len(rows) == 10  # the test section
    assert all(row["severity"] and row["patient"] for row in rows)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert all(name in text for name in ("constant-majority", "stratified-random", "confusion matrix"))
    covered = sum(row["severity"] in row["grades"].split() for row in rows)
    assert f"here they hold {10 * covered:.1f} %" in text


def test_classification(trained, classifier, tmp_path):
    out = tmp_path / "out"
    infer("semise_classification_inference", run_dir=classifier, input=trained[1], output_dir=out)
    found = {row["image"]: row for row in rows_of(out / "severity.csv")}
    expected = [row for row in rows_of(classifier / "predictions.csv") if row["section"] == "test"]
    assert len(found) == len(expected) == 10
    for row in expected:
        twin = found[row["image"]]
        assert twin["grade"] == row["grade"]
        for column in ("score", *(f"probability_{grade}" for grade in range(5))):
            assert float(twin[column]) == pytest.approx(float(row[column]), abs=1e-4)


def report_numbers(path):
    """{code: value} of the measurements of a structured report, and the meaning of its qualitative evaluation."""
    numbers, grade = {}, None
    for item in pydicom.dcmread(path).iterall():
        if item.keyword == "ContentSequence":
            for node in item.value:
                if node.ValueType == "NUM":
                    number = node.MeasuredValueSequence[0].NumericValue
                    numbers[node.ConceptNameCodeSequence[0].CodeValue] = float(number)
                elif node.ValueType == "CODE" and node.ConceptNameCodeSequence[0].CodeValue == "GRADE":
                    grade = node.ConceptCodeSequence[0].CodeMeaning
    return numbers, grade


@pytest.fixture
def dicom_images(images):
    """The images, two DICOM ones among them, and a DICOM one that no report can refer to."""
    pixels = [torch.randint(0, 4000, (32, 32), generator=torch.Generator().manual_seed(n)).short() for n in range(3)]
    unplaced(images / "p0" / "x.dcm", pixels=pixels[0].numpy())
    unplaced(images / "p1" / "x.dcm", pixels=pixels[1].numpy())
    unplaced(images / "y.dcm", pixels=pixels[2].numpy(), StudyInstanceUID="")
    return images


def test_structured_reports_say_what_the_table_says(trained, dicom_images, tmp_path, caplog):
    pytest.importorskip("highdicom")
    out = tmp_path / "out"
    (out / "sr").mkdir(parents=True)
    (out / "sr" / "stale.dcm").write_bytes(b"of an earlier run")
    settings = {"run_dir": trained[0], "input": dicom_images, "output_dir": out, "dicom_sr": True, "batch_size": 3}
    with caplog.at_level("INFO", logger="monai_semise"):
        infer("semise_severity_inference", **settings)
    rows = {row["image"]: row for row in rows_of(out / "severity.csv")}
    order = sorted([*dicom_images.rglob("*.png"), *dicom_images.rglob("*.dcm")])
    written = {path.name: path for path in (out / "sr").glob("*.dcm")}
    expected = {f"{order.index(image):06d}_x.dcm": image for image in dicom_images.glob("p*/x.dcm")}
    assert set(written) == set(expected)
    calibrator = SeverityCalibrator.from_dict(json.loads((trained[0] / "calibration.json").read_text()))
    grade_names = json.loads((trained[0] / "settings.json").read_text())["grade_names"]
    for name, image in expected.items():
        numbers, grade = report_numbers(written[name])
        row = rows[str(image)]
        assert numbers.pop("COVERAGE") == calibrator.coverage
        columns = {"SCORE": "score", "POSITION": "position", "LOW": "low", "HIGH": "high", "GRADE": "grade"}
        assert numbers == pytest.approx({code: float(row[column]) for code, column in columns.items()}, abs=5e-4)
        assert grade == grade_names[int(row["grade"])]
        evidence = pydicom.dcmread(written[name]).CurrentRequestedProcedureEvidenceSequence[0]
        uid = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert uid == pydicom.dcmread(image).SOPInstanceUID
        assert complaints(written[name])["Error"] == []
    without = {row["image"]: row["reason"] for row in rows_of(out / "sr" / "without_report.csv")}
    assert set(without) == {str(image) for image in order} - {str(image) for image in expected.values()}
    assert "lacks StudyInstanceUID" in without.pop(str(dicom_images / "y.dcm"))
    assert "cannot be read as an image" in without.pop(str(dicom_images / "junk<script>.png"))
    assert set(without.values()) == {"is not DICOM"}
    assert "2 structured report(s) are in" in caplog.text
    assert "7 image(s) have none" in caplog.text
    for path in (path for path in out.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found = any(value in content for value in ("Jané".encode(), b"P-4711", b"19470811"))
        assert found == (path.suffix == ".dcm")


def test_structured_reports_of_images_that_are_not_dicom(trained, images, tmp_path):
    pytest.importorskip("highdicom")
    out = tmp_path / "out"
    with pytest.raises(Exception, match=r".*") as caught:
        infer("semise_severity_inference", run_dir=trained[0], input=images, output_dir=out, dicom_sr=True)
    assert "dicom_sr: none of the 6 image(s) is DICOM" in str(find_semise_error(caught.value))
    assert not (out / "severity.csv").exists()


def test_without_a_calibration_there_are_scores_alone(trained, images, tmp_path, caplog):
    run_dir = tmp_path / "run"
    shutil.copytree(trained[0], run_dir)
    (run_dir / "calibration.json").unlink()
    with caplog.at_level("WARNING", logger="monai_semise"):
        infer("semise_severity_inference", run_dir=run_dir, input=images, output_dir=tmp_path / "out")
    assert "severities stay uncalibrated" in caplog.text
    rows = rows_of(tmp_path / "out" / "severity.csv")
    assert {row["position"] for row in rows} == {row["grade"] for row in rows} == {""}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input": "/nowhere"}, "input: /nowhere does not exist"),
        ({"run_dir": "/nowhere"}, "run_dir: /nowhere holds no settings.json"),
        ({"n_show": 3}, 'unknown setting "n_show"; did you mean "n_shown"'),
    ],
)
def test_bad_settings(settings, message, trained, images, tmp_path):
    given = {"run_dir": trained[0], "input": images, "output_dir": tmp_path / "out", **settings}
    with pytest.raises(Exception, match=r".*") as caught:
        infer("semise_severity_inference", **given)
    assert re.search(re.escape(message), str(find_semise_error(caught.value)))


def test_a_failing_run_leaves_the_earlier_result(trained, images, tmp_path):
    out = tmp_path / "out"
    infer("semise_severity_inference", run_dir=trained[0], input=images, output_dir=out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    flow = ConfigWorkflow(
        [str(ROOT / "bundles" / "semise_severity_inference.json")],
        logging_file=False,
        workflow_type="infer",
        run_dir=str(trained[0]),
        input=str(images),
        output_dir=str(out),
        batch_size=2,
    )
    flow.initialize()
    network = flow.parser.get_parsed_content("network")
    calls = []

    def fail_at_the_second_batch(*args):
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError("out of memory")

    network.register_forward_pre_hook(fail_at_the_second_batch)
    with pytest.raises(RuntimeError):
        flow.run()
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_rank_command(trained, images, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = ["--run_dir", str(trained[0]), "--out", str(tmp_path / "out"), "--top", "2"]
    assert main(["rank", str(images), *arguments]) == 0
    worklist = rows_of(tmp_path / "out" / "worklist.csv")
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2].split()[:2] == ["1", worklist[0]["score"]]
    assert len([line for line in printed if ".png" in line]) == 2
    assert main(["rank", str(images), *arguments, "--config_file", "nowhere.json"]) == 1
    assert "nowhere.json does not exist" in capsys.readouterr().err


def test_rank_takes_the_inference_bundle_of_the_run(classifier, images, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    out = tmp_path / "out"
    assert main(["rank", str(images), "--run_dir", str(classifier), "--out", str(out)]) == 0
    assert "probability_0" in rows_of(out / "worklist.csv")[0]
    (tmp_path / "settings.json").write_text('{"bundle": "semise_segmentation"}')
    assert main(["rank", str(images), "--run_dir", str(tmp_path), "--out", str(out)]) == 1
    assert "is a run of semise_segmentation, which gives no severity" in capsys.readouterr().err


def test_images_are_prepared_as_in_training():
    """The four configs hold the same transforms: cross-file references would depend on the working directory."""
    configs = {path.stem: json.loads(path.read_text()) for path in (ROOT / "bundles").glob("semise_*.json")}
    expected = configs["semise_pretrain"]["train"]["preprocessing"]
    assert configs["semise_classification"]["train"]["preprocessing"] == expected
    assert configs["semise_severity_inference"]["preprocessing"] == expected
    assert configs["semise_classification_inference"]["preprocessing"] == expected


def test_a_score_that_is_no_number_is_listed_and_grades_beyond_the_scale_are_not_measured(trained, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    content = json.loads(trained[1].read_text())
    content["test"][0]["severity"] = 7
    datalist = trained[1].with_name("beyond.json")
    datalist.write_text(json.dumps(content))
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps({**settings, "grade_names": ["a", "b", "c", "d", "e"]}))
    infer("semise_severity_inference", run_dir=run, output_dir=tmp_path / "out", input=datalist, n_shown=0)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1 image(s) have a grade beyond the model&#39;s 5" in page

    handler = SeverityWriterHandler(tmp_path, content["test"], SeverityCalibrator().fit([0, 1, 2], [0, 1, 2]))
    rows = handler._reader({"index": torch.arange(2)}, {"score": torch.tensor([float("nan"), 0.5])})
    with pytest.raises(InputError, match="its severity score is not a finite number"):
        rows(0)
    assert float(rows(1)[0]["score"]) == 0.5
