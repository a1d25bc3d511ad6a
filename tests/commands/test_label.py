# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib.util
import shutil
import socket

import pytest

from monai_semise.__main__ import main
from monai_semise.apps.pack import pack_run
from tests.apps.pack import runs

installed = pytest.mark.skipif(not importlib.util.find_spec("monailabel"), reason="needs MONAI Label")


@pytest.fixture
def label(tmp_path, capsys, monkeypatch):
    """Run the command; gives the exit status and what it said of the error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()

    def run(*arguments, studies="studies"):
        status = main(["label", "--studies", studies, *map(str, arguments)])
        return status, capsys.readouterr().err

    return run


def test_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["label", "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in ("folder of images, or address of a DICOMweb server", "default 127.0.0.1", "monai-semise[label]"):
        assert part in text


@pytest.mark.parametrize("studies", ["missing", "ftp://127.0.0.1/dicom"])
def test_studies_that_are_not_there(label, studies, tmp_path):
    assert label(studies=studies) == (1, f"Error: --studies: {studies} is neither a folder nor an address\n")
    assert not (tmp_path / "semise_label").exists()


@pytest.mark.parametrize("option", ["--repeat_rate", "--overlap_rate"])
@pytest.mark.parametrize("share", ["1.5", "-0.1", "nan"])
def test_a_share_that_is_none(label, option, share):
    assert label(f"{option}={share}") == (1, f"Error: {option}: {share} is not a share between 0 and 1\n")


@pytest.mark.skipif(importlib.util.find_spec("monailabel") is not None, reason="MONAI Label is there")
def test_without_monai_label(label, tmp_path):
    status, said = label()
    assert (status, 'pip install "monai-semise[label]" in an environment of its own' in said) == (1, True)
    assert not (tmp_path / "semise_label").exists()


@installed
@pytest.mark.parametrize("bundle", ["missing", "studies"])
def test_what_is_no_packed_bundle(label, bundle):
    status, said = label("--port", 0, "--severity", bundle)
    assert status == 1
    assert f"{bundle}: is no bundle folder (semise_lesion_segmentation, " in said
    assert "make one of a training run with python -m monai_semise pack" in said


@installed
def test_two_severity_bundles_in_one_app(label, tmp_path):
    bundle = pack_run(runs.untrained(tmp_path / "run"), tmp_path / "packed", runs.BUNDLES)
    other = bundle.with_name("semise_severity_classification")
    shutil.copytree(bundle, other)
    status, said = label("--port", 0, "--severity", bundle, "--segmentation", other)
    assert status == 1
    assert "holds semise_severity_classification and semise_severity_pretrain; one --app serves one" in said


@installed
def test_a_port_in_use(label):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, said = label("--port", port)
    assert status == 1
    assert f"--host, --port: cannot listen on 127.0.0.1:{port} (" in said
    assert "name another --port" in said


@installed
@pytest.mark.parametrize(("option", "value"), [("--port", "70000"), ("--host", "no.such.host.invalid")])
def test_an_address_that_is_none(label, option, value):
    status, said = label(option, value)
    assert (status, "cannot listen on" in said, value in said) == (1, True, True)
