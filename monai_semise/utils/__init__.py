# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from monai_semise.utils.batch_norm import batch_norms, norm_momentum
from monai_semise.utils.distributed import (
    first_of_ranks,
    gather_with_gradient,
    is_main_process,
    largest_of_ranks,
    rank,
    share_buffers,
    sum_over_ranks,
    unwrap,
    world_size,
)
from monai_semise.utils.errors import InputError, SemiseError, TrainingError, find_semise_error
from monai_semise.utils.files import (
    ensure_writable,
    file_digest,
    load_checkpoint,
    save_checkpoint,
    write_json,
    write_whole,
)
from monai_semise.utils.printable_text import printable
from monai_semise.utils.tensors import at_least_float32, plain_tensor

__all__ = [
    "InputError",
    "SemiseError",
    "TrainingError",
    "at_least_float32",
    "batch_norms",
    "ensure_writable",
    "file_digest",
    "find_semise_error",
    "first_of_ranks",
    "gather_with_gradient",
    "is_main_process",
    "largest_of_ranks",
    "load_checkpoint",
    "norm_momentum",
    "plain_tensor",
    "printable",
    "rank",
    "save_checkpoint",
    "share_buffers",
    "sum_over_ranks",
    "unwrap",
    "world_size",
    "write_json",
    "write_whole",
]
