# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The real MONAI Label server, driven by its own client and by REST."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

pytest.importorskip("monailabel")

import requests
from monailabel.client import MONAILabelClient

from tests.apps.label.served import server, studies, wait_for


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
    assert set(info["trainers"]) == {"severity", "segmentation"}
    assert info["datastore"]["total"] == 28


def test_severity_is_kept(client, url):
    result = json.loads(client.infer("severity", "a", {})[1])
    assert result["severity"]["score"] > 0
    kept = requests.get(f"{url}/datastore/image/info", params={"image": "a"}, timeout=60).json()
    assert kept["severity"] == result["severity"]


def test_unicode_and_percent_signs_are_letters(client):
    result = json.loads(client.infer("severity", "%2e%2e Läsion .png.", {})[1])
    assert result["severity"]["n_images"] == 1


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
    requests.post(f"{url}/batch/infer/severity", json={"max_workers": 1}, timeout=60).raise_for_status()
    status = f"{url}/batch/infer"
    wait_for(lambda: requests.get(status, timeout=60).json()["status"] not in ("SUBMITTED", "RUNNING"), 240)
    task = requests.get(status, timeout=60).json()
    assert task["status"] == "DONE", task
    images = [image for image in client.datastore()["objects"] if image != "v"]
    infos = {i: requests.get(f"{url}/datastore/image/info", params={"image": i}, timeout=60).json() for i in images}
    worst = max(images, key=lambda image: infos[image]["severity"]["score"])
    assert client.next_sample("most_severe", {})["id"] == worst
    data = {"info": json.dumps({"grade": 1})}
    requests.put(f"{url}/datastore/image/info", params={"image": worst}, data=data, timeout=60).raise_for_status()
    assert client.next_sample("most_severe", {})["id"] != worst


def train(client, url, model):
    client.train_start(model, {"max_epochs": 1, "batch_size": 8})
    wait_for(lambda: client.train_status()["status"] not in ("SUBMITTED", "RUNNING"), 280)
    return client.train_status()


def test_training_on_grades(client, url, served):
    few = train(client, url, "severity")
    assert few["status"] == "ERROR"
    assert "grade more images" in "".join(few["details"])
    for n in range(24):
        data = {"info": json.dumps({"grade": n % 2})}
        answer = requests.put(f"{url}/datastore/image/info", params={"image": f"p{n:02d}"}, data=data, timeout=60)
        answer.raise_for_status()
    weights = served[1] / "app" / "model" / "semise_severity_pretrain" / "models" / "model.pt"
    before = weights.read_bytes()
    task = train(client, url, "severity")
    assert task["status"] == "DONE", "\n".join(task["details"])
    (last,) = [line for line in task["details"] if line.startswith("After training")]
    assert (weights.read_bytes() != before) == last.endswith(", taken")
    assert json.loads(client.infer("severity", "a", {})[1])["severity"]["score"] >= 0


def test_uncertainty_needs_a_calibration(url):
    answer = requests.post(f"{url}/activelearning/uncertain_severity", json={}, timeout=60)
    assert answer.status_code == 400
    assert "no calibration" in answer.json()["detail"]


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
    assert {path.name for path in (served[1] / "studies").iterdir()} >= {"new.png"}
    assert not list((served[1] / "studies").glob("junk*"))


def test_other_pages_may_not_read(url):
    answer = requests.get(f"{url}/info/", headers={"Origin": "http://elsewhere"}, timeout=60)
    assert "access-control-allow-origin" not in answer.headers


def test_page_and_pair(client, url):
    assert requests.get(f"{url}/compare/", timeout=60).ok
    sample = client.next_sample("informative_pair", {})
    assert len(set(sample["pair"])) == 2
