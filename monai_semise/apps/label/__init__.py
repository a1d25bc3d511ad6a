# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The MONAI Label app."""
