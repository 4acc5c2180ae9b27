# SPDX-License-Identifier: Apache-2.0
"""The command line: ``tflsplit rewrite``, ``tflsplit verify`` and so on, one module each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import NoReturn

from tflsplit import __version__
from tflsplit.cli import (
    calibrate,
    cluster,
    compare,
    emulate,
    evaluate,
    firmware,
    inspect,
    plan,
    report,
    rewrite,
    run,
    simulate,
    verify,
)
from tflsplit.cli.console import write_any_terminal
from tflsplit.errors import UserError
from tflsplit.untrusted import json_lines, lines

COMMANDS = (
    rewrite,
    plan,
    simulate,
    run,
    verify,
    evaluate,
    report,
    compare,
    inspect,
    firmware,
    cluster,
    emulate,
    calibrate,
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line without what a terminal would act on."""

    def error(self, message: str) -> NoReturn:
        """See ``ArgumentParser``."""
        super().error(lines(message))


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(
        prog="tflsplit",
        description="Split one int8 .tflite network over several microcontrollers, bit for bit.",
        epilog="Start with:  tflsplit rewrite model.tflite -n 4  &&  tflsplit verify build/model",
    )
    top.add_argument("--version", action="version", version=f"tflsplit {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = module.add_parser(commands)
        command.add_argument(
            "--json", action="store_true", help="print the result as JSON, and nothing else"
        )
        command.set_defaults(main=module.main)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 where a verification fails, 2 for bad input."""
    write_any_terminal()
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.main(arguments)
    except UserError as error:
        return _refused(error, arguments.json)
    except MemoryError:
        return _refused(UserError("this computer has too little memory for that"), arguments.json)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `tflsplit inspect … | head`
        sys.stderr.close()
        return 141
    return code


def _refused(error: UserError, as_json: bool) -> int:
    """Say what is wrong; returns the exit code."""
    if as_json:
        found = json.dumps({"error": str(error), "kind": type(error).__name__})
        print(json_lines(found))
    print(lines(f"tflsplit: {error}"), file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
