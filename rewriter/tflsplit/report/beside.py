# SPDX-License-Identifier: Apache-2.0
"""Other numbers of devices, and the seed system's scheme, beside a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tflsplit.baseline import SeedCost, seed_scheme
from tflsplit.bundle.plan_json import Json, traffic_bytes
from tflsplit.cluster import Cluster
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.report.simulated import seed_run
from tflsplit.sim import SeedRun, simulate
from tflsplit.split.devices import DeviceGraph

Divide = Callable[[Graph, int], tuple[Sequence[DeviceGraph], Cluster]]
"""Splits a model over so many devices; UserError if that cannot be."""


@dataclass(frozen=True)
class Beside:
    """One number of devices; of each amount the largest device's, of traffic the sum.

    arena_bytes: head and tail on the 32-bit target with reference kernels, as in plan.json.
    live_bytes: activations alone, which is what the seed's figures count.
    latency_us: of one inference, simulated.
    seed: None where the scheme does not know an operator or type of the model.
    seed_latency_us: of one inference under the scheme, simulated; None: not known.
    why_not: why tflsplit's figures are missing; "" if they are not.
    """

    world_size: int
    arena_bytes: int | None
    live_bytes: int | None
    traffic_bytes: int | None
    macs: int | None
    latency_us: float | None
    seed: SeedCost | None
    seed_latency_us: float | None
    why_not: str = ""


def beside(
    model: Graph,
    whole: Graph,
    document: Json,
    simulated: Json,
    sizes: Sequence[int],
    divide: Divide,
) -> Iterator[Beside]:
    """The plan at hand and ``divide``'s for other numbers of devices, in order.

    model: what is divided; whole: the same, its shapes known, for the seed's scheme.
    document, simulated: of the plan at hand; the latter as ``report.simulated`` has it.
    """
    for world_size in sorted({*sizes, document["world_size"]}):
        seed = _seed(whole, world_size)
        if world_size == document["world_size"]:
            yield _planned(document, simulated, seed)
            continue
        try:
            devices, cluster = divide(model, world_size)
        except UserError as error:  # it does not fit on so few
            yield Beside(world_size, None, None, None, None, None, seed, None, str(error))
            continue
        yield _divided(devices, cluster, seed, seed_run(whole, cluster))


def _planned(document: Json, simulated: Json, seed: SeedCost | None) -> Beside:
    devices = document["devices"]
    return Beside(
        document["world_size"],
        max(entry["arena_bytes"] for entry in devices),
        max(entry["peak_live_bytes"] for entry in devices),
        sum(entry["sent_bytes"] for entry in devices),
        max(entry["macs"] for entry in devices),
        simulated["latency_us"],
        seed,
        simulated["seed"] and simulated["seed"]["latency_us"],
    )


def _divided(
    devices: Sequence[DeviceGraph], cluster: Cluster, seed: SeedCost | None, run: SeedRun | None
) -> Beside:
    return Beside(
        len(devices),
        max(predict_arena(device.graph).total_bytes for device in devices),
        max(peak_live_bytes(device.graph) for device in devices),
        sum(traffic_bytes(device.graph)[0] for device in devices),
        max(device.macs for device in devices),
        simulate(devices, cluster).latency_us,
        seed,
        None if run is None else run.latency_us,
    )


def _seed(whole: Graph, world_size: int) -> SeedCost | None:
    try:
        return seed_scheme(whole, world_size)
    except UserError:
        return None
