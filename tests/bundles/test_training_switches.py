# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch

from tests.bundles.harness import run, weights, workflow


def test_bfloat16_and_channels_last_train_to_nearly_the_same(tmp_path):
    fast = workflow(tmp_path / "fast", bf16=True, channels_last=True)
    fast.initialize()
    network = fast.parser.get_parsed_content("network")
    assert network.encoder.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    fast.run()
    fast.finalize()
    exact = weights(run(tmp_path / "exact") / "model.pt")
    near = weights(tmp_path / "fast" / "run" / "model.pt")
    differences = [float((near[key] - exact[key]).abs().mean()) for key in exact if key.endswith("conv1.weight")]
    assert 0 < max(differences) < 0.05


def test_compiled_and_fused_steps_train_to_the_same(tmp_path):
    kwargs = {f"{phase}__trainer__compile_kwargs": {"backend": "aot_eager"} for phase in ("discriminate", "train")}
    fast = workflow(tmp_path / "fast", compile=True, **kwargs)
    fast.initialize()
    trainer = fast.parser.get_parsed_content("train::trainer")
    assert isinstance(trainer.network, torch._dynamo.eval_frame.OptimizedModule)
    assert trainer.optimizer.defaults["fused"]
    fast.run()
    fast.finalize()
    plain = weights(run(tmp_path / "plain", fused_optimizer=False) / "model.pt")
    torch.testing.assert_close(weights(tmp_path / "fast" / "run" / "model.pt"), plain, rtol=1e-3, atol=1e-4)
