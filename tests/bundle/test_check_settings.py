# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from monai.bundle import ConfigWorkflow

from monai_semise.bundle import check_settings, unknown_settings
from monai_semise.utils import find_semise_error
from tests.bundles.harness import ROOT, workflow


def initialize_error(flow):
    with pytest.raises(RuntimeError) as raised:
        flow.initialize()
    return str(find_semise_error(raised.value))


def test_misspelt_setting_stops_a_workflow(tmp_path):
    assert 'did you mean "temperature"?' in initialize_error(workflow(tmp_path, temprature=0.1))


def test_several_are_all_named(tmp_path):
    message = initialize_error(workflow(tmp_path, temprature=0.1, train__loss__aplha=0.1))
    assert '"temprature"' in message
    assert '"train::loss::alpha"' in message


@pytest.mark.parametrize(
    "override",
    [
        {"train__optimizer__nesterov": True},
        {"augment__rotation": 5.0},
        {"train__dataloader__pin_memory": False},
        {"network_def__act": "GELU"},
    ],
)
def test_new_arguments_that_a_component_takes_are_fine(tmp_path, override):
    flow = workflow(tmp_path, **override)
    flow.initialize()
    for name, value in override.items():
        assert flow.parser[name.replace("__", "::")] == value


def test_overlay_may_add_settings_that_it_refers_to(tmp_path):
    overlay = tmp_path / "mine.json"
    overlay.write_text('{"strength": 0.3, "augment::brightness": "@strength"}')
    flow = workflow(tmp_path, overlay)
    flow.initialize()
    assert flow.parser.get_parsed_content("augment").brightness == 0.3


def test_overlay_with_a_misspelt_key_is_found(tmp_path):
    overlay = tmp_path / "mine.json"
    overlay.write_text('{"augmentt": {"brightness": 0.1}}')
    assert 'did you mean "augment"?' in initialize_error(workflow(tmp_path, overlay))


def test_a_setting_that_nothing_uses_is_reported_though_no_name_is_close():
    assert unknown_settings({"xyz": 1, "run": ["$1"]}, known={"run"}) == ['unknown setting "xyz"']


def test_entries_of_plain_dictionaries_may_be_new():
    config = {"metrics": {"accuracy": 1, "kappa": 2}, "run": ["$@metrics"]}
    assert unknown_settings(config, known={"metrics", "metrics::accuracy"}) == []


def test_outside_a_bundle_run_it_says_where_it_belongs():
    with pytest.raises(RuntimeError, match="initialize"):
        check_settings()


def test_monai_still_adds_unknown_settings_without_a_word(tmp_path):
    """When this fails, MONAI rejects unknown keys itself: remove monai_semise.bundle.check_settings."""
    config = tmp_path / "config.json"
    config.write_text('{"alpha": 0.5, "run": ["$@alpha"]}')
    flow = ConfigWorkflow(str(config), logging_file=False, alhpa=0.7)
    flow.initialize()
    assert flow.run() == [0.5]
    assert flow.parser["alhpa"] == 0.7


@pytest.mark.parametrize("name", ["freeze", "pairs_file", "window"])
def test_settings_of_a_config_that_is_not_in_use_are_found(tmp_path, name):
    message = initialize_error(workflow(tmp_path, **{name: None}))
    assert f'unknown setting "{name}"; it belongs to ' in message
    assert message.endswith("which this run does not use")


@pytest.mark.parametrize("content", ["{", "[1]", "3", None])
def test_a_file_that_is_no_config_is_in_no_way(tmp_path, content):
    config, other = tmp_path / "config.json", tmp_path / "methods" / "bad.json"
    config.write_text('{"alpha": 0.5, "initialize": ["$monai_semise.bundle.check_settings()"], "run": ["$@alpha"]}')
    other.parent.mkdir()
    if content is None:
        other.mkdir()  # cannot be read, by root neither
    else:
        other.write_text(content)
    flow = ConfigWorkflow(str(config), logging_file=False, imports=["$import monai_semise"])
    flow.initialize()
    assert flow.run() == [0.5]


def test_settings_of_an_overlay_are_fine_where_it_is_laid_over(tmp_path):
    flow = workflow(tmp_path, ROOT / "bundles" / "explicit_pairs.json", n_references=2, n_training_pairs=30)
    flow.initialize()
    assert len(flow.parser.get_parsed_content("pairs")) == 30


@pytest.mark.parametrize(("name", "text"), [("resume", "false"), ("train__lr_scheduler__none", "true")])
def test_a_truth_value_that_is_a_text_is_refused(tmp_path, name, text):
    key = name.replace("__", "::")
    message = initialize_error(workflow(tmp_path, **{name: text}))
    assert f'setting "{key}" is the text "{text}"; on the command line, write {text.capitalize()}' in message
