# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pathlib

import pytest
import torch
from monai.networks import nets
from monai.networks.nets import FlexibleUNet
from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE

from monai_semise.networks import SemiseResNetEncoder, build_encoder, load_encoder_weights, load_imagenet_weights
from monai_semise.utils import InputError, load_checkpoint, save_checkpoint
from tests.networks.data import images, with_statistics

# what to build MONAI's own ResNet with to have that of its encoder
RESNET_OPTIONS = {
    "resnet10": {"bias_downsample": False},
    "resnet18": {"shortcut_type": "A"},
    "resnet50": {"bias_downsample": False},
}


def encoder(backbone="resnet18", **options):
    return with_statistics(build_encoder(backbone, **options)[0])


@pytest.fixture
def encoder_file(tmp_path):
    """Writes the weights of an encoder as pretraining does."""

    def write(network):
        save_checkpoint(tmp_path / "encoder.pt", network.state_dict())
        return tmp_path / "encoder.pt"

    return write


def equal_maps(maps, others):
    assert len(maps) == len(others)
    return all(torch.equal(one, other) for one, other in zip(maps, others))


def holds(network, state):
    """Whether ``network`` has exactly the weights ``state``."""
    own = network.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[key], state[key]) for key in own)


@pytest.mark.parametrize(
    ("backbone", "features", "spatial_dims", "in_channels"),
    [("resnet10", 512, 2, 1), ("resnet10", 512, 3, 2), ("resnet18", 512, 3, 1), ("resnet50", 2048, 2, 3)],
)
def test_last_feature_map_has_the_channels_it_reports(backbone, features, spatial_dims, in_channels):
    network, channels = build_encoder(backbone, spatial_dims, in_channels)
    with torch.no_grad():
        maps = network.eval()(images(1, in_channels, 32, spatial_dims))
    assert channels == features
    assert maps[-1].shape == (1, features, *[1] * spatial_dims)


@pytest.mark.parametrize(("backbone", "in_channels"), [("resnet10", 1), ("resnet18", 3), ("resnet50", 1)])
def test_weights_load_strictly_into_monais_resnet_with_equal_outputs(backbone, in_channels):
    ours = encoder(backbone, in_channels=in_channels)
    theirs = getattr(nets, backbone)(
        spatial_dims=2,
        n_input_channels=in_channels,
        conv1_t_stride=2,
        feed_forward=False,
        **RESNET_OPTIONS[backbone],
    ).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    image = images(channels=in_channels)
    with torch.no_grad():
        torch.testing.assert_close(theirs(image), ours(image)[-1].mean(dim=(2, 3)))


@pytest.mark.parametrize(("backbone", "in_channels"), [("resnet10", 1), ("resnet18", 3), ("resnet50", 1)])
def test_weights_load_strictly_into_flexible_unet_with_equal_outputs(backbone, in_channels):
    ours = encoder(backbone, in_channels=in_channels)
    network = FlexibleUNet(in_channels=in_channels, out_channels=2, backbone=backbone).eval()
    network.encoder.load_state_dict(ours.state_dict(), strict=True)
    image = images(channels=in_channels)
    with torch.no_grad():
        assert equal_maps(network.encoder(image), ours(image))
        assert network(image).shape == (2, 2, 64, 64)


@pytest.mark.parametrize(("spatial_dims", "in_channels"), [(2, 3), (3, 1)])
def test_semise_backbone_of_flexible_unet_starts_from_the_file(encoder_file, spatial_dims, in_channels):
    ours = encoder(spatial_dims=spatial_dims, in_channels=in_channels)
    path = encoder_file(ours)
    options = {
        "in_channels": in_channels,
        "out_channels": 2,
        "backbone": "semise-resnet18",
        "spatial_dims": spatial_dims,
    }
    network = FlexibleUNet(**options, pretrained=str(path)).eval()
    assert holds(network.encoder, ours.state_dict())
    image = images(1, in_channels, 32, spatial_dims)
    with torch.no_grad():
        assert equal_maps(network.encoder(image), ours(image))
        assert network(image).shape == (1, 2, *[32] * spatial_dims)


@pytest.mark.parametrize("pretrained", [False, None])
def test_semise_backbone_without_a_file_starts_at_random(pretrained):
    first, second = (SemiseResNetEncoder("semise-resnet10", pretrained=pretrained) for _ in range(2))
    assert first.state_dict().keys() == second.state_dict().keys()
    assert not torch.equal(first.conv1.weight, second.conv1.weight)


def test_a_flexible_unet_with_weights_leaves_later_encoders_at_random(encoder_file):
    ours = encoder("resnet10")
    FlexibleUNet(in_channels=1, out_channels=2, backbone="semise-resnet10", pretrained=str(encoder_file(ours)))
    later, _ = build_encoder("semise-resnet10", spatial_dims=3, in_channels=2)
    assert later.conv1.weight.shape == (64, 2, 7, 7, 7)
    again, _ = build_encoder("semise-resnet10")
    assert not torch.equal(again.conv1.weight, ours.conv1.weight)


def test_build_encoder_leaves_the_registry_as_it_was():
    before = dict(FLEXUNET_BACKBONE.register_dict["resnet10"]["parameter"])
    build_encoder("resnet10", spatial_dims=2, in_channels=5)
    assert FLEXUNET_BACKBONE.register_dict["resnet10"]["parameter"] == before


def test_every_resnet_of_monai_has_a_semise_backbone():
    ours = {name for name in FLEXUNET_BACKBONE.register_dict if name.startswith("semise-")}
    assert ours == {f"semise-resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200)}


def test_pretrained_true_is_refused():
    with pytest.raises(InputError, match=r"semise-resnet10 needs the path of an encoder\.pt, not True"):
        FlexibleUNet(in_channels=1, out_channels=2, backbone="semise-resnet10", pretrained=True)


def test_an_unknown_backbone_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"backbone: 'resnet51' is not one of .*resnet50.*semise-resnet50"):
        build_encoder("resnet51")


def test_load_encoder_weights_restores_every_weight(encoder_file):
    ours = encoder(in_channels=3)
    other, _ = build_encoder("resnet18", in_channels=3)
    load_encoder_weights(other, encoder_file(ours))
    assert holds(other, ours.state_dict())


@pytest.mark.parametrize(
    ("saved", "wanted", "message"),
    [
        ({"backbone": "resnet18"}, {"backbone": "resnet50"}, "layer1.0.conv1.weight has shape"),
        ({"backbone": "resnet50"}, {"backbone": "resnet18"}, "layer1.0.conv1.weight has shape"),
        ({"backbone": "resnet10"}, {"backbone": "resnet18"}, "no key layer1.1.conv1.weight"),
        ({"backbone": "resnet18"}, {"backbone": "resnet10"}, "no key layer2.0.downsample.0.weight"),
        ({"in_channels": 3}, {"in_channels": 1}, r"conv1.weight has shape \(64, 3, 7, 7\) .* needs \(64, 1, 7, 7\)"),
        ({"spatial_dims": 3}, {"spatial_dims": 2}, r"conv1.weight has shape \(64, 1, 7, 7, 7\)"),
    ],
)
def test_weights_of_another_network_are_refused_with_file_and_key(encoder_file, saved, wanted, message):
    path = encoder_file(encoder(**saved))
    target = encoder(**wanted)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(InputError, match=message) as error:
        load_encoder_weights(target, path)
    assert str(path) in str(error.value)
    assert holds(target, before)


def test_weights_with_a_surplus_are_refused(tmp_path):
    network, _ = build_encoder("resnet10")
    save_checkpoint(tmp_path / "more.pt", {**network.state_dict(), "layer3.1.conv1.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"unknown key layer3\.1\.conv1\.weight"):
        load_encoder_weights(network, tmp_path / "more.pt")


@pytest.mark.parametrize("load", [load_encoder_weights, load_imagenet_weights])
@pytest.mark.parametrize(
    "content", [torch.zeros(3), [torch.zeros(3)], {"model": {"conv1.weight": torch.zeros(3)}}, {"epoch": 4}, {0: 1}]
)
def test_a_file_of_something_else_is_refused(tmp_path, content, load):
    save_checkpoint(tmp_path / "other.pt", content)
    with pytest.raises(InputError, match=r"other\.pt: not a flat dictionary of weights"):
        load(build_encoder("resnet10")[0], tmp_path / "other.pt")


@pytest.mark.parametrize("load", [load_encoder_weights, load_imagenet_weights])
def test_a_missing_damaged_or_pickled_file_is_refused(tmp_path, load):
    network, _ = build_encoder("resnet10")
    with pytest.raises(InputError, match=r"missing\.pt(: no such file| does not exist; run semise_pretrain first)"):
        load(network, tmp_path / "missing.pt")
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(InputError, match=r"damaged\.pt: cannot be loaded"):
        load(network, tmp_path / "damaged.pt")
    torch.save({"conv1.weight": pathlib.PurePosixPath("anything")}, tmp_path / "pickled.pt")
    with pytest.raises(InputError, match=r"pickled\.pt: cannot be loaded with weights_only=True"):
        load(network, tmp_path / "pickled.pt")


@pytest.fixture(scope="module", params=[True, False], ids=["counters", "no counters"])
def torchvision_file(request, tmp_path_factory):
    """Weights as torchvision writes them: 3 channels, a classifier; its older files have no counters of batches."""
    network = with_statistics(
        nets.resnet50(spatial_dims=2, n_input_channels=3, conv1_t_stride=2, bias_downsample=False, num_classes=10)
    )
    state = network.state_dict()
    assert {"fc.weight", "fc.bias", "layer2.0.downsample.1.running_var"} <= state.keys()
    path = tmp_path_factory.mktemp("torchvision") / "resnet50.pth"
    torch.save(
        {key: value for key, value in state.items() if request.param or not key.endswith("num_batches_tracked")}, path
    )
    return path


def test_imagenet_weights_load_without_their_classifier(torchvision_file):
    network, _ = build_encoder("resnet50", in_channels=3)
    load_imagenet_weights(network, torchvision_file)
    saved = {key: value for key, value in load_checkpoint(torchvision_file).items() if not key.startswith("fc.")}
    own = network.state_dict()
    assert all(torch.equal(own[key], saved[key]) for key in saved)
    assert all(key.endswith("num_batches_tracked") for key in own.keys() - saved.keys())


@pytest.mark.parametrize("channels", [1, 2])
def test_imagenet_weights_answer_a_grey_image_as_its_rgb_copy(torchvision_file, channels):
    grey, colour = (build_encoder("resnet50", in_channels=n)[0].double().eval() for n in (channels, 3))
    for network in (grey, colour):
        load_imagenet_weights(network, torchvision_file)
    image = images(1).double()
    with torch.no_grad():
        for one, other in zip(grey(image.expand(-1, channels, -1, -1)), colour(image.expand(-1, 3, -1, -1))):
            # the weights are rounded to float32
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"backbone": "resnet10"}, "layer1.0.conv1.weight has shape"),
        ({"backbone": "resnet18"}, "do not fit MONAI's resnet18 and resnet34 encoders"),
        ({"backbone": "resnet50", "spatial_dims": 3}, r"conv1.weight has shape \(64, 3, 7, 7\)"),
        ({"backbone": "efficientnet-b0"}, "which this encoder has not"),
    ],
)
def test_imagenet_weights_of_another_network_are_refused(torchvision_file, wanted, message):
    with pytest.raises(InputError, match=message):
        load_imagenet_weights(build_encoder(**wanted)[0], torchvision_file)


def test_imagenet_weights_in_3d_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7, 7)}, tmp_path / "video.pth")
    with pytest.raises(InputError, match=r"conv1\.weight has shape \(64, 3, 7, 7, 7\)"):
        load_imagenet_weights(build_encoder("resnet18")[0], tmp_path / "video.pth")


def test_monai_still_keeps_encoder_arguments_in_a_global():
    """When this fails, FlexibleUNet no longer writes into its registry, and build_encoder need not copy from it."""
    arguments = FLEXUNET_BACKBONE.register_dict["resnet10"]["parameter"]
    build_encoder("resnet10", spatial_dims=3, in_channels=4)
    assert arguments.get("in_channels") != 4
    FlexibleUNet(in_channels=3, out_channels=1, backbone="resnet10", spatial_dims=2)
    assert arguments["in_channels"] == 3
