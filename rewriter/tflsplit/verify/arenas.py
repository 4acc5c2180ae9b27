# SPDX-License-Identifier: Apache-2.0
"""The planned arenas: against TFLM's own recording allocator, and with an inference in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import metadata

from tflsplit.ir import Value
from tflsplit.memory import HOST_64, measure_arena, predict_arena
from tflsplit.memory.arena import KERNEL_FLAVOURS
from tflsplit.runtime.engines import Array
from tflsplit.split.devices import DeviceGraph
from tflsplit.verify.replay import Replay

_TFLM = "tflite-micro"
_PINNED = re.compile(rf"{_TFLM}==([\w.]+)")


def arena_problems(devices: Sequence[DeviceGraph]) -> list[str]:
    """Every device graph whose arena TFLM allocates in another size than is predicted.

    The head is the same on every target; of the tail this confirms the formula, with this host's
    pointers (docs/arena.md).  Graphs with operators that nothing is known of are left out, and all
    of them where tflite-micro is not installed.
    Raises EngineError if TFLM refuses a graph.
    """
    problems = []
    for device in devices:
        here = predict_arena(device.graph, HOST_64, recording=True)
        measured = measure_arena(device.graph) if here.exact else None
        if measured is None:
            continue
        for what, predicted, found in (
            ("head", here.head_bytes, measured.head_bytes),
            ("tail", here.tail_bytes, measured.tail_bytes),
        ):
            if predicted != found:
                problems.append(
                    f"rank {device.rank}: the arena's {what} is predicted as {predicted} bytes "
                    f"here, but TFLM's recording allocator takes {found}" + another_build()
                )
    return problems


def another_build() -> str:
    """What to do if the TFLM that is installed is not the build that arenas are predicted for.

    ``""`` where it is that one, or where nothing says which that is (no distribution of tflsplit).
    """
    try:
        here, wishes = metadata.version(_TFLM), metadata.requires("tflsplit") or []
    except metadata.PackageNotFoundError:
        return ""
    wanted = next((found[1] for wish in wishes if (found := _PINNED.match(wish))), here)
    if here == wanted:
        return ""
    return (
        f": {_TFLM} {here} is installed, arenas are those of {wanted}: "
        f"pip install '{_TFLM}=={wanted}'"
    )


class ArenaWitness:
    """Replays inferences of device graphs in their arenas, as both flavours of kernels lay them."""

    def __init__(self, devices: Sequence[DeviceGraph]) -> None:
        plans = [
            [predict_arena(device.graph, kernels=kernels).plan for kernels in KERNEL_FLAVOURS]
            for device in devices
        ]
        self._replays = [
            [Replay(device.graph, plan) for plan in each]
            for device, each in zip(devices, plans, strict=True)
        ]

    def wanted(self, rank: int) -> list[Value]:
        """The tensors of a rank that ``problems`` must be told."""
        return self._replays[rank][0].wanted

    def problems(self, values: Sequence[Mapping[Value, Array]]) -> list[str]:
        """Everything that a rank would find overwritten; ``values``: by rank, of one inference."""
        found = {
            f"rank {rank}: arena: {text}": None
            for rank, replays in enumerate(self._replays)
            for replay in replays
            for text in replay.problems(values[rank])
        }
        return list(found)
