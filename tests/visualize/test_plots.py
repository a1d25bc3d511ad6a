# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from monai_semise.visualize import plot_curves, plot_embedding


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def near(picture, colour, tolerance=40):
    """How many pixels have about this colour."""
    return int((np.abs(picture - np.array(colour)).max(axis=-1) < tolerance).sum())


CRIMSON = (220, 20, 60)


@pytest.mark.parametrize("severity", [[0, 0, 1, 2, 4, -1], [0, 0, 0, 0, 0, 0], [-1] * 6], ids=str)
def test_embedding_marks_the_reference(tmp_path, severity):
    torch.manual_seed(0)
    plot_embedding(torch.randn(6, 8), torch.tensor(severity), torch.randn(8), tmp_path / "e.png", ["healthy"], "x")
    picture = pixels(tmp_path / "e.png")
    assert near(picture, CRIMSON) > 20


def test_constant_embedding_can_be_drawn(tmp_path):
    plot_embedding(torch.ones(4, 8), torch.tensor([0, 1, 2, 3]), torch.ones(8), tmp_path / "e.png")
    assert pixels(tmp_path / "e.png").std() > 0


@pytest.mark.parametrize(("n_images", "n_dimensions"), [(6, 1), (1, 8)])
def test_what_spans_no_plane_can_be_drawn(tmp_path, n_images, n_dimensions):
    embeddings = torch.randn(n_images, n_dimensions)
    plot_embedding(embeddings, torch.arange(n_images) % 2, torch.ones(n_dimensions), tmp_path / "e.png")
    assert near(pixels(tmp_path / "e.png"), CRIMSON) > 20


def test_curves_have_a_panel_for_each_measure(tmp_path):
    rows = [
        {"phase": "discriminate", "epoch": 1.0, "loss": 1.0, "margin_contrastive": 1.0},
        {"phase": "train", "epoch": 1.0, "loss": 1.0, "nt_xent": 2.0, "preference": 0.5, "pair_accuracy": 0.6},
        {"phase": "train", "epoch": 2.0, "loss": 0.9, "nt_xent": 1.9, "preference": 0.4, "pair_accuracy": 0.7},
    ]
    plot_curves(rows, tmp_path / "four.png")
    plot_curves(rows[:1], tmp_path / "one.png")
    four, one = pixels(tmp_path / "four.png"), pixels(tmp_path / "one.png")
    assert four.shape[1] > 2 * one.shape[1]
    assert four.shape[0] > 1.5 * one.shape[0]
