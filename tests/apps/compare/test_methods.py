# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from monai_semise.apps.compare.methods import Method, alpha_methods, choose_methods, find_methods
from monai_semise.utils import InputError
from tests.bundles.harness import ROOT


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "simclr.json").write_text('{"_desc_": "two views"}')
    (tmp_path / "methods" / "semise.json").write_text("{}")
    return tmp_path


def test_a_method_is_a_file(folder):
    semise, simclr = find_methods(folder)
    assert (semise.name, simclr.name, simclr.description) == ("semise", "simclr", "two views")
    assert simclr.overlay == folder / "methods" / "simclr.json"
    assert "simclr" in [method.name for method in find_methods(ROOT / "bundles")]


def test_choice(folder):
    known = find_methods(folder)
    assert choose_methods("all", known) == known
    assert [method.name for method in choose_methods(" simclr , semise ", known)] == ["simclr", "semise"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("simclr,smise", 'methods: unknown method "smise"; did you mean "semise"?'),
        ("xyz", 'unknown method "xyz"; there are semise, simclr'),
        ("simclr,simclr", "names one twice"),
        (",", "names none"),
    ],
)
def test_bad_choice(folder, names, message):
    with pytest.raises(InputError, match=message):
        choose_methods(names, find_methods(folder))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("all", "{}", "the name all is taken"),
        ("pretrain", "{}", "the name pretrain is taken"),
        ("thumbnail-forest", "{}", "the name thumbnail-forest is taken"),
    ],
)
def test_taken_names(folder, name, content, message):
    (folder / "methods" / f"{name}.json").write_text(content)
    with pytest.raises(InputError, match=message):
        find_methods(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "cannot be read"), (b"\xff", "cannot be read"), (b"[]", "expected an object of settings, found list")],
)
def test_a_bad_file_is_in_the_way_of_no_other_method(folder, content, message):
    (folder / "methods" / "bad.json").write_bytes(content)
    bad, semise, simclr = known = find_methods(folder)
    assert message in bad.problem
    assert (semise.problem, simclr.problem) == ("", "")
    assert choose_methods("all", known) == known
    assert choose_methods("simclr", known) == [simclr]
    with pytest.raises(InputError, match=message):
        choose_methods("simclr,bad", known)


def test_no_method(tmp_path):
    with pytest.raises(InputError, match="holds no method"):
        find_methods(tmp_path)


def test_alphas_vary_the_semise_overlay_or_the_bundle_itself(folder):
    known = find_methods(folder)
    half = alpha_methods([0.5], known)[0]
    assert half == Method("semise-alpha-0.5", folder / "methods" / "semise.json", {"alpha": "0.5"})
    assert alpha_methods([0.5], known[1:])[0].overlay is None
    with pytest.raises(InputError, match=r"alphas: 1.5 is not in \[0, 1\]"):
        alpha_methods([1.5], known)
