# SPDX-License-Identifier: Apache-2.0
"""Drives inferences on a cluster: input out, output in, and who is at fault if it fails.

::

    connect():    handshake with the gateway, INFO of every device
    infer():      START ──► all;  input boxes ──► those that read them
                  output boxes ◄── those that own them;  REPORT ◄── all
    infer_each(): the same for one input after the other, two under way if asked for
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType

from tflsplit.bundle import Bundle
from tflsplit.errors import LinkError
from tflsplit.host.causes import explained
from tflsplit.host.firmware_json import FirmwareSetup, read_firmware_setup
from tflsplit.host.flights import Flights
from tflsplit.host.inbox import Inbox
from tflsplit.host.ports import Stream
from tflsplit.host.roll_call import call_roll
from tflsplit.ops.stock.state import has_state
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array
from tflsplit.runtime.local import assemble
from tflsplit.split.devices import tensor_labels
from tflsplit.wire.control import Ask, Info, LinkReport, Report, is_later
from tflsplit.wire.handshake import ErrorCode, PeerError

CONNECT_SECONDS = 15.0
INFER_SECONDS = 60.0
_FRESH_SECONDS = 1.0


@dataclass(frozen=True)
class Inference:
    """One inference that went well.

    outputs: the model's, assembled.
    reports: by rank.
    seconds: from START to the last byte and report, on this computer's clock.
    """

    outputs: list[Array]
    reports: tuple[Report, ...]
    seconds: float


class Coordinator:
    """A cluster seen from its host; a context manager that closes the streams.

    streams: to each device that the host is wired to, by rank; or to the only one.
    bundle: what ``rewrite`` wrote; the devices must run firmware of it.
    setup: how they are wired; read from firmware.json if it is not given.
    """

    def __init__(
        self,
        streams: Stream | Mapping[int, Stream],
        bundle: Bundle,
        setup: FirmwareSetup | None = None,
    ) -> None:
        self.setup = setup or read_firmware_setup(bundle.folder, bundle.document)
        self._bundle = bundle
        self._whole = prepare(bundle.model)
        self._labels = tensor_labels(self._whole)
        self._keeps_state = any(map(has_state, bundle.model.nodes))
        by_rank = streams if isinstance(streams, Mapping) else {self.setup.gateway: streams}
        self._streams = tuple(by_rank.values())
        self.inbox = Inbox(by_rank, self.setup)
        self._endpoint = self.inbox.gateway.endpoint
        self._flights = Flights(bundle, self.setup, self.inbox)
        self._good_until = 0.0
        self.infos: tuple[Info, ...] = ()
        """What the devices said at the last ``connect``, by rank."""

    def __enter__(self) -> Coordinator:
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
        for stream in self._streams:
            stream.close()

    def reach_gateway(self, timeout_seconds: float) -> None:
        """Only shake hands with the gateways; LinkError if one is not this plan's."""
        self.inbox.gateway.open(timeout_seconds)

    def connect(self, timeout_seconds: float = CONNECT_SECONDS) -> tuple[Info, ...]:
        """Wait until every device is there and can reach all others; what they say, by rank.

        Raises LinkError naming who is missing, silent, broken, or of another plan or rank.
        """
        self.infos = call_roll(self.inbox, self.setup, timeout_seconds)
        for info in self.infos:
            if info.last_epoch is not None and is_later(info.last_epoch, self._flights.last_epoch):
                self._flights.last_epoch = info.last_epoch
        self._keep_fresh()
        return self.infos

    def infer(
        self, inputs: Mapping[str, Array], timeout_seconds: float = INFER_SECONDS
    ) -> Inference:
        """One inference; inputs are the model's, whole, by tensor name.

        Raises LinkError naming the rank at fault; the next call finds out who is there again,
        and is not affected.
        """
        try:
            return self._infer(inputs, timeout_seconds)
        except PeerError as error:
            if not self._missed_a_reset(error):
                raise self._explained(error) from None
        self.connect()
        try:
            return self._infer(inputs, timeout_seconds)
        except PeerError as error:
            raise self._explained(error) from None

    def _missed_a_reset(self, error: PeerError) -> bool:
        """Whether a rank was reset before the inference reached it, so that it may begin again.

        Its neighbours notice a reset when it speaks again; when that was at the end of one
        inference, it is in the next. Not where devices keep state: that is lost.
        """
        if error.code != ErrorCode.PEER_RESET or error.rank is None:
            return False
        return not self._endpoint.heard >> error.rank & 1 and not self._keeps_state

    def infer_each(
        self,
        inputs: Iterable[Mapping[str, Array]],
        timeout_seconds: float = INFER_SECONDS,
        in_flight: int = 1,
    ) -> Iterator[Inference | LinkError]:
        """One inference after the other; of each what it gave, or why it failed.

        in_flight: 2: the next one's input is sent while one computes, to devices that have memory
            for it; with others it only begins at once. One that fails ends the one behind it, which
            is then begun anew.
        Raises LinkError if it is neither 1 nor 2.
        """
        if in_flight not in (1, 2):
            raise LinkError("there can be one or two inferences in flight")
        waiting: list[Mapping[str, Array]] = []  # launched, or to be
        source = iter(inputs)
        while True:
            waiting.extend(islice(source, in_flight - len(waiting)))
            if not waiting:
                return
            yield self._next_of(waiting, timeout_seconds)
            del waiting[0]

    def _next_of(
        self, waiting: Sequence[Mapping[str, Array]], timeout_seconds: float
    ) -> Inference | LinkError:
        """What comes of the first of some inputs, while the second is under way, too."""
        if len(waiting) == 1 and not self._flights:
            try:
                return self.infer(waiting[0], timeout_seconds)
            except LinkError as error:
                return error
        try:
            return self._fly(waiting, timeout_seconds)
        except PeerError as error:
            return self._explained(error)
        except LinkError as error:
            return error

    def _launch(self, waiting: Sequence[Mapping[str, Array]]) -> None:
        if not self._flights and (time.monotonic() > self._good_until or not self._endpoint.is_up):
            self.connect()
        self._good_until = 0.0
        for inputs in waiting[len(self._flights) :]:
            self._flights.launch(inputs)

    def _land(self, timeout_seconds: float) -> Inference:
        landed = self._flights.land(timeout_seconds)
        seconds = time.monotonic() - landed.begun
        self._keep_fresh()
        whole = assemble(self._whole, self._labels, self._bundle.devices, landed.outputs)
        return Inference(whole, landed.reports, seconds)

    def _infer(self, inputs: Mapping[str, Array], timeout_seconds: float) -> Inference:
        self._flights.clear()
        return self._fly([inputs], timeout_seconds)

    def _fly(self, waiting: Sequence[Mapping[str, Array]], timeout_seconds: float) -> Inference:
        """Launch what is not under way, and land the first; when it fails, none is under way."""
        try:
            self._launch(waiting)
            return self._land(timeout_seconds)
        except LinkError:
            self._flights.clear()
            raise

    def links(self, timeout_seconds: float = 5.0) -> tuple[tuple[LinkReport, ...], ...]:
        """Link counters by rank and link, the host's last; ``infos`` anew.  May raise LinkError."""
        inbox = self.inbox
        what = Ask.LINKS | Ask.INFO
        if not inbox.ask(what, lambda: all(map(inbox.links_of, inbox.ranks)), timeout_seconds):
            silent = next(rank for rank in inbox.ranks if not inbox.links_of(rank))
            raise LinkError(f"rank {silent} does not tell its link counters")
        self.infos = tuple(inbox.infos.get(rank, old) for rank, old in enumerate(self.infos))
        return (*(inbox.links_of(rank) for rank in inbox.ranks), inbox.gateway.link_reports())

    def _keep_fresh(self) -> None:
        """Nobody need be asked again for a while."""
        self._good_until = time.monotonic() + _FRESH_SECONDS

    def _explained(self, error: PeerError) -> LinkError:
        return explained(error, self.inbox, self.setup, self.infos)
