# SPDX-License-Identifier: Apache-2.0
"""One end of a link, without I/O: bytes in, bytes out, time given.

The same protocol as ``link.h`` in split_core (``docs/wire_format.md``): sessions opened by a
handshake, selective repeat within the credit that the peer grants, and time-outs that only ask
(POLL, answered by STATUS) and never repeat data blindly. This end is a host's: it forwards nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tflsplit.wire.frames import Frame, FrameDecoder, FrameType, HeaderError, encode, parse_of_link
from tflsplit.wire.handshake import ErrorCode, Hello, Identity, check_identity, hello_of
from tflsplit.wire.link_state import LinkCounters, LinkState
from tflsplit.wire.recovery import Recovery
from tflsplit.wire.timers import PollTimer, Timing
from tflsplit.wire.window import ReceiveWindow, SendWindow, Verdict

_REFUSED_HELLO_FACTOR = 8


class Link:
    """Call ``receive`` with what came and ``poll`` for what is to be sent.

    ``on_frame`` gets each sequenced frame once and in order; ``on_error`` each loss or refusal
    once. Both are called from within ``receive`` or ``poll``.
    """

    def __init__(
        self,
        identity: Identity,
        peer_rank: int,
        boot_nonce: int,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[ErrorCode, int], None],
        timing: Timing | None = None,
    ) -> None:
        self.identity = identity
        self.peer_rank = peer_rank
        self.timing = timing or Timing()
        self.state = LinkState.CONNECTING
        self.error = ErrorCode.OK
        self.claimed_rank: int | None = None
        self.counters = LinkCounters()
        self.decoder = FrameDecoder(identity.mtu_bytes)
        self._boot = boot_nonce
        self._on_frame = on_frame
        self._on_error = on_error
        self._session = 1
        self._out = SendWindow()
        self._in = ReceiveWindow()
        self._peer: tuple[int, int] | None = None  # boot and session of the peer
        self._peer_boot = 0  # known from its HELLO or WELCOME
        self._due: dict[FrameType, int] = {FrameType.HELLO: 0}  # control frames, with `sequence`
        self._refuse_reason = ErrorCode.OK
        self._refused_by_peer = False
        self._timer = PollTimer(self.timing, self._out.passes.round_trip)
        self._recovery = Recovery(self._out, self._timer, self.counters, self._due)
        self._hello_sent = 0

    # ---- For the owner ----

    def send(self, frame: Frame) -> bool:
        """Queue a sequenced frame; False (and dropped) while the peer is lost or refused."""
        if self.state in (LinkState.LOST, LinkState.REFUSED):
            self.counters.dropped += 1
            return False
        self._out.append(frame)
        return True

    @property
    def is_up(self) -> bool:
        """Open in both directions."""
        return self.state is LinkState.OPEN and self._peer is not None

    @property
    def unsent(self) -> int:
        """Frames that wait for credit."""
        return self._out.unsent

    @property
    def all_acknowledged(self) -> bool:
        """Whether the peer has everything."""
        return self._out.empty

    def try_again(self) -> None:
        """Knock at once where we were refused: somebody may have put it right."""
        if self.state is LinkState.REFUSED:
            self.state = LinkState.CONNECTING
            self._refused_by_peer = False
            self._due[FrameType.HELLO] = 0

    def receive(self, data: bytes, now_us: int) -> None:
        """Act on bytes from the peer."""
        self.counters.bytes_received += len(data)
        broken = self.decoder.counters.errors
        for raw in self.decoder.feed(data):
            try:
                frame = parse_of_link(raw)
            except HeaderError as error:
                self.counters.bad_headers += error.reason != "survey"
                if error.reason == "version":
                    self._handle_stranger(error)
                continue
            self._timer.heard()
            self._handle(frame, now_us)
        if self.decoder.counters.errors != broken and self._peer is not None:
            self._due[FrameType.NAK] = 0  # and perhaps it was an answer that we wait for
            self._recovery.ask_at_once(now_us)

    def poll(self, now_us: int) -> bytes:
        """What is to be sent now. Call it after every ``receive`` and every few milliseconds."""
        self._update_timers(now_us, self._timer.quiet_us(now_us))
        out = bytearray()
        while (frame := self._next_frame(now_us)) is not None:
            out += encode(frame)
        self.counters.bytes_sent += len(out)
        return bytes(out)

    # ---- Receiving ----

    def _handle(self, frame: Frame, now_us: int) -> None:
        kind = frame.type
        if kind is FrameType.HELLO:
            self._handle_hello(frame, now_us)
        elif kind is FrameType.WELCOME:
            self._handle_welcome(frame, now_us)
        elif kind is FrameType.REFUSE:
            self._handle_refuse(frame)
        elif self._peer and not kind.is_sequenced and frame.source != self.peer_rank:
            # In mid-session another neighbour: somebody has exchanged cables.
            self._turn_away(frame.source, ErrorCode.RANK_MISMATCH)
        else:
            if self.state is LinkState.OPEN:
                self._recovery.on_acknowledgement(frame, now_us)
            if kind.is_sequenced:
                self._handle_sequenced(frame)
            elif kind is FrameType.NAK and frame.offset == 0:
                self._recovery.ask_at_once(now_us)
            elif kind is FrameType.STATUS:
                self._recovery.on_status(frame.sequence, now_us)
            elif kind is FrameType.POLL and self._peer is not None:
                self._due[FrameType.STATUS] = frame.sequence

    def _handle_stranger(self, error: HeaderError) -> None:
        if error.type_number == FrameType.HELLO:
            self._turn_away(error.source, ErrorCode.VERSION_MISMATCH)
        elif error.type_number == FrameType.REFUSE:
            self._close(LinkState.REFUSED, ErrorCode.VERSION_MISMATCH)

    def _handle_hello(self, frame: Frame, now_us: int) -> None:
        hello = Hello.unpack(frame.payload)
        if hello is None:
            self.counters.bad_headers += 1
            return
        self.claimed_rank = frame.source
        reason = check_identity(self.identity, self.peer_rank, frame.source, hello)
        if reason is not ErrorCode.OK:
            self._turn_away(frame.source, reason)
            return
        known = self._peer is not None or self.state is LinkState.OPEN
        rebooted = known and self._peer_boot != hello.boot
        self._peer_boot = hello.boot
        if self._peer != (hello.boot, hello.session):
            self._peer = (hello.boot, hello.session)
            self._in.restart()
            self._due.pop(FrameType.NAK, None)
            self._due.pop(FrameType.STATUS, None)
        self._due[FrameType.WELCOME] = 0
        if rebooted:
            self._close(LinkState.LOST, ErrorCode.PEER_RESET)
        # What is queued may wait from now on, unless it refuses us: then only its WELCOME helps.
        if self.state is not LinkState.OPEN and not self._refused_by_peer:
            if self.state is not LinkState.CONNECTING:
                self._due[FrameType.HELLO] = 0
            self.state = LinkState.CONNECTING
            self.error = ErrorCode.OK
            self._timer.touch(now_us)

    def _turn_away(self, rank: int, reason: ErrorCode) -> None:
        self.claimed_rank = rank
        self._refuse_reason = reason
        self._due[FrameType.REFUSE] = 0
        self._peer = None
        self._close(LinkState.REFUSED, reason)

    def _handle_welcome(self, frame: Frame, now_us: int) -> None:
        hello = Hello.unpack(frame.payload)
        if hello is None:
            self.counters.bad_headers += 1
            return
        ours = (hello.echo_boot, hello.echo_session) == (self._boot, self._session)
        fits = check_identity(self.identity, self.peer_rank, frame.source, hello) is ErrorCode.OK
        anew = self._peer is not None and self._peer_boot != hello.boot  # its HELLO will tell
        if not ours or not fits or anew or self.state is LinkState.OPEN:
            return
        self._peer_boot = hello.boot
        self.state = LinkState.OPEN
        self.error = ErrorCode.OK
        self._refused_by_peer = False
        self._out.open(frame.credit)
        self.counters.sessions += 1
        self._timer.progress(now_us)

    def _handle_refuse(self, frame: Frame) -> None:
        if len(frame.payload) != 1:
            self.counters.bad_headers += 1
            return
        self.claimed_rank = frame.source
        self._refused_by_peer = True
        code = frame.payload[0]
        sane = ErrorCode.VERSION_MISMATCH <= code <= ErrorCode.MTU_MISMATCH
        self._close(LinkState.REFUSED, ErrorCode(code) if sane else ErrorCode.FINGERPRINT_MISMATCH)

    def _handle_sequenced(self, frame: Frame) -> None:
        if self._peer is None:
            return
        verdict = self._in.judge(frame)
        if verdict is Verdict.ACCEPT:
            for following in self._in.take(frame):
                self.counters.frames_received += 1
                self._on_frame(following)
        elif verdict is Verdict.DUPLICATE:
            self.counters.duplicates += 1
        else:
            self.counters.gaps += 1
            self._due[FrameType.NAK] = 0

    # ---- Session ----

    def _close(self, state: LinkState, code: ErrorCode) -> None:
        news = (self.state, self.error) != (state, code)
        self.counters.dropped += self._out.clear()
        self._session = (self._session + 1) & 0xFFFF
        self.state = state
        self.error = code
        if state is LinkState.LOST:
            self._due[FrameType.HELLO] = 0
        self._due.pop(FrameType.POLL, None)
        self._timer.heard()
        if news:
            claimed = self.claimed_rank if state is LinkState.REFUSED else None
            self._on_error(code, self.peer_rank if claimed is None else claimed)

    # ---- Sending ----

    def _next_frame(self, now_us: int) -> Frame | None:
        frame = self._control_frame(now_us)
        if frame is None and self.state is LinkState.OPEN:
            frame = self._sequenced_frame(now_us)
        if frame is None and self._peer is not None and self._in.has_news:
            frame = self._stamp(self._hop_frame(FrameType.ACK))
        return frame

    def _hop_frame(self, kind: FrameType, payload: bytes = b"") -> Frame:
        sequence = self._due.pop(kind, 0)
        return Frame(kind, sequence=sequence, source=self.identity.rank, payload=payload)

    def _stamp(self, frame: Frame) -> Frame:
        return frame if self._peer is None else self._in.stamp(frame)

    def _control_frame(self, now_us: int) -> Frame | None:
        due = self._due
        if FrameType.REFUSE in due:
            return self._hop_frame(FrameType.REFUSE, bytes([self._refuse_reason]))
        if FrameType.WELCOME in due and self._peer is not None:
            return self._stamp(self._hop_frame(FrameType.WELCOME, self._hello(self._peer)))
        if FrameType.HELLO in due and self.state is not LinkState.OPEN:
            self._hello_sent = now_us
            return self._stamp(self._hop_frame(FrameType.HELLO, self._hello((0, 0))))
        for kind in (FrameType.STATUS, FrameType.NAK, FrameType.POLL):
            if kind in due:
                return self._stamp(self._hop_frame(kind))
        return None

    def _hello(self, echo: tuple[int, int]) -> bytes:
        return hello_of(self.identity, self._boot, self._session, *echo).pack()

    def _sequenced_frame(self, now_us: int) -> Frame | None:
        found = self._out.next_frame(now_us)
        if found is None:
            return None
        frame, again = found
        self.counters.frames_resent += again
        self.counters.frames_sent += not again
        self._timer.touch(now_us)
        return self._stamp(frame)

    def _update_timers(self, now_us: int, quiet: int) -> None:
        if self.state is LinkState.OPEN:
            silent = self._recovery.on_time(now_us)
        else:
            factor = _REFUSED_HELLO_FACTOR if self.state is LinkState.REFUSED else 1
            if now_us - self._hello_sent >= self.timing.hello_interval_us * factor:
                self._due[FrameType.HELLO] = 0
            late = quiet >= self.timing.peer_timeout_us
            silent = late and self.state is LinkState.CONNECTING
        if silent:
            self._close(LinkState.LOST, ErrorCode.PEER_SILENT)
