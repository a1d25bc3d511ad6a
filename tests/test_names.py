# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Every public component works in a MONAI config by full path and by short name, under a name that MONAI has not."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import monai
import pytest
from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator

import monai_semise

PACKAGES = ("apps", "data", "engines", "handlers", "losses", "metrics", "networks", "transforms", "visualize")
COMPONENTS = [
    (package, name)
    for package in PACKAGES
    for name in importlib.import_module(f"monai_semise.{package}").__all__
    if callable(getattr(importlib.import_module(f"monai_semise.{package}"), name))
]


def resolve(target, imports=()):
    """What MONAI makes of ``_target_``."""
    parser = ConfigParser({"imports": list(imports), "part": {"_target_": target, "_mode_": "callable"}})
    parser.parse()
    found = parser.get_parsed_content("part")
    return getattr(found, "func", found)


@pytest.mark.parametrize(("package", "name"), COMPONENTS)
def test_full_path_and_short_name(package, name):
    component = getattr(importlib.import_module(f"monai_semise.{package}"), name)
    assert resolve(f"monai_semise.{package}.{name}") is component
    assert resolve(name, imports=["$import monai_semise"]) is component


def test_no_name_of_ours_is_monais():
    table = ComponentLocator().get_component_module_name("LoadImaged")
    assert table == "monai.transforms.io.dictionary"
    locator = ComponentLocator()
    locator.get_component_module_name("LoadImaged")
    for _, name in COMPONENTS:
        modules = locator.get_component_module_name(name)
        modules = [modules] if isinstance(modules, str) else modules
        assert [module for module in modules if not module.startswith("monai_semise.")] == []


def test_short_names_work_in_a_fresh_process_through_the_import_alone():
    script = (
        "from monai.bundle import ConfigParser;"
        "p = ConfigParser({'imports': ['$import monai_semise'], 'loss': {'_target_': 'SemiseLoss', 'alpha': 0.7}});"
        "p.parse(); print(p.get_parsed_content('loss').alpha)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip().endswith("0.7")


def test_dictionary_transforms_have_their_aliases():
    module = monai_semise.transforms
    for name in [name for name in module.__all__ if name.endswith("d") and inspect.isclass(getattr(module, name))]:
        assert getattr(module, name[:-1] + "D") is getattr(module, name)
        assert getattr(module, name[:-1] + "Dict") is getattr(module, name)
        assert issubclass(getattr(module, name), monai.transforms.MapTransform)
        assert name[:-1] in module.__all__
