# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Packed bundle folders pass the checks of MONAI and the Model Zoo, and do what the run did."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import monai
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, load
from monai.bundle.scripts import ckpt_export, onnx_export, verify_metadata, verify_net_in_out

from monai_semise.apps.pack import pack_run
from monai_semise.apps.pack.kinds import KINDS
from monai_semise.utils import InputError, load_checkpoint
from tests.apps.pack import runs
from tests.apps.pack.runs import BUNDLES
from tests.bundles.harness import ROOT

SCHEMA = ROOT.parent / "shared" / "schema" / "meta_schema_20240725.json"
TOLERANCE = {"rtol": 0, "atol": 1e-4}
RUNS = {
    "pretraining": runs.pretraining,
    "softmax": runs.classification,
    "corn": lambda folder: runs.classification(folder, "classification/corn"),
    "masks": runs.segmentation,
}
EXPORTS = ("torchscript", "onnx")
MODELS = {"model.pt", "encoder.pt", "model.ts", "model.onnx"}


class Packed(NamedTuple):
    run: Path
    folder: Path
    datalist: Path

    @property
    def outlines(self):
        """Whether the network gives masks, not severities."""
        return self.folder.name.endswith("segmentation")

    @property
    def configs(self):
        return self.folder / "configs"

    def config(self, name):
        return json.loads((self.configs / f"{name}.json").read_text())

    def settings(self, config="inference"):
        """For MONAI's commands on bundles."""
        return {"config_file": str(self.configs / f"{config}.json"), "meta_file": str(self.configs / "metadata.json")}


@pytest.fixture(scope="module", params=RUNS)
def packed(request, tmp_path_factory):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp(request.param)
    run = RUNS[request.param](folder)
    out = pack_run(run, folder / "packed", BUNDLES, "1.2.3", EXPORTS)
    return Packed(run, out, next(folder.glob("data/*/datalist.json")))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No test works in the checkout or in the bundle."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def images(packed):
    """As the network sees them: prepared ones of the test set."""
    flow = workflow(packed, "inference", input=str(packed.datalist))
    dataset = flow.parser.get_parsed_content("dataset")
    return torch.stack([torch.as_tensor(dataset[n]["image"]) for n in range(3)])


@pytest.fixture
def expected(packed, images):
    """What the network of the run, built as it was trained, makes of them."""
    name = json.loads((packed.run / "settings.json").read_text())["bundle"]
    inference = ConfigWorkflow(
        str(BUNDLES / f"{KINDS[name].inference}.json"),
        logging_file=False,
        workflow_type="infer",
        run_dir=str(packed.run),
        output_dir=str(packed.run / "inference"),
        input=str(packed.datalist),
    )
    return outputs(inference.parser.get_parsed_content("network_def"), images, packed.run / "model.pt")


def workflow(packed, config, **settings):
    return ConfigWorkflow(
        str(packed.configs / f"{config}.json"),
        workflow_type="train" if config == "train" else "infer",
        bundle_root=str(packed.folder),
        **settings,
    )


def outputs(network, images, weights=None):
    if weights is not None:
        network.load_state_dict(load_checkpoint(weights))
    with torch.inference_mode():
        return network.eval()(images)


def onnx_outputs(path, images, name=None):
    """``name`` is the input's; MONAI calls it as the network does."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name or session.get_inputs()[0].name: images.numpy()})[0])


def test_files(packed):
    files = {str(path.relative_to(packed.folder)) for path in packed.folder.rglob("*") if path.is_file()}
    configs = {f"configs/{name}" for name in ("metadata.json", "train.json", "inference.json", "logging.conf")}
    configs |= {
        f"configs/{name}" for kind in KINDS.values() if kind.folder == packed.folder.name for name in kind.enclosed
    }
    read = () if packed.outlines else ("calibration.json", "training_embeddings.pt")
    models = {f"models/{name}" for name in (*MODELS, *read)}
    assert files == {"LICENSE", "docs/README.md", *configs, *models}
    assert (packed.folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert not [path for path in packed.folder.parent.iterdir() if path != packed.folder]
    assert packed.folder.stat().st_mode & 0o055 == packed.folder.parent.stat().st_mode & 0o055


def test_metadata(packed):
    """What the specification and the Model Zoo's check require, without the schema."""
    found = packed.config("metadata")
    assert re.fullmatch(r"https://project-monai\.github\.io/schema/meta_schema_20240725\.json", found["schema"])
    assert found["version"] == "1.2.3"
    assert found["version"] in found["changelog"]
    for field in ("name", "task", "description", "authors", "copyright", "intended_use"):
        assert found[field].strip()
    assert found["task"] == next(kind.task for kind in KINDS.values() if kind.folder == packed.folder.name)
    for field, module in (("monai_version", monai), ("pytorch_version", torch), ("numpy_version", np)):
        assert found[field] == module.__version__.split("+")[0]
    required = found["required_packages_version"]
    assert required == {name: importlib.metadata.version(name) for name in required}
    dependencies = (ROOT / "setup.py").read_text().split("extras_require")[0]
    assert all(f'"{name}' in dependencies for name in required)
    assert "monai-semise" in required
    assert packed.folder.name.rpartition("_")[2] in ("pretrain", "classification", "segmentation")
    for tensors in found["network_data_format"].values():
        for tensor in tensors.values():
            assert tensor["channel_def"].keys() == {str(n) for n in range(tensor["num_channels"])}
            assert tensor["dtype"] == "float32"
            assert isinstance(tensor["value_range"], list)


@pytest.mark.skipif(not SCHEMA.is_file(), reason="needs MONAI's bundle schema, which lies beside the checkout")
def test_metadata_is_valid(packed):
    verify_metadata(meta_file=packed.settings()["meta_file"], filepath=str(SCHEMA))


@pytest.mark.parametrize("config", ["inference", "train"])
def test_network_agrees_with_the_metadata(packed, config):
    verify_net_in_out("network_def", device="cpu", **packed.settings(config))


def test_network_data_format(packed, images, expected):
    formats = packed.config("metadata")["network_data_format"]
    image, output = formats["inputs"]["image"], formats["outputs"]["pred"]
    assert (image["num_channels"], *image["spatial_shape"]) == images.shape[1:]
    assert (output["num_channels"], *output["spatial_shape"]) == expected.shape[1:]


@pytest.mark.parametrize("config", ["inference", "train"])
def test_properties_are_complete(packed, config, tmp_path):
    data = {"datalist": str(packed.datalist)} if config == "train" else {"input": str(packed.datalist)}
    flow = workflow(packed, config, output_dir=str(tmp_path / "out"), **data)
    flow.initialize()
    assert flow.check_properties() == []


def test_monais_exports(packed, images, expected, tmp_path, monkeypatch):
    """As the Model Zoo calls them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where MONAI's onnx_export leaves the weights behind
    files = {**packed.settings(), "ckpt_file": str(packed.folder / "models" / "model.pt")}
    ckpt_export("network_def", filepath=str(tmp_path / "model.ts"), **files)
    assert torch.allclose(outputs(torch.jit.load(str(tmp_path / "model.ts")), images), expected, **TOLERANCE)
    onnx_export("network_def", filepath=str(tmp_path / "model.onnx"), **files)
    found = torch.cat([onnx_outputs(tmp_path / "model.onnx", image[None]) for image in images])
    assert torch.allclose(found, expected, **TOLERANCE)


def test_packed_exports(packed, images, expected):
    models = packed.folder / "models"
    assert torch.allclose(outputs(torch.jit.load(str(models / "model.ts")), images), expected, **TOLERANCE)
    assert torch.allclose(onnx_outputs(models / "model.onnx", images, "image"), expected, **TOLERANCE)
    assert (expected[0] - expected[1]).abs().max() > 10 * TOLERANCE["atol"]  # else any image would do


def test_exported_torchscript_tells_what_it_is(packed):
    _, metadata, extra = load(
        packed.folder.name, bundle_dir=packed.folder.parent, load_ts_module=True, config_files=("inference.json",)
    )
    assert metadata["version"] == "1.2.3"
    assert json.loads(extra["inference.json"]) == packed.config("inference")


@pytest.mark.parametrize("workflow_type", ["inference", "train"])
def test_loaded_network_predicts_what_the_run_does(packed, images, expected, workflow_type):
    network = load(packed.folder.name, bundle_dir=packed.folder.parent, workflow_type=workflow_type, device="cpu")
    assert torch.equal(outputs(network, images), expected)
    assert not list(Path.cwd().iterdir())


def test_inference_predicts_what_the_run_does(packed, tmp_path):
    name = json.loads((packed.run / "settings.json").read_text())["bundle"]
    settings = {"logging_file": False, "input": str(packed.datalist), "n_shown": 2, "n_resamples": 20}
    shipped = ConfigWorkflow(
        str(BUNDLES / f"{KINDS[name].inference}.json"),
        workflow_type="infer",
        run_dir=str(packed.run),
        output_dir=str(tmp_path / "shipped"),
        **settings,
    )
    for flow in (shipped, workflow(packed, "inference", output_dir=str(tmp_path / "packed"), **settings)):
        flow.initialize()
        flow.run()
    name, column = ("segmentation.csv", "dice") if packed.outlines else ("severity.csv", "score")
    expected, found = ((tmp_path / folder / name).read_text() for folder in ("shipped", "packed"))
    assert found == expected
    assert len({row[column] for row in csv.DictReader(found.splitlines())}) > 5
    page = (tmp_path / "packed" / "report.html").read_text()
    assert ("training image " in page) is not packed.outlines


def test_training_has_the_runs_settings(packed, tmp_path):
    settings = {"dataset_dir": str(packed.datalist.parents[1]), "datalist": str(packed.datalist), "n_resamples": 20}
    epochs = {"discriminate::trainer::max_epochs": 1, "train::trainer::max_epochs": 1}
    epochs = {name: value for name, value in epochs.items() if name.split("::")[0] in packed.config("train")}
    flow = workflow(packed, "train", logging_file=False, output_dir=str(tmp_path / "out"), **settings, **epochs)
    flow.initialize()
    flow.run()
    expected, found = (json.loads((run / "settings.json").read_text()) for run in (packed.run, tmp_path / "out"))
    assert found.pop("encoder", None) == (
        str(packed.folder / "models" / "encoder.pt") if "encoder" in expected else None
    )
    expected.pop("encoder", None)
    assert found == expected
    assert type(flow.parser.get_parsed_content("train::loss")).__name__ == {
        "semise_pretrain": "SemiseLoss",
        "semise_classification": "OrdinalCornLoss" if found.get("head") == "corn" else "CrossEntropyLoss",
        "semise_segmentation": "DiceCrossEntropyLoss",
    }.get(found["bundle"])
    encoder, trained = (load_checkpoint(folder / "model.pt") for folder in (packed.folder / "models", tmp_path / "out"))
    assert trained.keys() == encoder.keys()
    if found.get("freeze"):  # so it is still the one that training started from
        assert all(torch.equal(trained[key], value) for key, value in encoder.items() if key.startswith("encoder."))


def test_encoder_is_the_runs(packed):
    source = packed.run / "encoder.pt" if (packed.run / "encoder.pt").exists() else packed.run.parent / "encoder.pt"
    encoder, expected = load_checkpoint(packed.folder / "models" / "encoder.pt"), load_checkpoint(source)
    assert encoder.keys() == expected.keys()
    assert all(torch.equal(encoder[key], expected[key]) for key in expected)


def contents(folder):
    """Every file, and every file inside of those that are archives, by name."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    yield from ((f"{path}: {name}", archive.read(name)) for name in archive.namelist())


def test_no_file_names_this_machine_or_the_training_images(packed):
    items = json.loads(packed.datalist.read_text())["training"]
    private = {str(packed.run.parent), str(ROOT), sys.prefix, torch.__path__[0], monai.__path__[0], "/tmp"}
    private |= {Path(item["image"]).name for item in items} | {str(item["group"]) for item in items}
    assert any(str(packed.run.parent) in text.decode(errors="ignore") for _, text in contents(packed.run))
    pattern = re.compile("|".join(map(re.escape, private)).encode())
    assert [(name, found[0]) for name, text in contents(packed.folder) if (found := pattern.search(text))] == []


def test_readme(packed):
    text = (packed.folder / "docs" / "README.md").read_text()
    lines = text.splitlines()
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    for before, line, after in zip(lines, lines[1:], lines[2:]):
        if line.startswith("#"):
            assert before == after == ""
        if line.startswith("|") and not before.startswith("|"):
            assert before == ""
            assert after.startswith("|---|")
    kind = next(kind for kind in KINDS.values() if kind.folder == packed.folder.name)
    assert lines[0] == f"# {kind.title}"
    assert all(
        part in text for part in (kind.description, *kind.references, "`models/model.ts`", "| `backbone` | resnet10 |")
    )
    settings = json.loads((packed.run / "settings.json").read_text())
    names = "structures" if packed.outlines else "grade_names"
    assert f"| `{names}` | {', '.join(settings[names])} |" in lines
    assert {"True", "False", "None"}.isdisjoint(re.findall(r"\w+", text))
    summary = json.loads((packed.run / "summary.json").read_text())["test"]
    measure = "lesion_dice" if packed.outlines else "accuracy"
    value, low, high = next(iter(summary.get("evaluation", summary)["rows"].values()))[measure]
    shown = text.partition("\nOn the test set")[2].splitlines()
    row = next(line for line in shown if line.startswith(f"| {measure.replace('_', ' ')} |"))
    assert row.split(" | ")[1] == f"{value:.3f} ({low:.3f} to {high:.3f})"


# ---------------------------------------------------------------- what goes wrong


@pytest.fixture
def untrained(tmp_path):
    return runs.untrained(tmp_path / "run")


def pack(run, tmp_path, **settings):
    return pack_run(run, tmp_path / "out", settings.pop("bundles", BUNDLES), **settings)


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_packing_again_replaces(untrained, tmp_path):
    first = snapshot(pack(untrained, tmp_path))
    (tmp_path / "out" / "semise_severity_pretrain" / "models" / "model.ts").write_bytes(b"of the earlier network")
    runs.untrained(untrained, embedding_dim=8)
    folder = pack(untrained, tmp_path, version="0.2.0")
    assert snapshot(folder).keys() == first.keys()
    assert json.loads((folder / "configs" / "metadata.json").read_text())["version"] == "0.2.0"
    assert load_checkpoint(folder / "models" / "model.pt")["healthy_reference"].shape == (8,)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["semise_severity_pretrain"]


def test_a_failing_pack_leaves_nothing_or_the_earlier_folder(untrained, tmp_path):
    bundles = runs.bundles_without(tmp_path / "bundles", "logging.conf")
    with pytest.raises(InputError, match=r"logging\.conf does not exist; name the folder .* with --bundles"):
        pack(untrained, tmp_path, bundles=bundles)
    assert list((tmp_path / "out").iterdir()) == []
    pack(untrained, tmp_path)
    before = snapshot(tmp_path / "out")
    (untrained / "training_embeddings.pt").write_bytes(b"damaged")  # read after most is written
    with pytest.raises(InputError, match=r"training_embeddings\.pt"):
        pack(untrained, tmp_path)
    assert snapshot(tmp_path / "out") == before


def test_a_failing_swap_leaves_the_earlier_folder(untrained, tmp_path, monkeypatch):
    pack(untrained, tmp_path)
    before = snapshot(tmp_path / "out")
    rename = Path.rename

    def fail_at_the_second(self, target):
        if Path(target) == tmp_path / "out" / "semise_severity_pretrain" and self.name != "earlier":
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_at_the_second)
    with pytest.raises(OSError, match="the disk is gone"):
        pack(untrained, tmp_path)
    assert snapshot(tmp_path / "out") == before


def test_a_killed_pack_leaves_no_half_folder(untrained, tmp_path):
    script = (
        "import os, sys\n"
        "from monai_semise.apps.pack import bundle_folder\n"
        "bundle_folder.readme_text = lambda *arguments: os.kill(os.getpid(), 9)\n"
        "bundle_folder.pack_run(*sys.argv[1:])\n"
    )
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", script, untrained, out, BUNDLES], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path for path in out.iterdir() if not path.name.startswith(".")] == []
    assert any(out.rglob("metadata.json"))  # it was half done
    assert (pack(untrained, tmp_path) / "docs" / "README.md").is_file()


def test_what_is_no_bundle_folder_is_not_replaced(untrained, tmp_path):
    folder = pack(untrained, tmp_path)
    (folder / "runs").mkdir()
    (folder / "runs" / "worklist.csv").write_text("results")
    before = snapshot(tmp_path / "out")
    with pytest.raises(InputError, match=r"out: .*semise_severity_pretrain holds runs; move that elsewhere"):
        pack(untrained, tmp_path)
    assert snapshot(tmp_path / "out") == before
    shutil.rmtree(folder)
    folder.write_text("a file")
    with pytest.raises(InputError, match="holds something else"):
        pack(untrained, tmp_path)
    assert folder.read_text() == "a file"


def mix(run):
    """Weights of a network, settings of another."""
    settings = (run / "settings.json").read_text()
    runs.untrained(run, embedding_dim=8)
    (run / "settings.json").write_text(settings)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda run: (run / "settings.json").unlink(), {}, r"run_dir: .* holds no settings\.json"),
        (lambda run: (run / "model.pt").unlink(), {}, r"model\.pt: no such file"),
        (lambda run: (run / "model.pt").write_bytes(b"junk"), {}, r"model\.pt: cannot be loaded"),
        (mix, {}, r"run_dir: model\.pt does not fit settings\.json \(size mismatch for .*\); train again"),
        (lambda run: (run / "training_embeddings.pt").unlink(), {}, r"training_embeddings\.pt: no such file"),
        (lambda run: runs.untrained(run, bundle="other"), {}, r"is of a run of 'other', not of semise_pretrain, "),
        (lambda run: None, {"version": "one"}, r"version: 'one' is not three numbers like 0\.1\.0"),
        (lambda run: None, {"bundles": "/nowhere"}, r"bundles: /nowhere/semise_pretrain\.json does not exist"),
    ],
    ids=["no-settings", "no-model", "damaged-model", "mixed", "no-embeddings", "other-bundle", "version", "no-configs"],
)
def test_bad_input(untrained, tmp_path, change, settings, message):
    change(untrained)
    with pytest.raises(InputError, match=message):
        pack(untrained, tmp_path, **settings)
    assert not any((tmp_path / "out").glob("*"))


def test_a_setting_that_an_earlier_version_did_not_keep(untrained, tmp_path):
    settings = json.loads((untrained / "settings.json").read_text())
    del settings["mammography"]
    (untrained / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="run_dir: the run's settings lack mammography; train again"):
        pack(untrained, tmp_path)


def test_output_folder_that_cannot_be_written(untrained, tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match="out: cannot write to"):
        pack(untrained, tmp_path)


def test_a_run_without_calibration_or_measures(untrained, tmp_path):
    folder = pack(untrained, tmp_path)
    models = {"model.pt", "encoder.pt", "training_embeddings.pt"}
    assert {path.name for path in (folder / "models").iterdir()} == models
    assert "\nNot measured.\n\n## " in (folder / "docs" / "README.md").read_text()
    assert os.listdir(tmp_path / "out") == [folder.name]
