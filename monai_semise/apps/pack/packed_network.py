# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

from monai.bundle import ConfigParser
from torch import nn

from monai_semise.utils import InputError, load_checkpoint

__all__ = ["load_network"]


def load_network(folder: Path) -> nn.Module:
    """The network of a bundle folder with its weights, as inference builds it, in evaluation mode.

    Raises:
        InputError: when the weights are of another network than the settings.
    """
    parser = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "inference.json"))
    network: nn.Module = parser.get_parsed_content("network_def")
    try:
        network.load_state_dict(load_checkpoint(folder / "models" / "model.pt"))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"run_dir: model.pt does not fit settings.json ({reason}); train again") from error
    return network.eval()
