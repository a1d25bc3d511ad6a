# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from monai_semise.bundle import start_processes
from monai_semise.utils import InputError

DIES_ONCE = """
import os, sys
from torch.distributed import TCPStore

store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    store.set("address", "of the dead")
    sys.exit(1)
print("found", store.check(["address"]))
"""


def test_restarts_need_a_store_of_their_own(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(InputError, match=r"--max-restarts=3: .* TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        start_processes()


def test_pytorch_keeps_the_addresses_of_dead_processes(tmp_path):
    """When this fails, pytorch/pytorch#135712 is mended and ``start_processes`` need not ask for anything."""
    (tmp_path / "dies_once.py").write_text(DIES_ONCE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", "--max-restarts=1"]
    shared = {name: value for name, value in os.environ.items() if name != "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"}
    done = subprocess.run(
        [*torchrun, "dies_once.py"], cwd=tmp_path, env=shared, capture_output=True, text=True, timeout=120, check=True
    )
    assert "found True" in done.stdout
