# SPDX-License-Identifier: Apache-2.0
"""Interpreters of other people's C++, in a process that may die without taking the command along.

TFLM and LiteRT trust the model that they are given: one with shapes or options that contradict its
operators makes them abort, or write where they must not.  What can be checked beforehand is
(``ops.declared``); of custom operators, and of indices that are computed, nothing can.  So they run
in one child process, which lives as long as the command does and keeps every program that was
loaded, with its state::

    command ── load: kind, model ──▶ child          one pair of pipes, one request at a time
            ◀── number ──                           (messages.py)
            ── run: number, arrays ──▶
            ◀── arrays ──                           what C++ prints goes to a file of the parent

If it dies, ``InterpreterError`` says how, and the next program that is loaded gets a new one.
"""

from tflsplit.interpreters.child import (
    ChildProgram,
    InterpreterError,
    naming,
    recorded,
    run_in_this_process,
    signal_name,
)
from tflsplit.interpreters.kinds import Array, RefusedError

__all__ = [
    "Array",
    "ChildProgram",
    "InterpreterError",
    "RefusedError",
    "naming",
    "recorded",
    "run_in_this_process",
    "signal_name",
]
