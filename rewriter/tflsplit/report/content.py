# SPDX-License-Identifier: Apache-2.0
"""Everything that a report shows, gathered from an output folder and a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tflsplit.bundle import Bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.runs import read_runs
from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError
from tflsplit.firmware.model import flash_model
from tflsplit.memory.arena import predict_arena
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.passes.prepare import prepare
from tflsplit.plan.cost.fit import Fit, fit_device
from tflsplit.planner.cost.memories import kernels_of
from tflsplit.report.beside import Beside, Divide, beside
from tflsplit.report.choices import Choices, choices
from tflsplit.report.figures import short_name
from tflsplit.report.gantt import bars_of, gantt_chart, gantt_data
from tflsplit.report.layers import LayerView, layer_views, spent
from tflsplit.report.links import WireView, payload_matrix, wire_views
from tflsplit.report.measured import RunView, run_views
from tflsplit.report.messages import message_data, path_data
from tflsplit.report.ram import RamSeries, ram_chart, ram_series
from tflsplit.report.simulated import figures_of, seed_run
from tflsplit.report.wiring import wiring_picture
from tflsplit.sim import DeviceTimes, SimResult, Why, alone_us, simulate, why
from tflsplit.split.devices import DeviceGraph

Progress = Callable[[str], None]


@dataclass(frozen=True)
class DeviceView:
    """One device.

    entry: of plan.json; fit: on the device of the cluster, with its kernels; times: simulated.
    """

    rank: int
    board: str
    entry: Json
    fit: Fit
    times: DeviceTimes
    ram: RamSeries
    ram_chart: Markup


@dataclass(frozen=True)
class Content:
    """What the page is made of.

    payload: [source][destination] bytes of tensors.
    left_out: files in runs/ that were not used, and why.
    charts: what the page's script shows when something is pointed at.
    choices: what one board, and each objective, would cost.
    reasons: where the time goes.
    wiring: how the boards are wired, drawn for a wide and for a narrow page.
    simulated: as ``report.simulated`` has it.
    """

    document: Json
    cluster: Cluster
    devices: tuple[DeviceView, ...]
    layers: tuple[LayerView, ...]
    simulation: SimResult
    gantt: Markup
    payload: list[list[int]]
    wires: list[WireView]
    runs: list[RunView]
    left_out: list[str]
    beside: list[Beside]
    charts: Json
    simulated: Json
    choices: Choices
    reasons: Why
    wiring: tuple[Markup, Markup]

    @property
    def fits(self) -> bool:
        """Whether every device has room."""
        return all(device.fit.fits for device in self.devices)

    @property
    def fullest(self) -> DeviceView:
        """The device whose arena takes most of its room."""
        return max(self.devices, key=lambda d: d.fit.arena_bytes / max(1, d.fit.arena_room_bytes))


def gather(
    bundle: Bundle,
    cluster: Cluster,
    sizes: Sequence[int],
    divide: Divide,
    progress: Progress = lambda stage: None,
) -> Content:
    """All of it.

    sizes: other numbers of devices to show beside; divide: splits the model over so many.
    Raises ClusterError if the cluster has another number of devices than the plan.
    """
    document, world_size = bundle.document, cluster.world_size
    if world_size != document["world_size"]:
        raise ClusterError(
            f"the cluster has {world_size} devices, {bundle.folder} is for "
            f"{document['world_size']}: describe that many, or write the folder again"
        )
    known = fold_constants(bundle.model)  # for the seed's scheme, which pads for itself
    progress("simulating")
    simulation = simulate(bundle.devices, cluster)
    progress("simulating flat splitting, to compare")
    simulated = figures_of(simulation, seed_run(known, cluster))
    whole = prepare(bundle.model)
    reasons = why(simulation, alone_us(whole, cluster))
    progress("looking for what one device, and other objectives, would take")
    others_cost = choices(bundle.model, cluster, search=bool(sizes))
    progress("predicting RAM")
    devices = _device_views(bundle, cluster, simulation)
    others: list[Beside] = []
    for one in beside(bundle.model, known, document, simulated, sizes, divide):
        others.append(one)
        progress(f"splitting for other numbers of devices, {one.world_size} done")
    runs, left_out = read_runs(bundle.folder, document["fingerprint"])
    bars = bars_of(simulation, world_size)
    places = [_layers_of_nodes(bundle, device) for device in bundle.devices]
    charts = {
        "gantt": gantt_data(bars, places),
        "messages": message_data(simulation, bundle.devices, places),
        "path": path_data(reasons, places),
        **_charts(bundle, simulation, devices),
    }
    return Content(
        document=document,
        cluster=cluster,
        devices=devices,
        layers=tuple(layer_views(bundle, whole, spent(bars, places))),
        simulation=simulation,
        gantt=gantt_chart(bars, simulation.latency_us),
        payload=payload_matrix(bundle.devices),
        wires=wire_views(simulation, world_size),
        runs=run_views(runs, document, simulation, cluster),
        left_out=left_out,
        beside=others,
        charts=charts,
        simulated=simulated,
        choices=others_cost,
        reasons=reasons,
        wiring=(wiring_picture(cluster, 4), wiring_picture(cluster, 1)),
    )


def _device_views(
    bundle: Bundle, cluster: Cluster, simulation: SimResult
) -> tuple[DeviceView, ...]:
    names = [layer["node"] for layer in bundle.document["layers"]]
    fits, series = [], []
    for entry, device in zip(bundle.document["devices"], bundle.devices, strict=True):
        spec = cluster.devices[device.rank]
        fit = fit_device(cluster, device.rank, device.graph, len(flash_model(device.graph)))
        arena = predict_arena(device.graph, spec.abi, kernels_of(spec))
        fits.append(fit)
        series.append(ram_series(device, arena, fit, entry["steps"]))
    return tuple(
        DeviceView(
            rank=rank,
            board=cluster.devices[rank].board or cluster.devices[rank].name,
            entry=bundle.document["devices"][rank],
            fit=fit,
            times=simulation.devices[rank],
            ram=ram,
            ram_chart=ram_chart(ram, names),
        )
        for rank, (fit, ram) in enumerate(zip(fits, series, strict=True))
    )


def _charts(bundle: Bundle, simulation: SimResult, views: Sequence[DeviceView]) -> Json:
    """What the page's script needs of layers and RAM."""
    both = zip(bundle.devices, views, strict=True)
    return {
        "layers": [short_name(layer["node"], 60) for layer in bundle.document["layers"]],
        "latency_us": simulation.latency_us,
        "ram": [_ram_data(device, view.ram) for device, view in both],
    }


def _layers_of_nodes(bundle: Bundle, device: DeviceGraph) -> dict[str, int]:
    """The layer that each local node works for."""
    index = {layer["node"]: at for at, layer in enumerate(bundle.document["layers"])}
    return {name: index[layer] for name, layer in device.steps.items()}


def _ram_data(device: DeviceGraph, ram: RamSeries) -> Json:
    return {
        "layers": list(ram.layers),
        "ops": [node.op.removeprefix("TFLSPLIT_") for node in device.graph.nodes],
        "live": list(ram.live_bytes),
        "scratch": list(ram.scratch_bytes),
        "tail": ram.tail_bytes,
    }
