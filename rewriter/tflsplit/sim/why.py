# SPDX-License-Identifier: Apache-2.0
"""Why an inference takes as long as it does: the critical path, from the result back to the start.

    host    start --.                                             .--> result
    rank 0          '--> input == kernel == post --.              |
    rank 1     == kernel ===== asks for it --------'--> arrives == kernel == post

At every moment one thing holds up the result.  A kernel began when the RECV before it ended; that
ended when its last message arrived; the message left when it was posted or, if that was later,
when the GRANT of its last receiver came; and so on, to the host's start.  The intervals between
join without a gap, so they add up to the latency.

What kernels take on the path is one cause, `compute`: it is measured along the path, and no part of
it is below 0.  Beside it stands what it may be compared with (``Computing``): an even share of one
device's kernels, and what the devices take on average.  Those are no parts: either may be larger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tflsplit.cluster import Cluster
from tflsplit.errors import InternalError
from tflsplit.ir import Graph
from tflsplit.plan.cost.compute import local_node_us
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.sim.program import INPUT_CHANNEL, OUTPUT_CHANNEL
from tflsplit.sim.result import SimResult, Span
from tflsplit.sim.trace import Channel, Delivery, Trace, Wait
from tflsplit.split.lower import unpacked

CAUSES = {
    "input": "the input, before the first kernel on the path",
    "compute": "kernels on the path",
    "transfer": "messages under way while a device waits for them",
    "grant": "GRANTs under way while the sender is ready",
    "polls": "polls that interrupt kernels, and what waits for a poll",
    "overhead": "copies, and the links' step overhead",
    "result": "the result, on its way to the host",
}
"""What the latency consists of, in the order in which it is shown."""


@dataclass(frozen=True)
class Part:
    """An interval of the critical path.

    rank: where the path is; world_size: at the host.  cause: a key of ``CAUSES``.
    what: a node, or a message.
    """

    rank: int
    cause: str
    what: str
    start_us: float
    end_us: float


@dataclass(frozen=True)
class Computing:
    """What kernels take, in microseconds.

    even_us: one device's kernels, divided evenly among all.  average_us: of the devices, above that
    by halos that several compute and by smaller pieces, below by kernels that one device has not.
    path_us: on the path, above the average where it leads through devices that have more to do.
    """

    even_us: float
    average_us: float
    path_us: float

    def __str__(self) -> str:
        return (
            f"Kernels take {self.path_us / 1000:.2f} ms on the path, "
            f"{self.average_us / 1000:.2f} ms on a device on average; those of one device alone, "
            f"shared out by speed, would take {self.even_us / 1000:.2f} ms (halos and small pieces "
            "cost more, kernels that only a split has may save some)."
        )


@dataclass(frozen=True)
class Why:
    """The first inference.

    parts: in order, without a gap, from the host's start to its last byte of the result.
    shares_us: by key of ``CAUSES``; none is below 0, and they add up to the latency.
    """

    parts: tuple[Part, ...]
    shares_us: Mapping[str, float]
    computing: Computing

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "shares_us": dict(self.shares_us),
            "computing": vars(self.computing),
            "path": [vars(part) for part in self.parts],
        }


def alone_us(whole: Graph, cluster: Cluster) -> float:
    """What the kernels of a model take if all devices share them evenly, without any halo.

    whole: as ``passes.prepare`` makes it.  1 / sum of 1 / T over the devices, T being what each
    takes alone.
    """
    plan = choose_plan(whole, Wishes(1, fuse=True))
    (device,) = unpacked(whole, plan)
    times = [
        sum(local_node_us(hardware, node) for node in device.graph.nodes)
        for hardware in cluster.devices
    ]
    return 1 / sum(1 / us for us in times) if all(times) else 0.0


def why(result: SimResult, even_us: float) -> Why:
    """The critical path of a simulation's first inference.

    even_us: ``alone_us``.
    """
    parts = _as_input(tuple(reversed(_Walk(result).parts)))
    shares = dict.fromkeys(CAUSES, 0.0)
    for part in parts:
        shares[part.cause] += part.end_us - part.start_us
    average = sum(device.compute_us - device.poll_us for device in result.devices)
    average /= len(result.devices) * len(result.latencies_us)
    return Why(parts, shares, Computing(even_us, average, shares["compute"]))


def _as_input(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """All before the first kernel is the input."""
    first = next((i for i, part in enumerate(parts) if part.cause == "compute"), len(parts))
    return tuple(replace(part, cause="input") for part in parts[:first]) + parts[first:]


class _Walk:
    """Goes back from the result; ``parts`` has the last one first."""

    def __init__(self, result: SimResult) -> None:
        self.host = len(result.devices)
        self.trace: Trace = result.trace
        self.parts: list[Part] = []
        self.spans: dict[int, list[Span]] = defaultdict(list)
        for span in result.spans:
            if span.end_us > span.start_us:
                self.spans[span.rank].append(span)
        self.waits: dict[tuple[int, float, float], Wait] = {
            (wait.rank, wait.start_us, wait.end_us): wait for wait in self.trace.waits
        }
        self._at: tuple[int, float] | None = self._from_host(result.latency_us)
        while self._at is not None:
            self._at = self._step(*self._at)

    def _add(self, rank: int, cause: str, what: str, start_us: float, end_us: float) -> None:
        if end_us > start_us:
            self.parts.append(Part(rank, cause, what, start_us, end_us))

    def _from_host(self, latency_us: float) -> tuple[int, float] | None:
        """From the last byte of the result to the device that posted it."""
        arrived = {
            key: delivery
            for key, delivery in self.trace.deliveries.items()
            if key[2] == self.host and key[1][0] == 0 and delivery.arrived_us is not None
        }
        if not arrived:
            raise InternalError("nothing came back to the host")
        source, channel, _ = max(arrived, key=lambda key: arrived[key].arrived_us or 0.0)
        return self._message(source, channel, self.host, latency_us)

    def _step(self, rank: int, now_us: float) -> tuple[int, float] | None:
        """What a node did until ``now_us``; where the path goes on, None at its beginning."""
        if rank == self.host:
            self._add(rank, "input", "start", 0.0, now_us)
            return None
        before = [span for span in self.spans[rank] if span.start_us < now_us]
        if not before:
            self._add(rank, "input", "start", 0.0, now_us)
            return None
        span = before[-1]
        if span.end_us < now_us:
            self._add(rank, "overhead", "", span.end_us, now_us)
            return rank, span.end_us
        if span.kind == "compute":
            kernel_us = span.kernel_us * (now_us - span.start_us) / (span.end_us - span.start_us)
            self._add(rank, "polls", span.node, span.start_us + kernel_us, now_us)
            self._add(rank, "compute", span.node, span.start_us, span.start_us + kernel_us)
            return rank, span.start_us
        return self._waited(span, now_us)

    def _waited(self, span: Span, now_us: float) -> tuple[int, float] | None:
        """To the message that a wait ended with; to its beginning if all was there already."""
        wait = self.waits.get((span.rank, span.start_us, span.end_us))
        last: tuple[float, int, Channel, int] | None = None
        if wait is not None and now_us == span.end_us:
            last = max(self._events(wait), default=None)
        if last is None or last[0] <= span.start_us:
            self._add(span.rank, "overhead", span.node, span.start_us, now_us)
            return span.rank, span.start_us
        end_us, source, channel, receiver = last
        self._add(span.rank, "polls", span.node, end_us, now_us)
        return self._message(source, channel, receiver, end_us)

    def _events(self, wait: Wait) -> list[tuple[float, int, Channel, int]]:
        """When each thing that was waited for came: (when, source, channel, receiver)."""
        events = []
        for source, channel in wait.pieces:
            delivery = self.trace.deliveries[source, channel, wait.rank]
            # A block waits for the first rows of a message only.
            arrived_us = wait.end_us if delivery.arrived_us is None else delivery.arrived_us
            events.append((min(arrived_us, wait.end_us), source, channel, wait.rank))
        for (source, channel, receiver), delivery in self.trace.deliveries.items():
            if source == wait.rank and channel in wait.pending and delivery.released_us is not None:
                events.append((delivery.released_us, source, channel, receiver))
        return [event for event in events if event[0] <= wait.end_us]

    def _message(
        self, source: int, channel: Channel, receiver: int, end_us: float
    ) -> tuple[int, float]:
        """From its end to what it waited for: the SEND, or the last of its receivers."""
        delivery = self.trace.deliveries[source, channel, receiver]
        what = f"{_tensor(channel[1])} from {'host' if source == self.host else source}"
        begun_us = min(end_us, delivery.begun_us if delivery.begun_us is not None else end_us)
        cause = "result" if receiver == self.host else "transfer"
        self._add(receiver, cause, what, begun_us, end_us)
        asker, granted = self._last_granted(source, channel, receiver, delivery)
        posted_us = self.trace.posted[source, channel]
        if granted.granted_us > posted_us:
            self._add(asker, "grant", what, granted.asked_us, begun_us)
            return asker, granted.asked_us
        self._add(source, cause, what, posted_us, begun_us)
        return source, posted_us

    def _last_granted(
        self, source: int, channel: Channel, receiver: int, delivery: Delivery
    ) -> tuple[int, Delivery]:
        """Of the receivers that a message left for at one time, the last that asked for it."""
        ranks = [rank for rank in range(delivery.batch.bit_length()) if delivery.batch >> rank & 1]
        group = [(rank, self.trace.deliveries[source, channel, rank]) for rank in ranks]
        return max(group or [(receiver, delivery)], key=lambda pair: pair[1].granted_us)


def _tensor(channel: int) -> str:
    if channel >= OUTPUT_CHANNEL:
        return "output"
    return "input" if channel >= INPUT_CHANNEL else f"channel {channel}"


def most(parts: Sequence[Part], count: int) -> list[Part]:
    """The longest intervals of a path."""
    return sorted(parts, key=lambda part: part.start_us - part.end_us)[:count]
