# SPDX-License-Identifier: Apache-2.0
"""The command line: ``tflsplit rewrite``, ``tflsplit verify`` and so on, one module each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

from tflsplit import __version__
from tflsplit.cli.console import write_any_terminal
from tflsplit.errors import UserError
from tflsplit.untrusted import json_lines, lines

COMMANDS: Mapping[str, str] = {
    "rewrite": "split a model: one graph per device, and plan.json",
    "plan": "find the best split for a cluster, and explain it",
    "simulate": "how long an inference takes on a cluster, frame by frame",
    "run": "run a set of device graphs on this computer",
    "verify": "compare the devices with the unsplit model, bit for bit",
    "evaluate": "a labelled data set through the split and the unsplit model",
    "report": "one page that shows a plan: RAM, time, traffic, every layer",
    "compare": "two plans side by side; fails where one got worse",
    "inspect": "what a model is made of, and how each layer can be split",
    "firmware": "generate the devices' firmware again, for other boards or wires",
    "cluster": "run inferences on real devices, through the one that is plugged in here",
    "emulate": "run the devices' firmware on emulated boards, and compare with the unsplit model",
    "calibrate": "fit the cost model to measured runs",
}
"""What each command is for; the module of its name has its options and its ``main``."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line without what a terminal would act on."""

    def error(self, message: str) -> NoReturn:
        """See ``ArgumentParser``."""
        super().error(lines(message))


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands.

    only: the one command whose options are wanted; the others are known by name alone, and what
        they need (NumPy, the simulator) is not imported.  "": of none.
    """
    top = _Parser(
        prog="tflsplit",
        description="Split one int8 .tflite network over several microcontrollers, bit for bit.",
        epilog="Start with:  tflsplit rewrite model.tflite -n 4  &&  tflsplit verify build/model",
    )
    top.add_argument("--version", action="version", version=f"tflsplit {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        if only not in (None, name):
            commands.add_parser(name, help=purpose)
            continue
        module = import_module(f"tflsplit.cli.{name}")
        command = module.add_parser(commands)
        command.add_argument(
            "--json", action="store_true", help="print the result as JSON, and nothing else"
        )
        command.set_defaults(main=module.main)
    return top


def _command_of(argv: Sequence[str]) -> str:
    """The command that a command line names; "" if it names none."""
    word = next((word for word in argv if not word.startswith("-")), "")
    return word if word in COMMANDS else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 where a verification fails, 2 for bad input."""
    write_any_terminal()
    words = sys.argv[1:] if argv is None else argv
    arguments = parser(_command_of(words)).parse_args(words)
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
