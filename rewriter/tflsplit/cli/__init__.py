# SPDX-License-Identifier: Apache-2.0
"""The command line: ``tflsplit rewrite``, ``tflsplit verify`` and so on, one module each."""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module

from tflsplit import __version__
from tflsplit.cli.completion import SHELLS, completion
from tflsplit.cli.console import set_loudness, write_any_terminal
from tflsplit.cli.parsing import Parser, add_common_options, parse
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
    "boards": "the boards, and how many of each a model needs",
    "firmware": "generate the devices' firmware again, for other boards or wires",
    "upload": "flash the boards, one after the other",
    "deploy": "give boards with the generic firmware a plan, over their own wires",
    "discover": "find the boards behind a port, and how they are wired",
    "serve": "answer inferences on boards, and go on with the others when some are lost",
    "cluster": "run inferences on real devices, through the one that is plugged in here",
    "emulate": "run the devices' firmware on emulated boards, and compare with the unsplit model",
    "calibrate": "fit the cost model to measured runs",
}
"""What each command is for; the module of its name has its options and its ``main``."""


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands.

    only: the one command whose options are wanted; the others are known by name alone, and what
        they need (NumPy, the simulator) is not imported.  "": of none.
    """
    return _parsers(only)[0]


def _parsers(only: str | None) -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of the commands by their names."""
    top = Parser(
        prog="tflsplit",
        description="Split one int8 .tflite network over several microcontrollers, bit for bit.",
        epilog="Start with:  tflsplit rewrite model.tflite -n 4  &&  tflsplit verify build/model",
    )
    top.add_argument("--version", action="version", version=f"tflsplit {__version__}")
    top.add_argument(
        "--completion",
        choices=SHELLS,
        metavar="SHELL",
        help=f"print what teaches a shell the commands and options: {', '.join(SHELLS)}",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        if only not in (None, name):
            commands.add_parser(name, help=purpose)
            continue
        module = import_module(f"tflsplit.cli.{name}")
        command = module.add_parser(commands)
        add_common_options(command)
        command.set_defaults(main=module.main)
    return top, commands.choices


@contextmanager
def _not_collecting() -> Iterator[None]:
    """Modules make a hundred thousand objects, none of which is garbage: nobody looks at them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # of a process that calls several times, once
            gc.freeze()
        if was_on:
            gc.enable()


def _command_of(argv: Sequence[str]) -> str:
    """The command that a command line names; "" if it names none."""
    word = next((word for word in argv if not word.startswith("-")), "")
    return word if word in COMMANDS else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 where a verification fails, 2 for bad input."""
    write_any_terminal()
    words = sys.argv[1:] if argv is None else argv
    with _not_collecting():
        top, commands = _parsers(_command_of(words))
    arguments = parse(top, commands, words)
    if arguments.command is None:
        return _completion(arguments.completion)
    set_loudness(arguments.quiet, arguments.verbose)
    try:
        code: int = arguments.main(arguments)
    except UserError as error:
        return _refused(error, arguments.json, arguments.verbose)
    except MemoryError:
        return _refused(UserError("this computer has too little memory for that"), arguments.json)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `tflsplit inspect … | head`
        sys.stderr.close()
        return 141
    return code


def _completion(shell: str | None) -> int:
    """Print the script of a shell; leaves with the usage where there is nothing to do."""
    top, commands = _parsers(None)
    if shell is None:
        top.error(f"name a command: {', '.join(commands)}")
    try:
        print(completion(top, commands.values(), shell))
    except UserError as error:
        return _refused(error, as_json=False)
    return 0


def _refused(error: UserError, as_json: bool, verbose: bool = False) -> int:
    """Say what is wrong; returns the exit code."""
    if verbose:
        print(lines("".join(traceback.format_tb(error.__traceback__))), file=sys.stderr, end="")
    if as_json:
        found = json.dumps({"error": str(error), "kind": type(error).__name__})
        print(json_lines(found))
    print(_broken(lines(f"tflsplit: {error}")), file=sys.stderr)
    return error.exit_code


def _broken(text: str) -> str:
    """The text with its lines broken between words where standard error is a terminal."""
    if not sys.stderr.isatty():
        return text
    columns = shutil.get_terminal_size().columns
    wrapper = textwrap.TextWrapper(columns, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
