# SPDX-License-Identifier: Apache-2.0
"""A trial: a random network, rewritten in a random way, checked, and compared with unsplit TFLM."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.random_models.generate import random_network
from tests.random_models.plans import random_plan
from tflsplit.bundle import read_bundle
from tflsplit.cluster import Cluster, Topology, default_cluster, known_board
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph
from tflsplit.plan.spec import Plan
from tflsplit.plan.wishes import RUN_WAYS, Wishes
from tflsplit.planner import OBJECTIVES, Planner
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import engine
from tflsplit.tflite import write_model
from tflsplit.verify import verify_bundle

_BOARDS = ("teensy41", "teensy41", "pico", "nano33ble", "esp32s3")


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    way: how the plan was made, for people; problem: "" if every bit was equal.
    """

    seed: int
    way: str
    problem: str = ""
    fits: bool = True


def run_trial(seed: int) -> Outcome:
    """The trial of a seed; raises whatever the tool raises that it should not."""
    way, wishes = _way(_rng(seed))
    name, make = engine("tflm")
    with tempfile.TemporaryDirectory() as temporary:
        model, folder = Path(temporary, f"random_{seed}.tflite"), Path(temporary, "split")
        model.write_bytes(write_model(random_network(seed)))
        try:
            rewrite(model, folder, wishes)
        except ClusterError:  # a limit was drawn that the network does not fit
            return Outcome(seed, way, fits=False)
        verdict = verify_bundle(read_bundle(folder), name, make, runs=1, seed=seed)
    problem = "" if verdict.passed else str(verdict.mismatch or verdict.problems)
    return Outcome(seed, way, problem)


def way_of_trial(seed: int) -> str:
    """How a trial makes its plan."""
    return _way(_rng(seed))[0]


def _rng(seed: int) -> random.Random:
    return random.Random(f"trial {seed}")


def _way(rng: random.Random) -> tuple[str, Wishes | Callable[[Graph], Plan]]:
    """A number of devices, and what divides the network over them."""
    count = rng.choice([1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8, 11, 16, 33, 64])
    draw = rng.random()
    if draw < 0.25:
        split, stock = rng.choice(list(RUN_WAYS)), rng.random() < 0.3
        split = "auto" if split == "in_channels" and stock else split
        shares = _shares(rng, count) if rng.random() < 0.3 else ()
        wishes = Wishes(
            count, split, shares=shares, stock_kernels=stock, fuse=not stock and rng.random() < 0.5
        )
        return f"-n {count} --manual split={split}{' stock-kernels' if stock else ''}", wishes
    if draw < 0.6:
        stock, fuse = rng.random() < 0.3, rng.random() < 0.5
        return (
            f"any plan for {count}",
            lambda graph: random_plan(graph, count, rng, stock, fuse and not stock),
        )
    objective, cluster = rng.choice(OBJECTIVES), _cluster(rng, min(count, 16))
    return (
        f"-n {cluster.world_size} --objective {objective} ({cluster.topology.value})",
        lambda graph: Planner(graph, cluster).best(objective).plan,
    )


def _shares(rng: random.Random, count: int) -> tuple[float, ...]:
    numbers = [rng.choice([0, 1, 1, 2, 5]) for _ in range(count)]
    numbers[rng.randrange(count)] = 3
    return tuple(number / sum(numbers) for number in numbers)


def _cluster(rng: random.Random, count: int) -> Cluster:
    cluster = default_cluster(count, rng.choice(["uart", "spi"]))
    board, mixed = rng.choice(_BOARDS), rng.random() < 0.3
    devices = [known_board(rng.choice(_BOARDS) if mixed else board) for _ in range(count)]
    if rng.random() < 0.6:  # so slow that it pays to divide even these
        devices = [replace(device, clock_hz=device.clock_hz // 100) for device in devices]
    if rng.random() < 0.3:
        limit = rng.choice([3000, 6000, 12000, 40000])
        devices = [replace(device, arena_limit_bytes=limit) for device in devices]
    if rng.random() < 0.3:
        limit = rng.choice([2000, 6000, 20000])
        devices = [replace(device, weights_limit_bytes=limit) for device in devices]
    topology = rng.choice([Topology.RING, Topology.RING, Topology.LINE, Topology.STAR])
    return replace(cluster, devices=tuple(devices), topology=topology)
