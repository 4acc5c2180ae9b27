# SPDX-License-Identifier: Apache-2.0
"""The command line's parser: what it says of a mistake, and the options that all commands have.

::

    tflsplit inpect m.tflite          there is no command 'inpect'; did you mean inspect?
    tflsplit rewrite m --bord pico    there is no option --bord; did you mean --board?
    tflsplit rewrite m -n two         -n/--devices wants a whole number, not 'two'

each after the usage of the command that is meant.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from tflsplit.untrusted import lines

_KINDS = {"int": "a whole number", "float": "a number"}
_WRONG_KIND = re.compile(r"argument (.*): invalid (int|float) value: (.*)")
_COMMON = {"--json", "-q", "--quiet", "-v", "--verbose"}
_MISSING = "the following arguments are required: "


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line, and what was probably meant.

    What it repeats of the command line, no terminal acts on.
    """

    def error(self, message: str) -> NoReturn:
        """See ``ArgumentParser``."""
        if found := _WRONG_KIND.fullmatch(message):
            message = f"{found[1]} wants {_KINDS[found[2]]}, not {found[3]}"
        elif message.startswith(_MISSING):
            message = f"missing: {message.removeprefix(_MISSING)}"
        super().error(lines(message))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse has it, with a suggestion."""
        choices = None if action.choices is None else [str(choice) for choice in action.choices]
        if choices is not None and value not in (action.choices or ()):
            name = "/".join(action.option_strings) or str(action.metavar or action.dest)
            raise argparse.ArgumentError(
                None, f"{name} cannot be {value!r}{meant(str(value), choices)}: "
                f"choose from {', '.join(choices)}"
            )  # fmt: skip


def add_common_options(command: argparse.ArgumentParser) -> None:
    """--json, -q and -v."""
    command.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else"
    )
    loudness = command.add_mutually_exclusive_group()
    loudness.add_argument(
        "-q", "--quiet", action="store_true", help="print only errors and warnings"
    )
    loudness.add_argument(
        "-v", "--verbose", action="store_true", help="say what is done and how long it takes"
    )


class _Help(argparse.Action):
    """Prints what a command does and leaves, with or without its rare options."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, rare: Sequence[str], **words: str
    ) -> None:
        super().__init__(
            option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=words["help"]
        )
        self._rare = rare

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        for action in parser._actions:
            if action.dest in self._rare:
                action.help = argparse.SUPPRESS
        parser.print_help()
        parser.exit()


def add_two_helps(command: argparse.ArgumentParser, *rare: str) -> None:
    """--help for a screen, without the ``rare`` options (their ``dest``), and --help-all."""
    shown = "show this help message and exit"
    command.add_argument("-h", "--help", action=_Help, rare=rare, help=shown)
    command.add_argument("--help-all", action=_Help, rare=(), help="show all options and exit")


def parse(
    top: argparse.ArgumentParser,
    commands: Mapping[str, argparse.ArgumentParser],
    argv: Sequence[str],
) -> argparse.Namespace:
    """The arguments; leaves (SystemExit 2) with a message for a command line that is none.

    commands: the parsers of the commands, by name.
    """
    argv = _flags_last(argv)
    words = [word for word in argv if not word.startswith("-")]
    if not words and not argv:
        top.print_help(file=sys.stderr)
        raise SystemExit(2)
    command = commands.get(words[0]) if words else None
    if words and command is None and argv[0] == words[0]:
        top.error(_no_command(words[0], commands))
    if command is not None:
        for option in _unknown(command, argv[argv.index(words[0]) + 1 :]):
            command.error(f"there is no option {option}{meant(option, _options(command))}")
    arguments, rest = top.parse_known_args(argv)
    if rest:
        _refuse_rest(command or top, rest)
    return arguments


def count(text: str) -> int:
    """The type of an option that counts: a whole number from 0 on."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text}")
    return number


count.__name__ = "int"  # what argparse says of a text that is no number


def meant(word: str, known: Iterable[str]) -> str:
    """``; did you mean rows?``, or "" where nothing is like the word."""
    names = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), names, n=1)
    return f"; did you mean {names[found[0]]}?" if found else ""


def _flags_last(argv: Sequence[str]) -> list[str]:
    """The flags that all commands have may stand before the command, too."""
    flags = list(itertools.takewhile(lambda word: word in _COMMON, argv))
    return [*argv[len(flags) :], *flags] if len(flags) < len(argv) else list(argv)


def _refuse_rest(command: argparse.ArgumentParser, rest: Sequence[str]) -> NoReturn:
    if rest[0].startswith("-"):
        command.error(f"there is no option {rest[0]}{meant(rest[0], _options(command))}")
    command.error(f"what is {' '.join(rest)!r}? {command.prog} does not take so many arguments")


def _no_command(word: str, commands: Mapping[str, object]) -> str:
    if word.endswith(".tflite"):
        return f"say what to do with it, such as: tflsplit inspect {word}"
    text = f"there is no command {word!r}{meant(word, commands)}"
    return f"{text}\ncommands: {', '.join(commands)}"


def _options(command: argparse.ArgumentParser) -> list[str]:
    return [name for action in command._actions for name in action.option_strings]


def _unknown(command: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """Long options that are none of a command's, nor the beginning of one."""
    known = _options(command)
    end = argv.index("--") if "--" in argv else len(argv)
    names = [word.partition("=")[0] for word in argv[:end] if word.startswith("--")]
    return [name for name in names if not any(option.startswith(name) for option in known)]
