# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The real MONAI Label server, driven by its own client and by REST."""

from __future__ import annotations

import io
import itertools
import json
import socket
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel")

import requests
from monailabel.client import MONAILabelClient

from monai_semise.apps.label.strategies import grade_entropy
from monai_semise.comparison import AnswerStore, read_answers
from monai_semise.utils import InputError
from tests.apps.label.background import wait_for
from tests.apps.label.served import image_info, infer_all, server, studies


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("label")
    with server(folder, str(studies(folder / "studies")), {"MONAI_SEMISE_MOST_UPLOAD_MB": "1"}) as url:
        yield url, folder


@pytest.fixture(scope="module")
def url(served):
    return served[0]


@pytest.fixture(scope="module")
def client(url, tmp_path_factory):
    return MONAILabelClient(url, str(tmp_path_factory.mktemp("client")))


def test_what_it_offers(client):
    info = client.info()
    assert set(info["models"]) == {"severity", "heat_map", "segmentation"}
    assert {"most_severe", "uncertain_severity", "informative_pair"} <= set(info["strategies"])
    assert set(info["trainers"]) == {"severity", "preference", "segmentation"}
    assert info["datastore"]["total"] == 30


def test_it_listens_on_this_machine_alone(url):
    port = int(url.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port))  # where one that listens everywhere would answer


def test_it_says_its_address(url, served):
    assert f"Comparisons: {url}/compare/" in (served[1] / "server.log").read_text()


def test_severity_is_kept(client, url):
    result = json.loads(client.infer("severity", "a", {})[1])
    assert result["severity"]["score"] > 0
    assert image_info(url, "a")["severity"] == result["severity"]


def test_unicode_and_percent_signs_are_letters(client):
    result = json.loads(client.infer("severity", "%2e%2e Läsion .png.", {})[1])
    assert result["severity"]["n_images"] == 1


def test_dicom_files_and_series(client):
    assert json.loads(client.infer("severity", "IM0001", {})[1])["severity"]["n_images"] == 1
    assert json.loads(client.infer("severity", "1.2.3", {})[1])["severity"]["n_images"] == 3


def test_a_viewer_gets_a_series_as_nifti(url, tmp_path):
    got = requests.get(f"{url}/datastore/image", params={"image": "1.2.3"}, timeout=60)
    (tmp_path / "a.nii.gz").write_bytes(got.content)
    assert nib.load(tmp_path / "a.nii.gz").shape == (20, 24, 3)


def test_a_label_is_saved(client, url, tmp_path):
    mask = np.zeros((50, 40), np.uint8)
    mask[10:20, 10:30] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert client.save_label("a", str(tmp_path / "mask.png"), "final")["label"] == "a"
    assert "final" in client.datastore()["objects"]["a"]["labels"]
    got = requests.get(f"{url}/datastore/label", params={"label": "a", "tag": "final"}, timeout=60)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(got.content))), mask)
    assert client.info()["datastore"]["completed"] == 1
    data = {"info": json.dumps({"reader": "dr x"})}
    query = {"label": "a", "tag": "final"}
    requests.put(f"{url}/datastore/label/info", params=query, data=data, timeout=60).raise_for_status()
    assert requests.get(f"{url}/datastore/label/info", params=query, timeout=60).json()["reader"] == "dr x"


@pytest.mark.parametrize(("image", "size"), [("a", (40, 50)), ("b", (41, 50))])
def test_segmentation_has_the_size_of_the_image(url, image, size):
    found = requests.post(f"{url}/infer/segmentation", params={"image": image, "output": "image"}, timeout=120)
    mask = Image.open(io.BytesIO(found.content))
    assert mask.size == size
    assert set(mask.getdata()) <= {0, 1, 2}


def test_heat_map(url):
    found = requests.post(f"{url}/infer/heat_map", params={"image": "a", "output": "image"}, timeout=120)
    assert Image.open(io.BytesIO(found.content)).mode == "RGB"


def test_batch_inference_leaves_severities_for_triage(client, url):
    infer_all(url, "severity")
    images = list(client.datastore()["objects"])
    infos = {image: image_info(url, image) for image in images}
    worst = max(images, key=lambda image: infos[image]["severity"]["score"])
    assert client.next_sample("most_severe", {})["id"] == worst
    data = {"info": json.dumps({"grade": 1})}
    requests.put(f"{url}/datastore/image/info", params={"image": worst}, data=data, timeout=60).raise_for_status()
    assert client.next_sample("most_severe", {})["id"] != worst
    graded = {i: grade_entropy(info["severity"]) for i, info in infos.items() if i != worst}
    sample = client.next_sample("uncertain_severity", {})
    assert sample["weight"] == max(graded.values()) == graded[sample["id"]]
    assert {"position", "low", "high", "grade", "grades"} <= set(sample["severity"])


def train(client, model, max_epochs=1):
    client.train_start(model, {"max_epochs": max_epochs, "batch_size": 8})
    wait_for(lambda: client.train_status()["status"] not in ("SUBMITTED", "RUNNING"), 280)
    return client.train_status()


def test_training_on_grades_shows_progress_and_is_stopped(client, url, served):
    few = train(client, "severity")
    assert few["status"] == "ERROR"
    assert "grade more images" in "".join(few["details"])
    for n in range(24):
        data = {"info": json.dumps({"grade": n % 2})}
        answer = requests.put(f"{url}/datastore/image/info", params={"image": f"p{n:02d}"}, data=data, timeout=60)
        answer.raise_for_status()
    weights = served[1] / "app" / "model" / "semise_severity_pretrain" / "models" / "model.pt"
    before = weights.read_bytes()
    task = train(client, "severity")
    assert task["status"] == "DONE", "\n".join(task["details"])
    (last,) = [line for line in task["details"] if line.startswith("After training")]
    assert (weights.read_bytes() != before) == last.endswith(", taken")
    assert json.loads(client.infer("severity", "a", {})[1])["severity"]["score"] >= 0

    before = weights.read_bytes()
    client.train_start("severity", {"max_epochs": 1000, "batch_size": 8})
    wait_for(lambda: any("Epoch 1 of" in line for line in client.train_status().get("details", ())), 280)
    client.train_stop()
    wait_for(lambda: client.train_status()["status"] not in ("SUBMITTED", "RUNNING"), 60)
    assert client.train_status()["status"] == "STOPPED"
    assert weights.read_bytes() == before


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "..", "..%2f", "a\\b", "a\n"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/infer/severity"), ("GET", "/datastore/image"), ("PUT", "/datastore/")]
)
def test_names_that_lead_elsewhere(url, method, path, name):
    files = {"file": ("a.png", b"x")} if method == "PUT" else None
    answer = requests.request(method, url + path, params={"image": name}, files=files, timeout=60)
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text


def test_paths_in_the_parameters(url, served):
    for path in ("/etc/passwd", str(served[1] / "studies" / "a.png")):
        answer = requests.post(
            f"{url}/infer/severity?image=a", data={"params": json.dumps({"image": path})}, timeout=60
        )
        assert answer.status_code == 400


def test_uploads(url, served):
    def upload(name, content):
        return requests.put(f"{url}/datastore/?image={name}", files={"file": (f"{name}.png", content)}, timeout=60)

    picture = io.BytesIO()
    Image.new("L", (20, 20)).save(picture, "PNG")
    assert upload("new", picture.getvalue()).json() == {"image": "new"}
    refused = upload("junk", b"<script>")
    assert refused.status_code == 400
    assert "cannot be read" in refused.json()["detail"]
    assert upload("large", b"0" * 2**21).status_code == 413
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    parts = (head if n == 0 else b"0" * 2**16 for n in range(18))  # says nothing of its length
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = requests.put(f"{url}/datastore/?image=chunks", data=parts, headers=kind, timeout=60)
    assert answer.status_code == 413
    assert "MONAI_SEMISE_MOST_UPLOAD_MB" in answer.text
    assert {path.name for path in (served[1] / "studies").iterdir()} >= {"new.png"}
    assert not list((served[1] / "studies").glob("junk*"))


@pytest.mark.parametrize("ending", [".html", ".svg", ".exe", ".json", ".png"])
def test_what_is_no_image_is_kept_neither_as_image_nor_as_label(url, served, ending):
    files = {"file": (f"x{ending}", b"<script>alert(1)</script>")}
    assert requests.put(f"{url}/datastore/?image=script", files=files, timeout=60).status_code == 400
    files = {"label": (f"x{ending}", b"<script>alert(1)</script>")}
    assert requests.put(f"{url}/datastore/label?image=b&tag=final", files=files, timeout=60).status_code == 400
    files = {"file": (f"x{ending}", b"<script>alert(1)</script>")}
    assert requests.post(f"{url}/infer/severity", files=files, timeout=60).status_code == 400
    kept = {path.name for path in (served[1] / "studies").rglob("*")}
    assert not {f"script{ending}", "b.html", "b.svg", "b.exe", "b.json"} & kept
    assert not (served[1] / "studies" / "labels" / "final" / "b.png").exists()


@pytest.mark.parametrize("tag", ["../../x", "..", "/tmp", "a\\b"])
def test_tags_that_lead_elsewhere(url, tag, served):
    picture = io.BytesIO()
    Image.new("L", (41, 50)).save(picture, "PNG")
    files = {"label": ("x.png", picture.getvalue())}
    query = {"image": "b", "tag": tag}
    assert requests.put(f"{url}/datastore/label", params=query, files=files, timeout=60).status_code == 400
    assert requests.get(f"{url}/datastore/label", params={"label": "b", "tag": tag}, timeout=60).status_code == 400


def test_other_pages_may_not_read(url):
    answer = requests.get(f"{url}/info/", headers={"Origin": "http://elsewhere"}, timeout=60)
    assert "access-control-allow-origin" not in answer.headers


def test_page_and_pair(client, url):
    assert requests.get(f"{url}/compare/", timeout=60).ok
    sample = client.next_sample("informative_pair", {})
    assert len(set(sample["pair"])) == 2
    again = client.next_sample("informative_pair", {})
    assert again["pair"] == sample["pair"]  # it was not answered


def test_two_servers_on_one_store_and_one_that_is_made_anew(url, served):
    session = f"{url}/compare/api"
    pair = requests.get(f"{session}/next", params={"rater": "x"}, timeout=60).json()["pair"]
    with pytest.raises(InputError, match="another server has these answers open"):
        AnswerStore(served[1] / "app" / "comparisons.jsonl")
    requests.post(f"{url}/reload", timeout=60).raise_for_status()
    body = {"id": "1", **pair, "outcome": "left", "rater": "x", "seconds": 1.0}
    turn = requests.post(f"{session}/answers", json=body, timeout=60).json()
    assert turn["progress"]["answered"] == 1
    assert turn["pair"] != pair
    assert [one.id for one in read_answers(served[1] / "app" / "comparisons.jsonl")] == ["1"]


def test_every_image_is_shown(client, url):
    for image in client.datastore()["objects"]:
        shown = requests.get(f"{url}/compare/api/image", params={"id": image}, timeout=60).json()
        assert shown["slices"] == (3 if image == "1.2.3" else 1)


def test_training_on_comparisons_from_the_server(client, url, served):
    images = [f"p{n:02d}" for n in range(6, 14)]
    for n, (a, b) in enumerate(itertools.combinations(images, 2)):
        body = {"id": f"train {n}", "image_a": a, "image_b": b, "outcome": "right", "rater": "y", "seconds": 1.0}
        requests.post(f"{url}/compare/api/answers", json=body, timeout=60).raise_for_status()
    task = train(client, "preference")
    assert task["status"] == "DONE", "\n".join(task["details"])
    assert any(line.startswith("After training") for line in task["details"])
    assert not list(Path(served[1] / "studies").glob("*.csv"))
