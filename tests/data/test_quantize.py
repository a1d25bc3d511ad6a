# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monai_semise.data.quantize import DTYPES, dequantize, quantize
from monai_semise.utils import InputError

STEP = {"uint8": 1 / 255, "uint16": 1 / 65535}
UNIT = arrays.arrays(np.float32, (2, 3, 4), elements=st.floats(0, 1, width=32))


@given(values=UNIT, dtype=st.sampled_from(sorted(STEP)))
def test_comes_back_to_half_a_step(values, dtype):
    kept = quantize(torch.from_numpy(values), dtype, "image")
    assert kept.dtype == dtype
    back = dequantize(kept, floating=True)
    assert back.dtype == torch.float32
    assert np.abs(back.numpy().astype(np.float64) - values).max() <= STEP[dtype] / 2 * (1 + 1e-6) + 1e-7
    assert np.array_equal(quantize(back, dtype, "image"), kept)


@pytest.mark.parametrize(("dtype", "levels"), [("uint8", 255), ("uint16", 65535), ("uint16", 255)])
def test_images_of_as_many_levels_come_back_exactly(dtype, levels):
    values = torch.arange(levels + 1, dtype=torch.float32) / levels
    assert torch.equal(dequantize(quantize(values, dtype, "image"), floating=True), values)


@given(values=arrays.arrays(np.float32, 9, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_float32_comes_back_exactly(values):
    assert np.array_equal(dequantize(quantize(torch.from_numpy(values), "float32", "image"), True).numpy(), values)


def test_float16_comes_back_as_numpy_rounds():
    values = np.random.default_rng(0).normal(scale=1000, size=100).astype(np.float32)
    back = dequantize(quantize(torch.from_numpy(values), "float16", "image"), True)
    assert back.dtype == torch.float32
    assert np.array_equal(back.numpy(), values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int16, torch.int64])
def test_whole_numbers_stay(dtype, kind):
    values = torch.tensor([[0, 1, 1]]).to(kind)
    kept = quantize(values, dtype, "mask")
    back = dequantize(kept, floating=False)
    assert back.dtype == kind
    assert torch.equal(back, values)
    back[:] = 0  # not a view of what is kept, which is read-only
    assert kept.any()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("values", [[0.0, 1.01], [-0.01, 1.0], [0.0, 4095.0]])
def test_outside_the_unit_range(dtype, values):
    low, high = values
    with pytest.raises(
        InputError, match=rf"a\.png: image holds values from {low:g} to {high:g} where {dtype} keeps 0 to"
    ):
        quantize(torch.tensor(values), dtype, "a.png: image")


def test_a_hair_outside_rounds_inside():
    assert quantize(torch.tensor([-1e-6, 1 + 1e-6]), "uint16", "image").tolist() == [0, 65535]


def test_outside_of_float16():
    with pytest.raises(InputError, match=r"holds values from 0 to 70000 where float16 keeps -65504 to 65504; scale"):
        quantize(torch.tensor([0.0, 70000.0]), "float16", "image")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_not_finite(dtype, value):
    with pytest.raises(InputError, match="image holds values that are not finite; repair the file"):
        quantize(torch.tensor([0.5, value, 0.5]), dtype, "image")
