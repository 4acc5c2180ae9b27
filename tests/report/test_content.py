# SPDX-License-Identifier: Apache-2.0
"""What a report gathers: layers, payload, measured runs, what stands beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.pages import bundle_in, content_of, divide
from tests.splits import tiny
from tflsplit.baseline import seed_scheme
from tflsplit.bundle.runs import write_run
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.errors import ClusterError, PlanError
from tflsplit.ops import Box
from tflsplit.report.beside import beside
from tflsplit.report.content import Content
from tflsplit.report.layers import _parts, slices
from tflsplit.sim import simulate, simulate_seed


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return content_of(bundle_in(tmp_path, "mobilenet", 4), (2,))


def test_payload_adds_up_to_plan_json(content: Content):
    for rank, entry in enumerate(content.document["devices"]):
        assert sum(content.payload[rank]) == entry["sent_bytes"]
        assert sum(row[rank] for row in content.payload) == entry["received_bytes"]
        assert content.payload[rank][rank] == 0


def test_layers(content: Content):
    for view, entry in zip(content.layers, content.document["layers"], strict=True):
        assert view.entry == entry
        assert sum(part.percent for part in view.parts) == pytest.approx(100)
        for part in view.parts if "bounds" in entry else ():
            start, stop = entry["bounds"][part.rank], entry["bounds"][part.rank + 1]
            assert f"[{start}, {stop})" in part.text
        assert all(line.startswith("rank ") for line in view.lines())
    assert any(view.shards for view in content.layers)


def test_slices():
    box = Box.from_flat((0, 1, 3, 7, 0, 8, 0, 16))
    assert slices(box, (1, 14, 8, 16)) == "[:, 3:7, :, :]"


def test_beside(content: Content):
    two, four = content.beside
    assert (two.world_size, four.world_size) == (2, 4)
    devices = content.document["devices"]
    assert four.arena_bytes == max(device["arena_bytes"] for device in devices)
    assert four.traffic_bytes == sum(device["sent_bytes"] for device in devices)
    assert four.latency_us == content.simulation.latency_us
    graphs, cluster = divide(tiny("mobilenet"), 2)
    assert two.latency_us == simulate(graphs, cluster).latency_us
    assert two.macs is not None
    assert four.macs is not None
    assert two.macs > four.macs == max(device["macs"] for device in devices)
    for one in (two, four):
        assert one.seed == seed_scheme(tiny("mobilenet"), one.world_size)
        run = simulate_seed(tiny("mobilenet"), default_cluster(one.world_size))
        assert one.seed_latency_us == run.latency_us


def test_what_does_not_fit_on_so_few_is_said(content: Content):
    def refuse(model: object, world_size: int) -> object:
        raise ClusterError("too large for 1")

    model = tiny("mobilenet")
    simulated = {**content.simulated, "latency_us": 5.0}
    document = content.document
    one, four = beside(model, model, document, simulated, (1,), refuse)  # type: ignore[arg-type]
    assert one.arena_bytes is None
    assert one.why_not == "too large for 1"
    assert four.latency_us == 5.0
    assert (one.seed_latency_us, four.seed_latency_us) == (
        None,
        content.simulated["seed"]["latency_us"],
    )


def test_another_cluster_is_refused(tmp_path: Path):
    with pytest.raises(ClusterError, match="the cluster has 3 devices"):
        content_of(bundle_in(tmp_path, "ds_cnn", 2), cluster=default_cluster(3))


def test_runs_beside_predictions(tmp_path: Path):
    bundle = bundle_in(tmp_path, "ds_cnn", 2)
    fingerprint = bundle.document["fingerprint"]
    planned = bundle.document["devices"][1]
    device = {
        "rank": 1, "arena_used_bytes": planned["arena_bytes"] + 10, "graph_us": 900.0,
        "wait_us": 400.0, "sent_bytes": planned["sent_bytes"], "instructions": None,
    }  # fmt: skip
    wires = [{"a": 0, "b": 1, "bytes": 1000.0, "frames": 7.0}, {"a": 9, "b": 8, "bytes": 1.0}]
    figures = {
        "inferences": 3,
        "seconds": [1.0, 2.0],
        "devices": [device, {"rank": 7}],
        "wires": wires,
    }
    write_run(bundle.folder, "emulate", fingerprint, figures, same_bits=True)
    write_run(bundle.folder, "emulate", "another", figures)
    content = content_of(bundle)
    (run,) = content.runs
    assert len(content.left_out) == 1
    assert (run.kind, run.same_bits, run.inferences, run.seconds) == ("emulate", True, 3, 1.5)
    found = {(f.what, f.quantity): (f.predicted, f.measured) for f in run.figures}
    times = content.simulation.devices[1]
    assert found["rank 1", "arena used"] == (planned["arena_bytes"], planned["arena_bytes"] + 10)
    assert found["rank 1", "sent"] == (planned["sent_bytes"], planned["sent_bytes"])
    assert found["rank 1", "compute"] == (times.compute_us, 500.0)
    assert found["rank 1", "exchange"] == (times.send_us + times.wait_us, 400.0)
    wire = content.simulation.wires[0, 1]
    assert found["wire 0 → 1", "bytes"] == (wire.wire_bytes, 1000.0)
    assert found["wire 9 → 8", "bytes"] == (None, 1.0)
    assert ("rank 1", "instructions") not in found


def test_times_are_only_predicted_for_the_board_that_ran(tmp_path: Path):
    bundle = bundle_in(tmp_path, "ds_cnn", 2)
    device = {
        "rank": 0, "board": "mps2_an500", "graph_us": 900.0, "wait_us": 400.0,
        "compute_us": 500.0, "compute_instructions": 7812.5,
    }  # fmt: skip
    fingerprint = bundle.document["fingerprint"]
    write_run(bundle.folder, "emulate", fingerprint, {"devices": [device]})
    for cluster, is_same in ((default_cluster(2), False), (on_emulated_boards(2), True)):
        content = content_of(bundle, cluster=cluster)
        (run,) = content.runs
        found = {f.quantity: (f.predicted, f.measured) for f in run.figures}
        times = content.simulation.devices[0]
        assert found["compute"] == (times.compute_us if is_same else None, 500.0)
        # 64 ns an instruction: the clock of the board table.
        cycles = pytest.approx(times.compute_us / 0.064) if is_same else None
        assert found["instructions"] == (cycles, 7812.5)


def on_emulated_boards(world_size: int) -> Cluster:
    return default_cluster(world_size, board="mps2_an500")


def test_the_page_cannot_be_written(tmp_path: Path):
    from tflsplit.report.page import write_page

    (tmp_path / "file").write_text("")
    with pytest.raises(PlanError, match="cannot write"):
        write_page(tmp_path / "file" / "report.html", "x")
    write_page(tmp_path / "new" / "report.html", "x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["report.html"]


def test_cells_of_a_grid_are_shown_with_what_they_compute():
    entry = {
        "way": "grid",
        "factor": "rows",
        "bounds": [0, 4, 8],
        "cross_factor": "columns",
        "cross_bounds": [0, 1, 4],
        "extents": [[0, 5], [0, 4], [3, 8], [4, 8], [0, 0]],
        "cross_extents": [[0, 2], [1, 4], [0, 2], [1, 4], [0, 0]],
    }
    parts = _parts(entry, 5)
    assert [(part.rank, part.percent) for part in parts] == [
        (0, 12.5),
        (1, 37.5),
        (2, 12.5),
        (3, 37.5),
    ]
    assert parts[0].text == "rank 0: rows [0, 4), columns [0, 1), computes [0, 5) x [0, 2)"
    assert parts[1].text == "rank 1: rows [0, 4), columns [1, 4)"
