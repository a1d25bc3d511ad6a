# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest

from monai_semise.apps.compare.stage_configs import STAGES, config_digest, read_stage_config, settings_of_stages
from monai_semise.utils import InputError
from tests.bundles.harness import ROOT

FILES = {stage: (ROOT / "bundles" / name,) for stage, name in STAGES.items()}


def test_a_setting_goes_to_the_stages_that_have_it():
    given = ["image_size=96", "alpha=0.7", "hidden_channels=[16,8]", "augment::rotation=30.0"]
    taken = settings_of_stages(given, FILES)
    assert taken == {
        "pretrain": {"image_size": "96", "alpha": "0.7", "augment::rotation": "30.0"},
        "classification": {"image_size": "96", "hidden_channels": "[16,8]", "augment::rotation": "30.0"},
        "segmentation": {"image_size": "96", "augment::rotation": "30.0"},
    }


def test_a_setting_can_be_for_one_stage():
    assert settings_of_stages(["segmentation/head_lr=0.1"], FILES) == {
        "pretrain": {},
        "classification": {},
        "segmentation": {"head_lr": "0.1"},
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("imge_size=3", 'set: no bundle has a setting "imge_size"; did you mean "image_size"'),
        ("classification/alpha=0.5", 'no bundle has a setting "alpha"'),
        ("image_size", "is not name=value"),
        ("=3", "is not name=value"),
        ("train/head_lr=1", "names no stage; the stages are pretrain, classification, segmentation"),
        ("seed=3", "seed is the same for every method and set by the comparison; give --seeds"),
        ("train::trainer::max_epochs=3", "give --epochs"),
        ("train#trainer#max_epochs=3", "give --epochs"),
        ("select=best", "select is the same for every method"),
    ],
)
def test_bad_settings(given, message):
    with pytest.raises(InputError, match=message) as raised:
        settings_of_stages([given], FILES)
    assert "\n" not in str(raised.value)


def test_bad_configs(tmp_path):
    with pytest.raises(InputError, match="does not exist; name the folder"):
        read_stage_config([tmp_path / "none.json"])
    overlay = tmp_path / "overlay.json"
    overlay.write_text('{"nothing::of::it": 1}')
    with pytest.raises(InputError, match="cannot be used"):
        read_stage_config([*FILES["pretrain"], overlay])


def test_the_digest_is_of_content_without_comments(tmp_path):
    file = tmp_path / "a.json"
    digests = []
    for content in ({"a": [{"b": 1}]}, {"_desc_": "why", "a": [{"b": 1, "_desc_": "so"}]}, {"a": [{"b": 2}]}):
        file.write_text(json.dumps(content, indent=len(digests)))
        digests.append(config_digest([file]))
    assert digests[0] == digests[1] != digests[2]


def test_the_digest_does_not_tell_how_fast_a_run_is(tmp_path):
    faster = tmp_path / "faster.json"
    faster.write_text('{"num_workers": 4, "train::dataloader#num_workers": 2, "test": {"cache_rate": 0.5}}')
    nothing = tmp_path / "nothing.json"
    nothing.write_text('{"test": {}}')
    assert config_digest([faster]) == config_digest([nothing])
