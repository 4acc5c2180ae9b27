# SPDX-License-Identifier: Apache-2.0
"""Discrete-event simulation of device graphs on a cluster, frame by frame.

    program       a device graph as steps: compute, post, receive
    channel       one direction of a wire: time, damage, counters
    link          one end: selective repeat, credits, POLL and STATUS (``link.h`` of split_core)
    communicator  messages: GRANT, DATA, multicast (``communicator.h``)
    node          links and router: forwarding, and when it polls (``router.h``)
    polling       what polls from a timer take from a kernel
    network       all nodes of a cluster and the host
    processes     devices and host
    run           all of it, from device graphs
    trace         what caused what; why: the critical path that follows from it
    seed          the seed system's scheme as programs, on the same devices

The rules are those of docs/wire_format.md and of ``tflm_app/lib/split_core``; what is simpler is
said where it is.  SimPy runs the events: devices are its processes, frames its time-outs.
"""

from tflsplit.sim.result import DeviceTimes, SimResult, Span, WireCount
from tflsplit.sim.run import simulate
from tflsplit.sim.seed import SeedRun, simulate_seed
from tflsplit.sim.why import Why, alone_us, why

__all__ = [
    "DeviceTimes",
    "SeedRun",
    "SimResult",
    "Span",
    "Why",
    "WireCount",
    "alone_us",
    "simulate",
    "simulate_seed",
    "why",
]
