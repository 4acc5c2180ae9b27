# SPDX-License-Identifier: Apache-2.0
"""The command's side of the child that runs interpreters."""

from __future__ import annotations

import atexit
import contextlib
import select
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from tflsplit.errors import EngineError
from tflsplit.interpreters import messages
from tflsplit.interpreters.capture import captured_stderr
from tflsplit.interpreters.kinds import Array, RefusedError
from tflsplit.interpreters.serve import Server

SILENCE_SECONDS = 600.0
"""How long the child may take for one request; far more than any model for a microcontroller."""

_F_SETPIPE_SZ = 1031  # Linux; fcntl has its name from Python 3.10 on, but not everywhere
_PIPE_BYTES = 1 << 20
# The child looks for its modules where this process does, and nowhere else.
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from tflsplit.interpreters.serve import main; main()"
)


class InterpreterError(EngineError):
    """The process of an interpreter died, or does not answer.

    happened: how, as the end of a sentence.
    doing: with what graph; model: of what file.  Whoever knows them adds them on the way up.
    """

    def __init__(self, happened: str, doing: str = "", model: str = "") -> None:
        self.happened, self.doing, self.model = happened, doing, model
        start = f"{model}: " if model else ""
        super().__init__(
            f"{start}the interpreter's process {happened}{doing and ' '}{doing}: the model or its "
            "input leads a kernel out of its memory, or there is too little memory; check the "
            "input, or convert the model again"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.happened, self.doing, self.model)


@contextlib.contextmanager
def naming(model: str) -> Iterator[None]:
    """Whatever happens to the interpreter's process in the body is said of this model."""
    try:
        yield
    except InterpreterError as error:
        raise InterpreterError(error.happened, error.doing, error.model or model) from None


def signal_name(code: int | None) -> str:
    """The signal that ended a process, by its exit code; empty if none did."""
    if code is None or code >= 0:
        return ""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class _Child:
    """One process; ``request`` is for one thread at a time."""

    def __init__(self) -> None:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  (closed in ``end``)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to: IO[bytes] = self._process.stdin
        self._from: IO[bytes] = self._process.stdout
        self._widen()
        self.dropped: list[int] = []

    def _widen(self) -> None:
        """Larger pipes: fewer changes between the two processes for a tensor."""
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            for pipe in (self._to, self._from):
                fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)

    def request(
        self, header: dict[str, Any], arrays: Sequence[Array] = ()
    ) -> tuple[dict[str, Any], list[Array], str]:
        """The answer, and what was printed meanwhile; InterpreterError if there is none."""
        start = self._printed.seek(0, 2)
        try:
            messages.write(self._to, header, arrays)  # type: ignore[arg-type]
            if not select.select([self._from], [], [], SILENCE_SECONDS)[0]:
                self._process.kill()
                raise InterpreterError(f"did not answer for {SILENCE_SECONDS:.0f} s")
            answer = messages.read(self._from)  # type: ignore[arg-type]
        except (OSError, messages.BrokenMessageError):
            answer = None
        self._printed.seek(start)
        printed = self._printed.read().decode(errors="replace")
        if answer is None:
            raise InterpreterError(self._how_it_died(printed))
        return *answer, printed

    def _how_it_died(self, printed: str) -> str:
        """Of what the process died."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "no longer makes sense"
        if code >= 0:
            last = [line for line in printed.splitlines() if line.strip()][-1:]
            return f"ended with code {code}" + "".join(f" ({line})" for line in last)
        return f"was ended by {signal_name(code)}"

    def end(self) -> None:
        """Hang up, and wait until it is gone."""
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._printed.close()


class _Here:
    """The same in this process, for one that is itself a child that may die."""

    def __init__(self) -> None:
        self._server = Server()
        self.dropped: list[int] = []

    def request(
        self, header: dict[str, Any], arrays: Sequence[Array] = ()
    ) -> tuple[dict[str, Any], list[Array], str]:
        """The answer, and what was printed meanwhile."""
        with captured_stderr() as printed:
            answer, results = self._server.answer(header, list(arrays))
            return answer, results, printed()

    def end(self) -> None:
        """Forget all programs."""
        self._server = Server()


_lock = threading.RLock()
_state: dict[str, Any] = {"child": None, "make": _Child}


def run_in_this_process() -> None:
    """From now on interpreters are loaded here: this process is one that may die."""
    _end()
    _state["make"] = _Here


def _end() -> None:
    with _lock:
        child, _state["child"] = _state["child"], None
        if child is not None:
            child.end()


atexit.register(_end)


def _request(
    child: _Child | _Here, header: dict[str, Any], arrays: Sequence[Array] = ()
) -> tuple[dict[str, Any], list[Array], str]:
    """The answer; raises RefusedError, or InterpreterError after which there is no child."""
    with _lock:
        if child is not _state["child"]:
            raise InterpreterError("ended with an earlier model")
        try:
            if child.dropped:
                numbers = child.dropped[:]
                del child.dropped[: len(numbers)]
                child.request({"do": "drop", "numbers": numbers})
            answer, results, printed = child.request(header, arrays)
        except BaseException as error:  # a Ctrl-C, too: half an answer may be under way
            _end()
            if isinstance(error, MemoryError):
                raise InterpreterError("needs more memory than there is") from None
            raise
    if "refused" in answer:
        raise RefusedError(f"{answer['refused']}\n{printed}")
    return answer, results, printed


def _current() -> _Child | _Here:
    with _lock:
        if _state["child"] is None:
            _state["child"] = _state["make"]()
        child: _Child | _Here = _state["child"]
        return child


class ChildProgram:
    """A model that is loaded in the child."""

    def __init__(self, kind: str, model: bytes, outputs: int, arena_bytes: int = 0) -> None:
        """Load it; see ``kinds.interpreter``.  Raises RefusedError, InterpreterError."""
        self._child = _current()
        header = {"do": "load", "kind": kind, "outputs": outputs, "arena_bytes": arena_bytes}
        answer, _, _ = _request(self._child, header, [np.frombuffer(model, np.uint8)])
        self._number = int(answer["number"])
        weakref.finalize(self, self._child.dropped.append, self._number)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Its outputs; raises RefusedError, InterpreterError."""
        return _request(self._child, {"do": "run", "number": self._number}, inputs)[1]


def recorded(model: bytes, arena_bytes: int) -> str:
    """What TFLM's recording allocator prints of a model; RefusedError, InterpreterError."""
    header = {"do": "record", "arena_bytes": arena_bytes}
    return _request(_current(), header, [np.frombuffer(model, np.uint8)])[2]
