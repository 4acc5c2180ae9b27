# SPDX-License-Identifier: Apache-2.0
"""What a split model answers: objects that say what they found when they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tflsplit.cluster import Cluster
from tflsplit.cluster.words import cluster_words
from tflsplit.errors import counted
from tflsplit.sim import SimResult
from tflsplit.verify import Verdict


@dataclass(frozen=True, repr=False)
class Verification:
    """Whether the devices gave the unsplit model's bits; true in conditions if they did.

    verdict: what was compared, and the first difference.
    """

    verdict: Verdict
    world_size: int

    @property
    def passed(self) -> bool:
        """Whether every element of every tensor was equal."""
        return self.verdict.passed

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        found = self.verdict
        if not found.passed:
            differing = [] if found.mismatch is None else [str(found.mismatch)]
            return "FAILED: " + "; ".join([*found.problems, *differing])
        return (
            f"the same bits: {counted(self.world_size, 'device')} and the unsplit model on "
            f"{found.engine}, {found.cases} inputs, {found.tensors} tensors each, "
            f"{found.elements:,} elements compared"
        )

    def _repr_html_(self) -> str:
        return f"<p>{'✓' if self.passed else '✗'} {escape(repr(self))}</p>"


@dataclass(frozen=True, repr=False)
class Simulation:
    """How long an inference takes on a cluster: simulated frame by frame.

    result: everything that the simulator counted.
    """

    result: SimResult
    cluster: Cluster

    @property
    def latency_ms(self) -> float:
        """Of the first input, from the host's start to its last byte of the output."""
        return self.result.latency_us / 1000

    @property
    def graph_ms(self) -> float:
        """Of it, from the first device that begins its graph to the last that ends it."""
        return self.result.graph_us[0] / 1000

    @property
    def throughput_per_s(self) -> float:
        """Inferences a second, of all teams."""
        return self.result.throughput_per_s

    @property
    def energy_mj(self) -> float | None:
        """Of all devices and inferences; None unless every board's power is known."""
        return self.result.energy_mj

    def __repr__(self) -> str:
        often = f"{self.throughput_per_s:.2f} a second; " if self.cluster.teams > 1 else ""
        return (
            f"{self.latency_ms:.2f} ms from the host and back, {self.graph_ms:.2f} ms of it the "
            f"graph; {often}{cluster_words(self.cluster)}; simulated"
        )

    def _repr_html_(self) -> str:
        head = ["rank", "board", "computes, ms", "sends, ms", "waits, ms"]
        rows = [
            [
                str(times.rank),
                self.cluster.devices[times.rank].board or self.cluster.devices[times.rank].name,
                f"{times.compute_us / 1000:.2f}",
                f"{times.send_us / 1000:.2f}",
                f"{times.wait_us / 1000:.2f}",
            ]
            for times in self.result.devices
        ]
        return html_table(repr(self), head, rows)


def html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a notebook; every text is escaped."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    text = f"<caption>{escape(caption)}</caption><thead><tr>{cells}</tr></thead>"
    return f"<table>{text}<tbody>{body}</tbody></table>"
