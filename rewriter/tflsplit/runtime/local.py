# SPDX-License-Identifier: Apache-2.0
"""All devices of a set in this process, taking turns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import Graph, Value
from tflsplit.runtime.device import Device
from tflsplit.runtime.engines import Array, Engine, LitertProgram
from tflsplit.runtime.rounding import DenseScales, dense_sums
from tflsplit.runtime.steps import Step, compile_graph
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.host_boxes import HostBox, host_boxes


@dataclass
class Mailboxes:
    """Boxes under way between devices of one process."""

    waiting: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def port(self, rank: int) -> _Port:
        """One rank's access."""
        return _Port(self, rank)


@dataclass
class _Port:
    boxes: Mailboxes
    rank: int

    def post(self, channel: int, to: int, data: Array) -> None:
        self.boxes.waiting[channel, to] = data.tobytes()

    def take(self, channel: int, source: int) -> bytes | None:
        return self.boxes.waiting.pop((channel, self.rank), None)


class LocalCluster:
    """Runs a set of device graphs on one engine, in one process."""

    def __init__(
        self,
        devices: Sequence[DeviceGraph],
        engine: Engine,
        keep: Sequence[Collection[Value]] | None = None,
    ) -> None:
        """Compile every device graph.

        Raises EngineError if the engine refuses a part of one, ModelError if one is malformed.

        keep: for each rank, tensors to be found in its ``values`` after each inference.
        """
        self._mailboxes = mailboxes = Mailboxes()
        dense = dense_results(devices, engine)
        self.parts = tuple(devices)
        self.devices = [
            Device(
                part.rank,
                part.graph,
                compile_device(part, engine, keep[part.rank] if keep else (), dense[part.rank]),
                mailboxes.port(part.rank),
            )
            for part in devices
        ]

    def infer(self, inputs: dict[str, Array]) -> None:
        """One inference; results are in the devices.

        inputs: whole model inputs by tensor name, each device is given its part.
        """
        for each, array in given_by_host(self.parts, inputs):
            self._mailboxes.port(len(self.parts)).post(each.channel, each.rank, array)
        running = {
            device.rank: device.infer(scatter(part, inputs))
            for device, part in zip(self.devices, self.parts, strict=True)
        }
        while running:
            before = self._progress()
            for rank in list(running):
                if next(running[rank], "done") == "done":
                    del running[rank]
            if running and self._progress() == before:
                raise InternalError(f"ranks {sorted(running)} wait for each other")

    def _progress(self) -> int:
        return sum(device.sent_bytes + device.received_bytes for device in self.devices)


def dense_results(devices: Sequence[DeviceGraph], engine: Engine) -> list[dict[str, DenseScales]]:
    """For each rank, the results that this engine rounds in a way of its own."""
    if engine is not LitertProgram:
        return [{} for _ in devices]
    return dense_sums([device.graph for device in devices])


def compile_device(
    part: DeviceGraph,
    engine: Engine,
    keep: Collection[Value] = (),
    dense: Mapping[str, DenseScales] = MappingProxyType({}),
) -> list[Step]:
    """``compile_graph``, with the rank in what it says of a malformed graph."""
    try:
        return compile_graph(part.graph, engine, keep, dense)
    except ModelError as error:
        raise ModelError(f"rank {part.rank}: {error}") from None


def scatter(part: DeviceGraph, inputs: dict[str, Array]) -> list[Array]:
    """What the host sends one device: its box of each model input that it reads."""
    arrays = []
    for value in part.graph.inputs:
        shard = part.shards[value.name]
        arrays.append(np.ascontiguousarray(inputs[shard.tensor][shard.box.slices]))
    return arrays


def given_by_host(
    parts: Sequence[DeviceGraph], inputs: Mapping[str, Array]
) -> Iterator[tuple[HostBox, Array]]:
    """The host's messages of one inference where inputs are streamed, in order."""
    for each in host_boxes(parts):
        yield each, np.ascontiguousarray(inputs[each.tensor][each.box.slices])


def assemble(
    whole: Graph,
    labels: dict[Value, str],
    parts: Sequence[DeviceGraph],
    outputs: Sequence[Sequence[Array]],
) -> list[Array]:
    """The model's outputs from what each rank returned."""
    results = {
        labels[value]: np.zeros(value.shape, value.dtype.numpy)
        for value in whole.outputs
        if not value.is_constant
    }
    for part, arrays in zip(parts, outputs, strict=True):
        for value, array in zip(part.graph.outputs, arrays, strict=True):
            shard = part.shards[value.name]
            results[shard.tensor][shard.box.slices] = array
    return [results[labels[value]] if value.data is None else value.data for value in whole.outputs]
