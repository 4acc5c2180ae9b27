# SPDX-License-Identifier: Apache-2.0
"""What ``tflsplit simulate --why`` prints."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.cli.console import STDOUT, shortened, table
from tflsplit.ops.own.custom_options import SendOptions
from tflsplit.sim.why import CAUSES, Why, most
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire

_INTERVALS = 8


def print_why(reasons: Why, devices: Sequence[DeviceGraph]) -> None:
    """Cause by cause, then the longest intervals in which nothing on the path computes."""
    total_us, world_size = sum(reasons.shares_us.values()), len(devices)
    sent = _sent(devices)
    rows = [
        [cause, f"{us / 1000:.2f}", f"{100 * us / total_us:.0f} %", CAUSES[cause]]
        for cause, us in reasons.shares_us.items()
    ]
    rows.append(["latency", f"{total_us / 1000:.2f}", "100 %", ""])
    table("where the time goes: the critical path", ["<cause", "ms", "share", "<"], rows)
    if world_size > 1:
        STDOUT.print(f"{reasons.computing}\n")
    waits = [part for part in reasons.parts if part.cause not in ("compute", "input")]
    cells = [
        [
            "host" if part.rank == world_size else str(part.rank),
            part.cause,
            f"{(part.end_us - part.start_us) / 1000:.2f}",
            f"{part.start_us / 1000:.2f}",
            sent.get(part.what) or shortened(part.what),
        ]
        for part in most(waits, _INTERVALS)
    ]
    if cells:
        columns = ["rank", "<cause", "ms", "at ms", "<of"]
        table("its longest waits behind the first kernel", columns, cells)


def _sent(devices: Sequence[DeviceGraph]) -> dict[str, str]:
    """What goes over a channel, by the channel as the critical path names it."""
    return {
        f"channel {SendOptions.of(node).channel} from {device.rank}": (
            f"{shortened(node.operands[0].name)} from rank {device.rank}"
        )
        for device in devices
        for node in device.graph.nodes
        if node.op == wire.SEND
    }
