# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from monai_semise.visualize import OUTLINES, amounts_png


def bars(amounts, n):
    """Columns and rows, from 0 to 1, of the pixels in the n-th structure's colour."""
    picture = np.asarray(Image.open(io.BytesIO(amounts_png(amounts, "area in mm²"))).convert("RGB"))
    colour = [int(OUTLINES[n][k : k + 2], 16) for k in (1, 3, 5)]
    rows, columns = np.nonzero((picture == colour).all(axis=-1))
    return columns / picture.shape[1], rows / picture.shape[0]


def test_a_histogram_for_each_structure_on_one_scale():
    amounts = {"disc": np.array([9.0, 10, 10, 0]), "cup": np.array([1.0, 1, 0, 0])}
    (disc_columns, disc_rows), (cup_columns, cup_rows) = (bars(amounts, n) for n in (0, 1))
    assert disc_rows.max() < cup_rows.min()
    assert cup_columns.max() < 0.3 < 0.8 < disc_columns.min()


@pytest.mark.parametrize("values", [[], [0.0, 0.0]])
def test_nothing_to_count(values):
    assert len(bars({"lesion": np.array(values)}, 0)[0]) == 0
