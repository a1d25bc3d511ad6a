# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import math

import pytest

from monai_semise.apps.compare.alpha_lines import alpha_lines, read_alpha_lines
from monai_semise.utils import InputError


def comparison(*rows, data_set="idrid"):
    """Content of a file; a row is label budget, alpha, mean and high end, or no mean for a run without a result."""
    table = []
    for share, alpha, mean, high in rows:
        cell = {"macro_f1": {"mean": mean, "low": None if high is None else 2 * mean - high, "high": high}}
        table.append({"labelled": share, "method": f"semise-alpha-{alpha}", "measures": {} if mean is None else cell})
    return {"data_set": data_set, "tables": {"fig3": {"rows": table}}}


def test_a_curve_for_each_label_budget_in_the_order_of_alpha():
    lines = alpha_lines(comparison((0.5, "1", 0.2, 0.3), (0.5, "0.25", 0.1, 0.3), (1.0, "1", None, None)))
    assert list(lines) == ["idrid, 50 % of labels"]
    line = lines["idrid, 50 % of labels"]
    assert (line.x, line.y, line.high) == ((0.25, 1.0), (0.1, 0.2), (0.3, 0.3))
    assert line.low == pytest.approx((-0.1, 0.1))


def test_one_run_has_no_interval():
    (line,) = alpha_lines(comparison((1.0, "0", 0.2, None))).values()
    assert math.isnan(line.low[0])
    assert math.isnan(line.high[0])


def test_curves_are_read_from_a_finished_comparison(tmp_path):
    content = comparison((1.0, "0", 0.2, 0.3), data_set="ph2")
    (tmp_path / "comparison.json").write_text(json.dumps(content))
    assert read_alpha_lines(tmp_path) == alpha_lines(content)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"tables": {"table1": {}}, "data_set": "x"}'])
def test_a_folder_without_curves_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(InputError, match="holds no finished comparison with --alphas"):
        read_alpha_lines(tmp_path)
