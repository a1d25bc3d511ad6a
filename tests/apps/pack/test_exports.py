# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import sys
import tempfile

import pytest
import torch

from monai_semise.apps.pack import exports, pack_run
from monai_semise.apps.run_settings import write_run_settings
from monai_semise.networks import SegmentationUNet, SemiseNet
from monai_semise.utils import InputError, load_checkpoint, save_checkpoint
from tests.apps.pack import runs

VOLUMES = {"spatial_dims": 3, "image_size": [32, 32, 48], "in_channels": 2}


def torchscript(path, images):
    with torch.inference_mode():
        return torch.jit.load(str(path))(images)


def onnx(path, images):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())
    assert name == "image"
    return torch.from_numpy(session.run(["pred"], {name: images.numpy()})[0])


READ = {"torchscript": ("model.ts", torchscript), "onnx": ("model.onnx", onnx)}


@pytest.mark.parametrize("export", READ)
@pytest.mark.parametrize("batch", [1, 3])
def test_networks_of_volumes_export_too(volumes, export, batch):
    """MONAI's older exporters made ONNX of 2D networks only."""
    name, read = READ[export]
    network = SemiseNet("resnet10", spatial_dims=3, in_channels=2, embedding_dim=16).eval()
    network.load_state_dict(load_checkpoint(volumes / "models" / "model.pt"))
    images = torch.rand(batch, 2, 32, 32, 48, generator=torch.Generator().manual_seed(batch))
    with torch.inference_mode():
        expected = network(images)
        other = network(images.flip(-1))
    assert torch.allclose(read(volumes / "models" / name, images), expected, rtol=0, atol=1e-4)
    assert (other - expected).abs().max() > 1e-3


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("volumes")
    return pack_run(runs.untrained(folder / "run", **VOLUMES), folder, runs.BUNDLES, exports=tuple(READ))


def test_segmentation_networks_of_volumes_export_too(tmp_path):
    """The export is compared with the network before it stays."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    settings = {"backbone": "resnet10", "decoder_channels": [16, 16, 8, 8, 8], **VOLUMES}
    network = SegmentationUNet(
        2, 3, **{key: settings[key] for key in settings if key not in ("image_size", "in_channels")}
    )
    with torch.no_grad():
        network(torch.rand(2, 2, 32, 32, 48))  # statistics of batch norm
    save_checkpoint(tmp_path / "run" / "model.pt", network.state_dict())
    known = {
        "bundle": "semise_segmentation",
        "mammography": False,
        "local_contrast": False,
        "structures": ["a", "b"],
        "exclusive": True,
    }
    write_run_settings(tmp_path / "run", {**known, **settings})
    folder = pack_run(tmp_path / "run", tmp_path / "out", runs.BUNDLES, exports=tuple(READ))
    images = torch.rand(3, 2, 32, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = network.eval()(images)
    for name, read in READ.values():
        assert torch.allclose(read(folder / "models" / name, images), expected, rtol=0, atol=1e-4)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    folder = pack_run(runs.untrained(tmp_path / "run"), tmp_path / "out", runs.BUNDLES, exports=tuple(READ))
    assert list((tmp_path / "temporary").iterdir()) == []
    expected = {"model.pt", "encoder.pt", "training_embeddings.pt", "model.ts", "model.onnx"}
    assert {path.name for path in (folder / "models").iterdir()} == expected


def refused(tmp_path, export, **settings):
    """The message with which a pack ends."""
    run = runs.untrained(tmp_path / "run", **settings)
    with pytest.raises(InputError) as caught:
        pack_run(run, tmp_path / "out", runs.BUNDLES, exports=[export])
    assert list((tmp_path / "out").iterdir()) == []
    return str(caught.value)


def test_a_network_that_cannot_be_exported(tmp_path):
    message = refused(tmp_path, "torchscript", backbone="resnet18")  # MONAI's has a shortcut that cannot be compiled
    assert message.startswith("--export torchscript: this SemiseNet cannot be exported (")
    assert message.endswith("; leave out torchscript")
    assert "\n" not in message


@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_an_export_that_computes_something_else(tmp_path, monkeypatch, wrong):
    name, write = exports.EXPORTS["torchscript"]
    monkeypatch.setitem(exports.EXPORTS, "torchscript", (name, lambda *arguments: write(*arguments) + wrong))
    assert refused(tmp_path, "torchscript").startswith("--export torchscript: the exported network is off by up to")


def test_without_the_packages_for_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = refused(tmp_path, "onnx")
    assert message == "--export onnx: needs onnx, onnxscript and onnxruntime; pip install monai-semise[onnx]"
