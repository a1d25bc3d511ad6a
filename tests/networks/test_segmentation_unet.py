# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer
from monai.networks.nets import FlexibleUNet
from torch.nn import functional as F

from monai_semise.networks import SegmentationUNet, build_encoder
from monai_semise.utils import InputError, save_checkpoint
from tests.networks.data import images, with_statistics


def unet(spatial_dims=2, **options):
    options = {"in_channels": 1, "out_channels": 3, "backbone": "resnet10", **options}
    torch.manual_seed(0)
    return with_statistics(SegmentationUNet(spatial_dims=spatial_dims, **options))


@pytest.fixture(scope="module")
def network():
    return unet()


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_is_monais_unet_where_that_works(spatial_dims):
    ours = unet(spatial_dims)
    theirs = FlexibleUNet(1, 3, "resnet10", spatial_dims=spatial_dims).eval()
    theirs.load_state_dict(ours.state_dict())
    image = images(2, size=64, spatial_dims=spatial_dims)
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


@given(height=st.integers(1, 100), width=st.integers(1, 100))
@settings(max_examples=25)
def test_any_size(network, height, width):
    """The output is that of the image continued by its edge to the next multiples of 32."""
    image = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(height * 100 + width))
    below, right = -(-height // 32) * 32 - height, -(-width // 32) * 32 - width
    with torch.no_grad():
        logits = network(image)
        continued = network(F.pad(image, (0, right, 0, below), mode="replicate"))
    assert logits.shape == (1, 3, height, width)
    assert torch.equal(logits, continued[:, :, :height, :width])


@pytest.mark.parametrize("size", [(33, 40, 47), (1, 32, 65)])
def test_volumes_of_any_size(size):
    with torch.no_grad():
        assert unet(3)(torch.rand(1, 1, *size)).shape == (1, 3, *size)


def test_starts_from_the_pretrained_encoder(tmp_path):
    encoder = with_statistics(build_encoder("resnet10", 2, 1)[0])
    save_checkpoint(tmp_path / "encoder.pt", encoder.state_dict())
    network = SegmentationUNet(1, 1, "resnet10", encoder_weights=tmp_path / "encoder.pt").eval()
    image = images()
    assert all(torch.equal(own, given) for own, given in zip(network.encoder(image), encoder(image)))


@pytest.mark.parametrize(
    ("backbone", "in_channels", "found"),
    [
        ("resnet50", 1, "layer1.0.conv1.weight has shape (64, 64, 3, 3) where"),
        ("resnet10", 3, "conv1.weight has shape (64, 1, 7, 7) where"),
    ],
)
def test_weights_of_another_encoder(tmp_path, backbone, in_channels, found):
    save_checkpoint(tmp_path / "encoder.pt", build_encoder("resnet10", 2, 1)[0].state_dict())
    with pytest.raises(InputError) as caught:
        SegmentationUNet(in_channels, 1, backbone, encoder_weights=tmp_path / "encoder.pt")
    assert found in str(caught.value)


@pytest.mark.parametrize("freeze", [True, False])
def test_frozen_encoder_survives_monais_trainer(freeze):
    network = unet(freeze=freeze)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": images(seed=n), "label": torch.rand(2, 3, 64, 64)} for n in range(2)],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=torch.nn.MSELoss(),
        decollate=False,
    ).run()
    after = network.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "segmentation_head"} | (set() if freeze else {"encoder"})


def test_only_the_decoder_has_gradients():
    network = unet()
    names = {name.split(".")[0] for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert names == {"decoder", "segmentation_head"}
    network.train()
    assert network.decoder.training
    assert not any(module.training for module in network.encoder.modules())


def test_decoder_settings():
    network = unet(decoder_channels=(64, 32, 16, 8, 4), dropout=0.2, interp_mode="linear", norm="instance")
    assert network.segmentation_head[0].in_channels == 4
    assert any(isinstance(module, torch.nn.InstanceNorm2d) for module in network.decoder.modules())
    assert any(isinstance(module, torch.nn.Dropout) and module.p == 0.2 for module in network.decoder.modules())
    modes = {module.mode for module in network.decoder.modules() if isinstance(module, torch.nn.Upsample)}
    assert modes == {"bilinear"}
    with torch.no_grad():
        assert network(images(size=40)).shape == (2, 3, 40, 40)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_torchscript_of_any_size(spatial_dims):
    network = unet(spatial_dims)
    scripted = torch.jit.script(network)
    for size in ((33, 47, 20), (64, 32, 32)):
        image = torch.rand(1, 1, *size[:spatial_dims])
        with torch.no_grad():
            assert torch.allclose(scripted(image), network(image), atol=1e-5)


def test_onnx_of_any_size(network, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "unet.onnx"
    axes = {name: {0: "n", 2: "height", 3: "width"} for name in ("image", "pred")}
    torch.onnx.export(
        network, (torch.rand(1, 1, 50, 70),), path, dynamo=False, input_names=["image"], output_names=["pred"],
        dynamic_axes=axes,
    )  # fmt: skip
    session = runtime.InferenceSession(path)
    for size in ((2, 1, 50, 70), (1, 1, 64, 64), (1, 1, 33, 97)):
        image = torch.rand(size)
        (logits,) = session.run(None, {"image": image.numpy()})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(logits), network(image), atol=1e-4)


def test_in_a_config():
    parser = ConfigParser({"network": {"_target_": "monai_semise.networks.SegmentationUNet", "in_channels": 1}})
    parser["network"]["out_channels"] = 2
    parser["network"]["backbone"] = "resnet10"
    assert isinstance(parser.get_parsed_content("network"), SegmentationUNet)
