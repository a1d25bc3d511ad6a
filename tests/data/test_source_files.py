# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os

import pytest

from monai_semise.apps.compare.data_digest import data_digest, file_states
from monai_semise.data.source_files import detached_data, file_stamps


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.mhd", "ObjectType = Image\nNDims = 3\nElementDataFile = a values.raw\n"),
        ("a.nhdr", "NRRD0004\ntype: float\ndata file: a values.raw\n"),
        ("a.NHDR", "NRRD0004\r\ndatafile: a values.raw\r\n"),
    ],
)
def test_a_header_changes_with_the_file_of_its_values(tmp_path, name, header):
    path, values = str(tmp_path / name), tmp_path / "a values.raw"
    (tmp_path / name).write_bytes(header.encode())
    values.write_bytes(b"1234")
    assert detached_data(path) == str(values)
    datalist = {"training": [{"image": path, "severity": 0}]}
    before = file_stamps([path]), data_digest(datalist, file_states(datalist))
    os.utime(values, ns=(0, 1))
    after = file_stamps([path]), data_digest(datalist, file_states(datalist))
    assert before[0] != after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("header", ["ElementDataFile = LOCAL\n", "ElementDataFile = gone.raw\n", "", "Element"])
def test_headers_that_name_no_file_of_their_own(tmp_path, header):
    path = tmp_path / "a.mhd"
    path.write_text(header)
    assert detached_data(str(path)) is None
    assert file_stamps([str(path)])[0]
    assert detached_data(str(tmp_path / "a.mha")) is None
