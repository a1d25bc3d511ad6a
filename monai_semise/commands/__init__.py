# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The commands of ``python -m monai_semise``, a file each: ``add_parser`` defines the options, ``run`` does it."""
