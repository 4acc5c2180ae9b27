# SPDX-License-Identifier: Apache-2.0
"""What a plan takes when it is simulated, and the seed system's scheme on the same devices.

One object, as a report's page holds it beside its plan.json and as ``compare`` reads it:

    {"latency_us": …, "graph_us": …, "wire_bytes": …, "frames": …, "energy_mj": …,
     "seed": {the same without graph_us} or null}
"""

from __future__ import annotations

from tflsplit.bundle import Bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError, ModelError
from tflsplit.ir import Graph
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.sim import SeedRun, SimResult, simulate, simulate_seed

FIGURES = ("latency_us", "graph_us", "wire_bytes", "frames", "energy_mj")
"""Keys of the object, in order."""

PLAN, SEED = "simulated", "flat splitting, simulated"
"""Whose figures they are, in a comparison."""


def simulate_bundle(bundle: Bundle, cluster: Cluster) -> Json:
    """Simulate an output folder and the scheme; errors as those of ``simulate``."""
    return figures_of(
        simulate(bundle.devices, cluster), seed_run(fold_constants(bundle.model), cluster)
    )


def seed_run(whole: Graph, cluster: Cluster) -> SeedRun | None:
    """The scheme; None where it does not know the model, or has too few ports for the devices."""
    try:
        return simulate_seed(whole, cluster)
    except (ClusterError, ModelError):
        return None


def figures_of(plan: SimResult, seed: SeedRun | None) -> Json:
    """The object."""
    wires = plan.between_devices()
    figures: Json = {
        "latency_us": plan.latency_us,
        "graph_us": plan.graph_us[0],
        "wire_bytes": wires.wire_bytes,
        "frames": wires.frames,
        "energy_mj": plan.energy_mj,
        "seed": None,
    }
    if seed is not None:
        document = seed.document()
        figures["seed"] = {key: document[key] for key in FIGURES if key in document}
    return figures
