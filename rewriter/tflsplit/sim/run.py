# SPDX-License-Identifier: Apache-2.0
"""``simulate``: what goes in is checked, and ``processes`` run it."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.check.schedule import multicast_hold_us
from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError, PlanError
from tflsplit.sim.network import NetworkOptions
from tflsplit.sim.processes import Simulation
from tflsplit.sim.program import Program, program_of
from tflsplit.sim.result import SimResult
from tflsplit.split.devices import DeviceGraph

MAX_ERROR_RATE = 1e-3


def simulate(
    devices: Sequence[DeviceGraph],
    cluster: Cluster,
    inputs: int = 1,
    error_rate: float = 0.0,
    seed: int = 0,
    in_flight: int = 1,
) -> SimResult:
    """Run ``devices`` on ``cluster``.

    inputs: how many, one after the other; in_flight: 2: the host sends the next one while one is
        computed, as devices ask for it: with ``Cluster.ahead`` meanwhile, else when that has ended.
    error_rate: the probability that a byte on a wire is damaged, and with it its frame; seed: of
        that chance.
    Raises PlanError if the graphs are not for so many devices, ClusterError for an impossible
    number, InternalError if the schedule stands still (the checker refuses such graphs).
    """
    if len(devices) != cluster.world_size:
        raise PlanError(
            f"the graphs are for {len(devices)} devices, the cluster has {cluster.world_size}"
        )
    programs = [program_of(d, h) for d, h in zip(devices, cluster.devices, strict=True)]
    # As in the generated firmware: a box leaves once for all wherever that cannot stop anything.
    hold_us = multicast_hold_us(devices, float("inf"))
    network = NetworkOptions(error_rate, seed, hold_us=hold_us)
    return run_programs(programs, cluster, inputs, in_flight, network)


def run_programs(
    programs: Sequence[Program],
    cluster: Cluster,
    inputs: int = 1,
    in_flight: int = 1,
    network: NetworkOptions | None = None,
) -> SimResult:
    """Run programs, one for each device; arguments and errors as those of ``simulate``."""
    if network is not None and not 0 <= network.error_rate <= MAX_ERROR_RATE:
        raise ClusterError(
            f"an error rate of {network.error_rate} is out of range: from 0 to {MAX_ERROR_RATE} "
            "(of bytes damaged; above, hardly a frame arrives)"
        )
    if inputs < 1:
        raise ClusterError("at least one input must be simulated")
    if in_flight not in (1, 2):
        raise ClusterError("a host has one or two inferences in flight")
    return Simulation(programs, cluster, inputs, in_flight, network or NetworkOptions()).run()
