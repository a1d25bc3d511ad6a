# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from monai_semise.visualize import Overlay, plot_overlays

TRUE, PREDICTED = (np.array(to_rgb(name)) * 255 for name in ("deepskyblue", "yellow"))


def square(*corners, size=(40, 30)):
    mask = torch.zeros(1, *size)
    (left, right), (top, bottom) = corners
    mask[:, left:right, top:bottom] = 1
    return mask


def pixels(path, colour):
    """Where a colour is in a picture, without the legend at its bottom: columns and rows, from 0 to 1."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    rows, columns = np.nonzero((np.abs(picture - colour) < 30).all(axis=-1)[: int(len(picture) * 0.85)])
    return columns / picture.shape[1], rows / picture.shape[0]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_outlines_lie_where_the_masks_are(tmp_path, channels):
    image = torch.zeros(channels, 20, 15)  # half as large as its masks
    overlay = Overlay(image, square((2, 10), (2, 8)), square((25, 38), (18, 28)), "a caption")
    plot_overlays([overlay] * 3, ["lesion"], tmp_path / "a.png", "title")
    columns, rows = pixels(tmp_path / "a.png", TRUE)
    predicted_columns, predicted_rows = pixels(tmp_path / "a.png", PREDICTED)
    assert len(columns) > 100
    assert len(predicted_columns) > 50
    # the first axis of an image runs to the right, the second one down
    first = columns < 1 / 3
    assert 0.01 < columns[first].min() < columns[first].max() < 0.11
    assert predicted_columns[predicted_columns < 1 / 3].min() > 0.19
    assert rows.max() < predicted_rows.min()


def test_number_of_pictures(tmp_path):
    mask = square((5, 20), (5, 20))
    sizes = []
    for n in (1, 3, 4, 6):
        plot_overlays([Overlay(mask, mask, mask, str(k)) for k in range(n)], ["a"], tmp_path / f"{n}.png", "title")
        with Image.open(tmp_path / f"{n}.png") as picture:
            sizes.append(picture.size)
    assert sizes[0] == sizes[1]
    assert sizes[2] == sizes[3]
    assert sizes[2][1] > 1.5 * sizes[1][1]


def test_slice_of_a_volume_that_holds_most(tmp_path):
    truth, predicted = torch.zeros(1, 20, 20, 12), torch.zeros(1, 20, 20, 12)
    truth[:, 5:15, 5:15, 7] = 1
    predicted[:, 8:10, 8:10, 2] = 1
    image = torch.zeros(1, 20, 20, 6)  # fewer slices than the masks have
    image[..., 3] = 1
    plot_overlays([Overlay(image, truth, predicted, "")] * 3, ["lesion"], tmp_path / "volume.png", "title")
    assert len(pixels(tmp_path / "volume.png", TRUE)[0]) > 100
    assert len(pixels(tmp_path / "volume.png", PREDICTED)[0]) == 0
    assert len(pixels(tmp_path / "volume.png", np.array([0, 0, 0]))[0]) < 5000  # its slice is the white one
    middle = np.asarray(Image.open(tmp_path / "volume.png").convert("L"))[150:250, 50:350]
    assert (middle == 255).mean() > 0.5


def test_nothing_to_outline(tmp_path):
    image = torch.zeros(1, 20, 20, 4)
    plot_overlays([Overlay(image, image, image, "none")], ["a", "b"][:1], tmp_path / "a.png", "title")
    full = torch.ones(1, 10, 10)
    plot_overlays([Overlay(full, full, full, "all")], ["a"], tmp_path / "b.png", "title")
    assert len(pixels(tmp_path / "a.png", TRUE)[0]) == len(pixels(tmp_path / "b.png", TRUE)[0]) == 0


def test_several_structures_have_a_colour_each(tmp_path):
    image = torch.zeros(1, 40, 30)
    masks = torch.cat([square((2, 10), (2, 8)), square((25, 38), (18, 28))])
    plot_overlays([Overlay(image, masks, torch.zeros_like(masks), "")] * 3, ["a", "b"], tmp_path / "a.png", "title")
    first, second = (pixels(tmp_path / "a.png", colour)[1] for colour in (TRUE, PREDICTED))
    assert first.max() < second.min()
