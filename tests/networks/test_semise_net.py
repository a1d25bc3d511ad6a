# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.networks.blocks import BaseEncoder
from monai.networks.layers.factories import Act
from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE
from torch import nn

from monai_semise.losses import cosine_distance
from monai_semise.networks import SemiseNet
from monai_semise.utils import InputError
from monai_semise.utils.heads import CONTRAST, PREFERENCE, PROJECTION, THRESHOLDS
from tests.networks.data import images, with_statistics

D = 8


def small_net(**options):
    torch.manual_seed(0)
    return with_statistics(SemiseNet(**{"backbone": "resnet10", "embedding_dim": D, **options}))


@pytest.mark.parametrize("separate_heads", [False, True])
@pytest.mark.parametrize(("spatial_dims", "in_channels"), [(2, 1), (2, 3), (3, 1)])
def test_one_image_tensor_in_and_one_embedding_tensor_out(spatial_dims, in_channels, separate_heads):
    network = small_net(spatial_dims=spatial_dims, in_channels=in_channels, separate_heads=separate_heads)
    with torch.no_grad():
        embeddings = network(images(3, in_channels, 32, spatial_dims))
    assert isinstance(embeddings, torch.Tensor)
    assert embeddings.shape == (3, 3 if separate_heads else 2, D)


@pytest.mark.parametrize("separate_heads", [False, True])
def test_heads_are_those_of_the_paper_in_their_order(separate_heads):
    network, image = small_net(separate_heads=separate_heads), images()
    with torch.no_grad():
        embeddings = network(image)
        features = network.encoder(image)[-1].mean(dim=(2, 3))
        torch.testing.assert_close(network.features(image), features)
        projection = features @ network.projection.weight.T + network.projection.bias
        torch.testing.assert_close(embeddings[:, PROJECTION], projection)
        for position, head in ((PREFERENCE, network.preference), (CONTRAST, network.contrast or network.preference)):
            hidden = (projection @ head[0].weight.T + head[0].bias).clamp_min(0)
            torch.testing.assert_close(embeddings[:, position], hidden @ head[2].weight.T + head[2].bias)


@pytest.mark.parametrize("n_grades", [2, D + 1])
@pytest.mark.parametrize("separate_heads", [False, True])
def test_thresholds_are_a_linear_layer_of_the_projection_filled_up_with_zeros(separate_heads, n_grades):
    network, image = small_net(separate_heads=separate_heads, n_grades=n_grades), images()
    with torch.no_grad():
        embeddings = network(image)
        assert embeddings.shape == (len(image), 4, D)
        logits = network.thresholds(embeddings[:, PROJECTION])
        torch.testing.assert_close(embeddings[:, THRESHOLDS, : n_grades - 1], logits)
        assert (embeddings[:, THRESHOLDS, n_grades - 1 :] == 0).all()
        head = network.contrast or network.preference
        torch.testing.assert_close(embeddings[:, CONTRAST], head(embeddings[:, PROJECTION]))
        torch.testing.assert_close(embeddings[:, PREFERENCE], network.preference(embeddings[:, PROJECTION]))


@pytest.mark.parametrize("n_grades", [1, D + 2])
def test_a_number_of_grades_without_room_is_refused(n_grades):
    with pytest.raises(InputError, match=rf"n_grades: must lie in \[2, embedding_dim \+ 1\], got {n_grades}"):
        small_net(n_grades=n_grades)


def test_default_is_the_papers_resnet50_with_256_dimensions():
    network = SemiseNet()
    assert network.projection.weight.shape == (256, 2048)
    assert len(network.encoder.layer3) == 6
    assert network.contrast is None
    assert network.thresholds is None


@pytest.mark.parametrize("separate_heads", [False, True])
def test_images_of_a_batch_do_not_see_each_other_in_evaluation(separate_heads):
    network, image = small_net(separate_heads=separate_heads), images(3)
    with torch.no_grad():
        torch.testing.assert_close(network(image)[1:2], network(image[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_grades", [None, 3])
@pytest.mark.parametrize("separate_heads", [False, True])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_torchscript_agrees(separate_heads, spatial_dims, n_grades):
    network = small_net(separate_heads=separate_heads, spatial_dims=spatial_dims, n_grades=n_grades)
    image = images(2, 1, 32, spatial_dims)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))


def test_severity_without_a_reference_is_refused():
    with pytest.raises(RuntimeError, match="no healthy reference yet"):
        small_net().severity(torch.ones(2, 2, D))


def test_severity_is_the_distance_of_the_preference_embedding_to_the_reference():
    network, embeddings, reference = small_net(), torch.randn(5, 2, D), torch.randn(D)
    network.set_healthy_reference(reference)
    score = network.severity(embeddings)
    assert torch.equal(score, cosine_distance(embeddings[:, PREFERENCE], reference))
    assert torch.equal(score, network.severity(embeddings))
    assert score.shape == (5,)
    toward_and_away = torch.stack([reference, -reference])[:, None].expand(-1, 2, -1)
    torch.testing.assert_close(network.severity(toward_and_away), torch.tensor([0.0, 2.0]))


def test_the_stored_reference_is_a_copy_without_graph():
    network, reference = small_net(), torch.ones(D, requires_grad=True)
    network.set_healthy_reference(reference * 2)
    assert not network.healthy_reference.requires_grad
    with torch.no_grad():
        reference.zero_()
    assert network.healthy_reference.tolist() == [2.0] * D


def test_the_reference_survives_a_state_dict_round_trip(tmp_path):
    trained, image = small_net(separate_heads=True), images(3)
    trained.set_healthy_reference(torch.randn(D))
    torch.save(trained.state_dict(), tmp_path / "network.pt")
    restored = SemiseNet("resnet10", embedding_dim=D, separate_heads=True).eval()
    restored.load_state_dict(torch.load(tmp_path / "network.pt", weights_only=True), strict=True)
    with torch.no_grad():
        assert torch.equal(restored.severity(restored(image)), trained.severity(trained(image)))


def test_an_untrained_network_stays_without_reference_after_a_round_trip():
    restored = small_net()
    restored.load_state_dict(small_net().state_dict())
    with pytest.raises(RuntimeError, match="no healthy reference yet"):
        restored.severity(torch.ones(2, 2, D))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_severity_of_half_precision_embeddings_is_float32(dtype):
    network = small_net()
    network.set_healthy_reference(torch.randn(D))
    embeddings = torch.randn(4, 2, D).to(dtype)
    score = network.severity(embeddings)
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, network.severity(embeddings.float()))


def test_an_unknown_backbone_is_named():
    with pytest.raises(InputError, match="backbone: 'resnet11' is not one of"):
        SemiseNet("resnet11")


class ThirdPartyEncoder(BaseEncoder, nn.Module):
    """Two strided convolutions, as somebody else may register them."""

    def __init__(self, pretrained, spatial_dims, in_channels):
        super().__init__()
        convolution = (nn.Conv2d, nn.Conv3d)[spatial_dims - 2]
        self.first = convolution(in_channels, 6, 3, stride=2)
        self.second = convolution(6, 10, 3, stride=2)

    def forward(self, image):
        first = self.first(image)
        return [first, self.second(first.relu())]

    @classmethod
    def get_encoder_parameters(cls):
        return [{"pretrained": False, "spatial_dims": 2, "in_channels": 1}]

    @classmethod
    def num_channels_per_output(cls):
        return [(6, 10)]

    @classmethod
    def num_outputs(cls):
        return [2]

    @classmethod
    def get_encoder_names(cls):
        return ["third-party"]


@pytest.fixture
def third_party_backbone():
    FLEXUNET_BACKBONE.register_class(ThirdPartyEncoder)
    yield "third-party"
    del FLEXUNET_BACKBONE.register_dict["third-party"]


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_backbone_registered_by_others_works(third_party_backbone, spatial_dims):
    network = small_net(backbone=third_party_backbone, spatial_dims=spatial_dims, in_channels=2)
    assert isinstance(network.encoder, ThirdPartyEncoder)
    embeddings = network(images(3, 2, 16, spatial_dims))
    assert embeddings.shape == (3, 2, D)
    embeddings.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


class Doubling(nn.Module):
    """An activation of somebody else's."""

    def forward(self, input):
        return 2 * input


@pytest.fixture
def third_party_activation():
    documentation = Act.__doc__
    Act.add_factory_class("doubling", Doubling)
    yield "doubling"
    del Act.components["DOUBLING"]
    Act.__doc__ = documentation


def test_an_activation_registered_by_others_works(third_party_activation):
    network, image = small_net(act=third_party_activation, separate_heads=True), images()
    assert isinstance(network.preference[1], Doubling)
    assert isinstance(network.contrast[1], Doubling)
    with torch.no_grad():
        embeddings = network(image)
        expected = network.preference[2](2 * network.preference[0](embeddings[:, PROJECTION]))
    torch.testing.assert_close(embeddings[:, PREFERENCE], expected)


def test_an_activation_with_options_works():
    network = small_net(act=("leakyrelu", {"negative_slope": 0.3}))
    assert network.preference[1].negative_slope == 0.3
