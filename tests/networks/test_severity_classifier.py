# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.networks import SeverityClassifier, build_encoder
from monai_semise.utils import InputError, save_checkpoint


@pytest.fixture(scope="module")
def heads():
    torch.manual_seed(0)
    return {
        head: SeverityClassifier(4, "resnet10", hidden_channels=(8, 6), head=head).eval()
        for head in ("softmax", "corn")
    }


@pytest.mark.parametrize(("head", "width"), [("softmax", 4), ("corn", 3)])
def test_architecture_is_the_papers(heads, head, width):
    layers = heads[head].head
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Linear", "ReLU", "Dropout", "Linear"]
    assert layers[4].p == 0.3
    assert layers[0].in_features == 512
    assert layers[-1].out_features == width


@pytest.mark.parametrize("head", ["softmax", "corn"])
def test_features_stand_in_for_their_image(heads, head):
    image = torch.rand(3, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(heads[head](image), heads[head](heads[head].features(image)))


@given(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3))
def test_corn_probabilities_are_products_of_the_conditional_ones(heads, logits):
    network = heads["corn"]
    probability = network.probabilities(torch.tensor([logits]))[0]
    a, b, c = torch.tensor(logits, dtype=torch.float64).sigmoid().tolist()
    expected = [1 - a, a - a * b, a * b - a * b * c, a * b * c]
    assert probability.tolist() == pytest.approx(expected, abs=1e-5)
    assert float(probability.sum()) == pytest.approx(1, abs=1e-5)


def test_corn_grades_are_those_of_its_authors(heads):
    dataset = pytest.importorskip("coral_pytorch.dataset")
    network = heads["corn"]
    logits = 3 * torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    expected = dataset.corn_label_from_logits(logits)
    assert torch.equal(network.grades(network.probabilities(logits)), expected)
    assert len(expected.unique()) == 4


def test_softmax_grades_are_the_most_probable(heads):
    logits = torch.tensor([[0.0, 3.0, 1.0, 2.0], [5.0, 0.0, 0.0, 0.0]])
    network = heads["softmax"]
    assert torch.equal(network.probabilities(logits), logits.softmax(dim=1))
    assert network.grades(network.probabilities(logits)).tolist() == [1, 0]


@pytest.mark.parametrize("head", ["softmax", "corn"])
def test_torchscript_agrees(heads, head):
    scripted = torch.jit.script(heads[head])
    image = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        logits = heads[head](image)
        assert torch.allclose(scripted(image), logits, atol=1e-5)
        assert torch.equal(scripted.probabilities(logits), heads[head].probabilities(logits))
        assert torch.equal(
            scripted.grades(scripted.probabilities(logits)), heads[head].grades(heads[head].probabilities(logits))
        )


def test_volumes():
    network = SeverityClassifier(3, "resnet10", spatial_dims=3, hidden_channels=(4,)).eval()
    assert network(torch.rand(1, 1, 32, 32, 32)).shape == (1, 3)


def test_encoder_weights_are_loaded_and_checked(tmp_path):
    torch.manual_seed(1)
    encoder, _ = build_encoder("resnet10", 2, 1)
    save_checkpoint(tmp_path / "encoder.pt", encoder.state_dict())
    network = SeverityClassifier(3, "resnet10", encoder_weights=tmp_path / "encoder.pt")
    assert all(torch.equal(value, network.encoder.state_dict()[key]) for key, value in encoder.state_dict().items())
    with pytest.raises(InputError, match=r"conv1.weight has shape \(64, 1, 7, 7\) where .* needs \(64, 3, 7, 7\)"):
        SeverityClassifier(3, "resnet10", in_channels=3, encoder_weights=tmp_path / "encoder.pt")
    with pytest.raises(InputError, match=r"layer1.0.conv1.weight has shape .* the architecture"):
        SeverityClassifier(3, "resnet50", encoder_weights=tmp_path / "encoder.pt")


def test_a_misspelt_head_is_named():
    with pytest.raises(ValueError, match="corn"):
        SeverityClassifier(3, "resnet10", head="cornn")
