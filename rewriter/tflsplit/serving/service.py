# SPDX-License-Identifier: Apache-2.0
"""Answers inferences; goes on with the boards that are left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

from tflsplit.api.running import Inputs, by_name
from tflsplit.deploy.words import topology_words
from tflsplit.errors import LinkError, UserError
from tflsplit.host.watch import SilentError, Watch
from tflsplit.ir import Graph
from tflsplit.ops.stock.state import has_state
from tflsplit.runtime.engines import Array
from tflsplit.serving.boards import Chip, Look, Ports
from tflsplit.serving.bounds import OverError
from tflsplit.serving.events import Event, OnEvent, ServeOptions, deploying, running
from tflsplit.serving.losses import Losses, prepare_losses
from tflsplit.serving.plans import Plans, Ready
from tflsplit.serving.roster import Roster
from tflsplit.serving.running import Running, Slices, Stored, start, start_bound

_FRESH_SECONDS = 0.9
"""A ``Coordinator`` calls the roll by itself after a second, with more patience than we have."""
_QUICK_LOOK_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_MOST_TRIES = 3
_MOST_PATIENCE_SECONDS = 60.0
_MOST_LOOK_SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """One inference.

    outputs: the model's, in its order.
    boards: that took part.  repeated: tries before, that ended otherwise.
    seconds: all of it, on this computer's clock; of_try_seconds: of the last try.
    """

    outputs: tuple[Array, ...]
    boards: int
    repeated: int
    seconds: float
    of_try_seconds: float


class Service:
    """A context manager; leaving it lets the ports go, and the boards run what they hold.

    plans: for whatever boards are there.  ports: that lead to them.
    key: of the boards' firmware.  on_event: is told what happens, from within the calls below.
    """

    def __init__(
        self,
        plans: Plans,
        ports: Ports,
        options: ServeOptions | None = None,
        key: bytes | None = None,
        on_event: OnEvent = lambda event: None,
    ) -> None:
        self._plans, self._ports, self._key = plans, ports, key
        self._options = options or ServeOptions()
        self._on_event = on_event
        self._roster = Roster(ports)
        self._keeps_state = any(map(has_state, plans.given.model.nodes))
        self._watch_seconds = self._options.patience_seconds
        self._running: Running | None = None
        self._heard = self._looked = 0.0
        self._state_begun = False
        self._waits_for = ""
        self._stored = Stored()
        self._losses: tuple[Look, Losses] | None = None

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the ports go."""
        self._ports.close()

    @property
    def boards(self) -> tuple[str, ...]:
        """What runs the plan, by rank; () while nothing does."""
        return tuple(map(self._ports.name, self._running.chips)) if self._running else ()

    @property
    def model(self) -> Graph:
        """The unsplit one."""
        return self._plans.given.model

    @property
    def waits_for(self) -> str:
        """Why nothing can be computed now; "": it can."""
        return "" if self._running else self._waits_for

    def start(self) -> None:
        """Look for the boards and let them run the plan.

        Raises LinkError if no board answers, ClusterError if none of them fits.
        """
        for left in reversed(range(_MOST_TRIES)):
            try:
                self._bring_up(self._options.patience_seconds)
                break
            except LinkError as error:
                if not left:
                    raise
                self._on_event(Event("failed", str(error)))

    def infer(self, inputs: Inputs, timeout_seconds: float | None = None) -> Served:
        """One inference, repeated until it is done, on whatever boards are there.

        inputs: as ``SplitModel.run`` takes them.
        timeout_seconds: of all tries, and of waiting for boards that can hold the model (without
            searches for plans); None: for ever.
        Raises InputError; LinkError when that is over, when it fails again and again although all
        boards answer, and when a model's state was lost: the next inference begins a sequence then.
        """
        given = by_name(self._plans.given.model, inputs)
        with self._ports.limit.within(timeout_seconds, "an inference"):
            return self._infer(given, timeout_seconds)

    def _infer(self, given: dict[str, Array], timeout_seconds: float | None) -> Served:
        begun, repeated, alike = time.monotonic(), 0, 0
        deadline = None if timeout_seconds is None else begun + timeout_seconds
        self._look_if_due()
        while True:
            self._wait_for_boards(deadline)
            assert self._running is not None
            before = self._running.look
            try:
                outputs, seconds = self._once(self._running, given)
                size = len(self._running.chips)
                return Served(outputs, size, repeated, time.monotonic() - begun, seconds)
            except LinkError as error:
                repeated += 1
                self._give_up(error)
                self._wait_for_boards(deadline)
                is_same = self._running is not None and before.is_like(self._running.look)
                alike = alike + 1 if is_same else 0
                self._judge(error, is_same, alike)

    def tend(self) -> None:
        """What is to do while nobody asks for an inference; call it a few times a second.

        Calls the roll now and then, looks for boards that are missing, and brings the others up.
        """
        if self._running is None:
            if time.monotonic() - self._looked > _RETRY_SECONDS:
                self._try_to_bring_up()
            return
        self._look_if_due()
        if self._running and time.monotonic() - self._heard > self._options.look_seconds:
            try:
                self._running.coordinator.connect(self._options.patience_seconds)
                self._heard = time.monotonic()
            except LinkError as error:
                self._give_up(error)
                self._try_to_bring_up()

    def restart(self) -> None:
        """Begin a sequence anew, for a model with state."""
        self._running = None
        self._bring_up(_QUICK_LOOK_SECONDS)

    def _once(self, running: Running, given: dict[str, Array]) -> tuple[tuple[Array, ...], float]:
        coordinator = running.coordinator
        if time.monotonic() - self._heard > _FRESH_SECONDS:
            coordinator.connect(self._options.patience_seconds)
        self._state_begun = self._keeps_state
        with Watch(coordinator.inbox, self._watch_seconds) as watch:
            done = coordinator.infer(given, self._options.infer_seconds)
        self._heard = time.monotonic()
        self._note_silence(watch.longest_seconds)
        return tuple(done.outputs), done.seconds

    def _note_silence(self, seconds: float) -> None:
        """What busy devices needed is given them again; what faults have cost is not."""
        needed = min(self._watch_seconds, 2 * seconds)
        self._watch_seconds = max(self._options.patience_seconds, needed)

    def _give_up(self, error: LinkError) -> None:
        self._running = None
        self._waits_for = str(error)
        self._on_event(Event("failed", str(error)))

    def _judge(self, error: LinkError, is_same: bool, alike: int) -> None:
        """What follows of an inference that failed, once boards run again."""
        if is_same and isinstance(error, SilentError):
            self._watch_seconds = min(2 * self._watch_seconds, _MOST_PATIENCE_SECONDS)
        if self._keeps_state:
            raise LinkError(
                f"{error}; what the model remembered of its earlier inputs is lost: the next "
                "inference begins a sequence"
            )
        if alike >= _MOST_TRIES:
            raise LinkError(f"failed {alike} times although all boards answer: {error}")

    def _wait_for_boards(self, deadline: float | None) -> None:
        """Until boards run; LinkError when the deadline has passed."""
        while self._running is None:
            self._try_to_bring_up()
            if self._running is None:
                left = _RETRY_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise LinkError(f"nothing can be computed now: {self._waits_for}")
                time.sleep(min(left, _RETRY_SECONDS))

    def _is_whole(self, look: Look) -> bool:
        """Whether nothing is missing: no board that was seen, none that the given plan is for."""
        wanted = len(self._plans.given.devices)
        return self._roster.is_complete and len(look.wiring.boards) >= wanted

    def _look_if_due(self) -> None:
        """While boards are missing: whether they are back.  Not within a sequence."""
        is_due = time.monotonic() - self._looked > self._options.look_seconds
        if self._running is None or not is_due or self._state_begun:
            return
        if not self._is_whole(self._running.look):
            self._running = None
            self._try_to_bring_up(_QUICK_LOOK_SECONDS)

    def _try_to_bring_up(self, look_seconds: float | None = None) -> None:
        """As ``_bring_up``, but what keeps it from that is told as an event, once."""
        try:
            self._bring_up(look_seconds or self._options.patience_seconds)
        except OverError as error:  # what it waits for stays what it was
            self._on_event(Event("failed", str(error)))
        except UserError as error:
            text = str(error)
            if text != self._waits_for:
                self._on_event(Event("waiting", text))
            self._waits_for = text

    def _bring_up(self, look_seconds: float) -> None:
        """Look, plan, deploy, connect."""
        begun = time.monotonic()
        try:
            look = self._look(look_seconds)
        finally:
            self._looked = time.monotonic()
        events = self._roster.take(look)
        for event in events:
            self._on_event(event)
        ready = self._plans.ready(look.wiring, lambda text: self._on_event(Event("planning", text)))
        size = len(ready.bundle.devices)
        wanted = self._wanted(look, ready)
        with self._ports.limit.within(start_bound(look, ready, wanted), "bringing boards up"):
            self._running = start(
                look, ready, self._stored, wanted, self._key,
                lambda: self._on_event(deploying(size)),
            )  # fmt: skip
        self._heard = self._looked = time.monotonic()
        self._state_begun = False
        self._waits_for = ""
        seconds = time.monotonic() - begun
        self._on_event(running(size, topology_words(look.wiring), seconds))

    def _look(self, look_seconds: float) -> Look:
        """At all boards; once more, with all patience, where a short one missed somebody."""
        patience = self._options.patience_seconds
        with self._ports.limit.within(_MOST_LOOK_SECONDS, "a look for the boards"):
            look = self._ports.look(look_seconds)
            if look_seconds < patience and self._roster.would_miss(look):
                look = self._ports.look(patience)
        for text in self._ports.news:
            self._on_event(Event("back", text))
        self._ports.news.clear()
        return look

    def _wanted(self, look: Look, ready: Ready) -> Slices:
        """With ``survive``, what all boards keep for the loss of one, while all are there."""
        if not self._options.survive or not self._is_whole(look):
            return {}
        if self._losses is None or not look.is_like(self._losses[0]):
            losses = prepare_losses(self._plans, look, ready, self._tell_of_loss)
            self._losses = look, losses
            self._on_event(Event("prepared", losses.words(self._ports.name), losses.seconds))
        return self._losses[1].slices

    def _tell_of_loss(self, chip: Chip) -> None:
        text = f"searching a plan without {self._ports.name(chip)}"
        self._on_event(Event("planning", text))
