# SPDX-License-Identifier: Apache-2.0
"""A model that is divided over devices: run it, verify it, simulate it, show it, write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path

from tflsplit.api.reporting import Page, written_page
from tflsplit.api.results import Simulation, Verification, html_table
from tflsplit.api.running import Inference, Inputs, Runner
from tflsplit.bundle import Bundle, write_bundle
from tflsplit.bundle.folder import Contents
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.remembered import remembered_cluster
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.errors import PlanError, counted
from tflsplit.interpreters import naming
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array, engine
from tflsplit.sim import simulate
from tflsplit.verify import Case, verify_bundle


class SplitModel:
    """A model divided over devices, in memory or in a folder.

    bundle: model, device graphs and plan.json, as the other packages of tflsplit take them.
    """

    def __init__(
        self, bundle: Bundle, contents: Contents | None = None, whole: Graph | None = None
    ) -> None:
        """``contents``: of a folder that is not written; ``whole``: the graph that was split."""
        self.bundle = bundle
        self._contents = contents
        self._whole = whole

    @cached_property
    def whole(self) -> Graph:
        """The graph that was split: the model after its passes."""
        return prepare(self.bundle.model) if self._whole is None else self._whole

    @cached_property
    def _runner(self) -> Runner:
        return Runner(self.bundle, self.whole)

    @property
    def plan(self) -> Json:
        """plan.json: every layer, every device, all figures (docs/plan_json.md)."""
        return self.bundle.document

    @property
    def world_size(self) -> int:
        """How many devices the plan uses."""
        return len(self.bundle.devices)

    @property
    def left_out(self) -> tuple[int, ...]:
        """Ranks of the cluster asked for that need not be wired."""
        return tuple(self.plan.get("left_out", ()))

    @property
    def cluster(self) -> Cluster:
        """What the plan was made for; a ring of Teensy 4.1 if the folder does not say."""
        remembered = remembered_cluster(self.plan, self.bundle.folder)
        return remembered or default_cluster(self.world_size)

    @property
    def arena_bytes(self) -> int:
        """TFLM's tensor arena on the fullest device, on a 32-bit microcontroller."""
        return max(int(device["arena_bytes"]) for device in self.plan["devices"])

    @property
    def weights_bytes(self) -> int:
        """Constants of the device that holds most."""
        return max(int(device["weights_bytes"]) for device in self.plan["devices"])

    @property
    def _name(self) -> str:
        """What errors call it."""
        folder = self.bundle.folder
        return str(self.plan["model_name"]) if folder == Path() else str(folder)

    def run(self, inputs: Inputs, kernels: str | None = None) -> Array | tuple[Array, ...]:
        """All devices in this process; the model's output, a tuple of them if it has several.

        A model with state keeps it from call to call, as devices do.

        inputs: of the dtype that the model stores, or float32, which is quantized as its input
            says; a missing batch dimension is added.
        kernels: "tflm", or "litert" where TFLM's wheel does not exist.
        Raises InputError for what does not fit, EngineError if the kernels are not installed.
        """
        outputs = self.infer(inputs, kernels).outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def infer(
        self, inputs: Inputs, kernels: str | None = None, processes: bool = False
    ) -> Inference:
        """As ``run``, and what each device sent and received.

        processes: one process for each device, joined by sockets; state is not kept then.
        Raises LinkError if one of those ends.
        """
        with naming(self._name):
            return self._runner.infer(inputs, kernels, processes)

    def verify(
        self,
        runs: int = 20,
        seed: int = 0,
        kernels: str | None = None,
        progress: Callable[[Case], None] = lambda case: None,
    ) -> Verification:
        """Every tensor of every device against the unsplit model, for equality.

        runs: seeded inputs beside the edge cases.  Raises EngineError as ``run`` does.
        """
        name, make = engine(kernels)
        with naming(self._name):
            verdict = verify_bundle(self.bundle, name, make, runs, seed, progress)
        return Verification(verdict, self.world_size)

    def simulate(
        self,
        inputs: int = 1,
        cluster: Cluster | None = None,
        error_rate: float = 0.0,
        seed: int = 0,
        in_flight: int = 1,
    ) -> Simulation:
        """Time, bytes and energy of so many inferences, frame by frame.

        cluster: instead of the one that the plan was made for.
        error_rate: of bytes damaged on the wires; seed: of these.
        Raises PlanError if the cluster has another number of devices.
        """
        on = self.cluster if cluster is None else cluster
        result = simulate(self.bundle.devices, on, inputs, error_rate, seed, in_flight)
        return Simulation(result, on)

    def report(
        self,
        path: str | PathLike[str],
        cluster: Cluster | None = None,
        beside: Sequence[int] = (),
        progress: Callable[[str], None] = lambda stage: None,
    ) -> Page:
        """Write the page that shows the plan, one file for a browser without a network.

        beside: other numbers of the same devices to show beside, each of which is planned anew.
        progress: is told what is being done.
        Raises EngineError without Jinja2, PlanError if the file cannot be written.
        """
        return written_page(self.bundle, cluster or self.cluster, Path(path), beside, progress)

    def save(self, folder: str | PathLike[str], force: bool = False) -> SplitModel:
        """Write what ``tflsplit rewrite`` writes: graphs, plan.json, a PlatformIO project.

        force: over changed files of an earlier output, and beside what tflsplit did not write.
        Returns the split model of that folder.  Raises PlanError if it may not be written, or if
        this split model was read from a folder (copy that).
        """
        if self._contents is None:
            raise PlanError(f"{self.bundle.folder} holds this already; copy the folder")
        write_bundle(Path(folder), self._contents, force)
        bundle = Bundle(Path(folder), self.plan, self.bundle.model, self.bundle.devices)
        return SplitModel(bundle, self._contents, self._whole)

    def __repr__(self) -> str:
        return (
            f"{self.plan['model_name']} on {counted(self.world_size, 'device')}: at most "
            f"{self.arena_bytes / 1024:.1f} KiB of arena and {self.weights_bytes / 1024:.1f} KiB "
            f"of weights on each, {self._sent_bytes() / 1024:.1f} KiB sent per inference"
        )

    def _sent_bytes(self) -> int:
        return sum(int(device["sent_bytes"]) for device in self.plan["devices"])

    def _repr_html_(self) -> str:
        head = ["rank", "board", "arena, KiB", "weights, KiB", "sent, KiB", "MACs, M"]
        boards = [device.board or device.name for device in self.cluster.devices]
        rows = [
            [
                str(entry["rank"]),
                boards[entry["rank"]],
                *(
                    f"{entry[key] / 1024:.1f}"
                    for key in ("arena_bytes", "weights_bytes", "sent_bytes")
                ),
                f"{entry['macs'] / 1e6:.2f}",
            ]
            for entry in self.plan["devices"]
        ]
        return html_table(repr(self), head, rows)
