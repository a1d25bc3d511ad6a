# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Images and weights that the tests of the networks share."""

from __future__ import annotations

import torch


def images(n=2, channels=1, size=64, spatial_dims=2, seed=0):
    return torch.rand(n, channels, *[size] * spatial_dims, generator=torch.Generator().manual_seed(seed))


def with_statistics(network, seed=0):
    """``network`` in evaluation mode, its batch norms with statistics and weights that are not those of a new one."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("running_mean"):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith("num_batches_tracked"):
            value.fill_(7)
    return network.eval()
