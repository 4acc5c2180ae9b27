# SPDX-License-Identifier: Apache-2.0
"""Split against unsplit on the same engine: equality, never a tolerance.

Every tensor is compared, not just the outputs, in the model's own order and on every device: the
shard that a device owns and the copies that it assembled.  So the first difference that is
reported is where things went wrong, not where they became visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tflsplit.bundle import Bundle
from tflsplit.check.device_graphs import check_devices
from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.stock.state import has_state
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array, Engine
from tflsplit.runtime.local import LocalCluster, assemble
from tflsplit.split.devices import DeviceGraph, Shard
from tflsplit.verify.arenas import ArenaWitness, arena_problems
from tflsplit.verify.document import check_document
from tflsplit.verify.inputs import Case, make_cases
from tflsplit.verify.reference import Reference, differing
from tflsplit.verify.unwritten import Mask


@dataclass(frozen=True)
class Mismatch:
    """The first element that differs.

    index: coordinates in the model's whole tensor.
    differing: how many elements of this device's part of the tensor differ.
    """

    case: str
    tensor: str
    layer: str
    op: str
    rank: int
    local_tensor: str
    index: tuple[int, ...]
    expected: float
    got: float
    differing: int
    size: int

    def __str__(self) -> str:
        return (
            f"tensor {self.tensor!r} of {self.op} {self.layer!r} differs on rank {self.rank} "
            f"(its {self.local_tensor!r}) at {list(self.index)}: {self.got:g} instead of "
            f"{self.expected:g}; {self.differing} of {self.size} elements differ; "
            f"input: {self.case}"
        )


@dataclass(frozen=True)
class Verdict:
    """The result of a verification.

    problems: what is wrong whatever the results: the static checker's, of the arenas, or of
        channels that were dropped as constant.
    cases: inputs that were compared, up to and with the first mismatch.
    elements: how many elements were compared in all.
    has_state: the model remembers something of each inference: the cases are a sequence.
    """

    engine: str
    problems: tuple[str, ...]
    cases: int
    tensors: int
    elements: int
    mismatch: Mismatch | None
    has_state: bool = False

    @property
    def passed(self) -> bool:
        """Whether all was equal and the graphs belong together."""
        return self.mismatch is None and not self.problems


def verify_bundle(
    bundle: Bundle,
    engine_name: str,
    engine: Engine,
    runs: int,
    seed: int,
    progress: Callable[[Case], None] = lambda case: None,
) -> Verdict:
    """Verify an output folder; see ``verify_devices``."""
    whole = prepare(bundle.model)
    problems = tuple(check_document(whole, bundle.document, bundle.devices))
    if problems:
        return Verdict(engine_name, problems, 0, 0, 0, None)
    cases = make_cases(whole, runs, seed)
    return verify_devices(whole, bundle.devices, engine_name, engine, cases, progress, bundle.model)


def verify_devices(
    whole: Graph,
    devices: Sequence[DeviceGraph],
    engine_name: str,
    engine: Engine,
    cases: Iterable[Case],
    progress: Callable[[Case], None] = lambda case: None,
    model: Graph | None = None,
) -> Verdict:
    """Compare device graphs of ``whole`` with the unsplit model on every case, until one differs.

    model: what ``whole`` was before its passes, as it was read; ``whole`` itself if not given.
    The cases are inferences one after another: what has state keeps it between them.
    First the graphs are checked without being run, and on TFLM their arenas are allocated; then
    every inference that was equal is replayed in the arenas.
    Raises EngineError if the engine refuses a graph, InternalError if the devices wait for each
    other (which the static checker would have said before).
    """
    problems = tuple(check_devices(whole, devices))
    if engine_name == "tflm" and not problems:
        problems = tuple(arena_problems(devices))
    if problems:
        return Verdict(engine_name, problems, 0, 0, 0, None)
    reference = Reference(model or whole, whole, engine)
    watched, witness = [_watched(device) for device in devices], ArenaWitness(devices)
    keep = [[*(v for v, _ in each), *witness.wanted(rank)] for rank, each in enumerate(watched)]
    try:
        cluster = LocalCluster(devices, engine, keep)
    except ModelError as error:  # an operator of ours that contradicts itself
        return Verdict(engine_name, (str(error),), 0, 0, 0, None)
    order = _comparison_order(reference, watched)
    done = elements = 0
    for case in cases:
        progress(case)
        expected, void = reference.run(case.inputs)
        cluster.infer(case.inputs)
        done += 1
        if reference.problems:
            return Verdict(engine_name, reference.problems[:5], done, len(order), elements, None)
        for rank, local, shard in order:
            want = expected[shard.tensor][shard.box.slices]
            got = cluster.devices[rank].values[local]
            elements += got.size
            means_nothing = void[shard.tensor][shard.box.slices] if shard.tensor in void else None
            different = differing(want, got, means_nothing)
            if different is not None:
                node = reference.producer(shard.tensor)
                found = _mismatch(case, node, rank, local, shard, want, got, different)
                return Verdict(engine_name, (), done, len(order), elements, found)
        assembled = assemble(
            whole, reference.labels, devices, [device.outputs for device in cluster.devices]
        )
        _assert_outputs(reference, expected, void, assembled)
        problems = tuple(witness.problems([device.values for device in cluster.devices]))
        if problems:
            return Verdict(engine_name, problems, done, len(order), elements, None)
    sequence = any(map(has_state, whole.nodes))
    return Verdict(engine_name, (), done, len(order), elements, None, sequence)


def _watched(device: DeviceGraph) -> list[tuple[Value, Shard]]:
    return [
        (value, device.shards[value.name])
        for value in device.graph.values()
        if not value.is_constant and value.name in device.shards
    ]


def _comparison_order(
    reference: Reference, watched: Sequence[Sequence[tuple[Value, Shard]]]
) -> list[tuple[int, Value, Shard]]:
    """Every watched tensor in the model's order; what a device owns before what it gathered."""
    order = [(rank, value, shard) for rank, pairs in enumerate(watched) for value, shard in pairs]
    positions = {shard.tensor: reference.position(shard.tensor) for _, _, shard in order}
    return sorted(order, key=lambda item: (positions[item[2].tensor], not item[2].owned))


def _mismatch(
    case: Case,
    node: Node | None,
    rank: int,
    local: Value,
    shard: Shard,
    want: Array,
    got: Array,
    different: Mask,
) -> Mismatch:
    first = np.unravel_index(int(np.argmax(different)), different.shape)
    return Mismatch(
        case=case.name,
        tensor=shard.tensor,
        layer=node.name if node else shard.tensor,
        op=node.op if node else "input",
        rank=rank,
        local_tensor=local.name,
        index=tuple(int(i) + o for i, o in zip(first, shard.box.origin, strict=True)),
        expected=float(want[first]),
        got=float(got[first]),
        differing=int(different.sum()),
        size=int(got.size),
    )


def _assert_outputs(
    reference: Reference,
    expected: dict[str, Array],
    void: dict[str, Mask],
    assembled: Sequence[Array],
) -> None:
    """The assembled outputs are made of shards that were just compared: a bug if they differ."""
    for value, array in zip(reference.whole.outputs, assembled, strict=True):
        label = reference.labels.get(value, "")
        want = value.data if value.data is not None else expected[label]
        assert differing(want, array, void.get(label)) is None, value
