# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
import io
import logging
import sys
import warnings
from collections.abc import Sequence

from monai.utils import MONAIEnvVars

from monai_semise.commands import compare, datalist, label, pack, prepare, rank
from monai_semise.utils import find_semise_error, printable

COMMANDS = (datalist, prepare, rank, compare, pack, label)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m monai_semise``.

    Returns:
        exit status: 0 when the command did its work; 1 when it could not, after one line that says why; 130 when it
        was interrupted. Options that cannot be read end the program with status 2, as argparse does.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that the terminal cannot show must not end the command
        sys.stdout.reconfigure(errors="backslashreplace")
    # MONAI tells at every start that an optional decoder is missing
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # our one line says which file cannot be decoded
    parser = argparse.ArgumentParser(
        prog="python -m monai_semise", description="Severity representations of medical images, for MONAI."
    )
    subparsers = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers).set_defaults(run=command.run)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except Exception as error:
        # MONAI wraps ours; OSError: a full disk, a folder that may not be read
        known = find_semise_error(error) or (error if isinstance(error, OSError) else None)
        if known is None or MONAIEnvVars.debug():
            raise
        print(f"Error: {printable(known)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
