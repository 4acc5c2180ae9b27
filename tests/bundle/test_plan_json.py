# SPDX-License-Identifier: Apache-2.0
"""plan.json has the keys and types that docs/plan_json.md promises, and its numbers are right."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from models.tiny import NETWORKS
from tests.bundles import bundle_of, device_graph, plan_of
from tests.splits import tiny
from tflsplit import __version__
from tflsplit.bundle.remembered import remember
from tflsplit.cluster import default_cluster
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import graph_macs
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions
from tflsplit.passes.prepare import prepare
from tflsplit.wire.custom_ops import RECV, SEND

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = {"factor", "bounds", "extents", "scatter_factor", "scatter_bounds", "rank"}
OPTIONAL |= {"sum_tiles", "gather_tiles", "streamed", "scratch_limit_bytes"}
OPTIONAL |= {"window_columns", "chained", "tile_bounds", "sweeps"}
OPTIONAL |= {"cross_factor", "cross_bounds", "cross_extents"}
BANKS = {"arena_main_bytes": 4096, "arena_banks_bytes": [4096]}  # of a device that has some


def documented() -> dict[str, dict[str, str]]:
    """Keys and types of docs/plan_json.md, by section."""
    sections: dict[str, dict[str, str]] = {}
    section = ""
    for line in (ROOT / "docs" / "plan_json.md").read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0].startswith("`"):
            for key in re.findall(r"`([^`]+)`", cells[0]):
                full = key.replace("…", "host_arena") if key.startswith("…") else key
                sections.setdefault(section, {})[full] = cells[1].strip("`")
    return sections


def fits(value: Any, wanted: str) -> bool:
    """Whether a value is of the type that the document names."""
    if wanted.endswith(" or null"):
        return value is None or fits(value, wanted.removesuffix(" or null"))
    if wanted == "":
        return True
    if wanted.startswith('"'):
        return bool(value == wanted.strip('"'))
    if "hex digits" in wanted:
        count = int(wanted.split()[0])
        return re.fullmatch(f"[0-9a-f]{{{count}}}", value) is not None
    if wanted.startswith("integer") and not wanted.startswith("integers"):
        return type(value) is int
    if wanted == "string":
        return isinstance(value, str)
    if wanted == "boolean":
        return isinstance(value, bool)
    if wanted == "object":
        return isinstance(value, dict)
    return isinstance(value, (list, str)) if "like" in wanted else isinstance(value, list)


def check(entry: dict[str, Any], wanted: dict[str, str], optional: set[str]) -> None:
    assert set(entry) <= set(wanted), "keys that are not documented"
    assert set(wanted) - optional <= set(entry), "documented keys that are missing"
    for key, value in entry.items():
        assert fits(value, wanted[key]), (key, value, wanted[key])


@pytest.fixture(params=["mobilenet", "temporal"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "out", request.param)


def test_every_key_is_documented_and_every_documented_key_is_there(folder: Path):
    document, wanted = plan_of(folder), documented()
    assert {"Top level", "A layer", "A device"} <= set(wanted)
    request = remember(default_cluster(4), "latency", (5,))
    check({**document, **request}, wanted["Top level"], {"mtu_bytes", "arena_rooms"})
    check(document, wanted["Top level"], {*request, "mtu_bytes", "arena_rooms"})
    for layer in document["layers"]:
        check(layer, wanted["A layer"], OPTIONAL)
    for device in document["devices"]:
        check(device, wanted["A device"], set(BANKS))
        check({**device, **BANKS}, wanted["A device"], set())
    banked = {**document, "arena_rooms": [[9, 9]]}
    check(banked, wanted["Top level"], {*request, "mtu_bytes"})


def test_a_missing_key_and_a_wrong_type_are_seen():
    wanted = documented()["A layer"]
    document = {"node": "x", "op": "ADD", "way": "rows", "macs": 3, "weights_bytes": 0}
    complete = {**document, "output_shape": [1], "reason": ""}
    check(complete, wanted, OPTIONAL)
    for broken in ({**complete, "macs": "3"}, {**complete, "more": 1}, document):
        with pytest.raises(AssertionError):
            check(broken, wanted, OPTIONAL)


def test_what_the_first_issue_asks_for(folder: Path):
    document = plan_of(folder)
    assert document["world_size"] == 4 == len(document["devices"])
    assert re.fullmatch("[0-9a-f]{32}", document["fingerprint"])
    sha256 = hashlib.sha256((folder / "model.tflite").read_bytes()).hexdigest()
    assert document["model_sha256"] == sha256
    assert document["tflsplit_version"] == __version__
    for entry in document["devices"]:
        assert entry["arena_bytes"] == entry["arena_head_bytes"] + entry["arena_tail_bytes"]
        assert entry["arena_bytes"] <= entry["arena_required_bytes"]
        assert entry["arena_head_bytes"] >= entry["peak_live_bytes"] > 0


def test_numbers_of_a_device_are_those_of_its_graph(folder: Path):
    for rank, entry in enumerate(plan_of(folder)["devices"]):
        graph = device_graph(folder, rank)
        sends = [(SendOptions.of(n), n.input(0)) for n in graph.nodes if n.op == SEND]
        recvs = [(RecvOptions.of(n), n.output) for n in graph.nodes if n.op == RECV and n.outputs]
        assert entry["nodes"] == len(graph.nodes)
        assert entry["sent_bytes"] == sum(
            box.size * x.dtype.itemsize for options, x in sends for box in options.boxes
        )
        assert entry["received_bytes"] == sum(
            p.box.size * y.dtype.itemsize for options, y in recvs for p in options.pieces
        )
        assert entry["peak_live_bytes"] == peak_live_bytes(graph)
        assert entry["file_bytes"] == (folder / entry["file"]).stat().st_size
        assert entry["weights_bytes"] == sum(v.size_bytes for v in unique_constants(graph))


def unique_constants(graph: Any) -> list[Any]:
    return list({id(value.data): value for value in graph.constants()}.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_those_of_the_model(name: str, tmp_path: Path):
    document = plan_of(bundle_of(tmp_path / "out", name, 3))
    graph = prepare(tiny(name))
    assert [layer["node"] for layer in document["layers"]] == [n.name for n in graph.nodes]
    assert [layer["op"] for layer in document["layers"]] == [n.op for n in graph.nodes]
    assert sum(layer["macs"] for layer in document["layers"]) == graph_macs(graph)
    for layer, node in zip(document["layers"], graph.nodes, strict=True):
        assert layer["output_shape"] == list(node.output.shape)
        assert ("bounds" in layer) == ("factor" in layer)
        sums = layer.get("factor", "").startswith("in_")
        assert ("scatter_bounds" in layer) == sums
        assert ("rank" in layer) == (layer["way"] == "whole")
        if "bounds" in layer:
            assert len(layer["bounds"]) == 4
    assert [tensor["tensor"] for tensor in document["outputs"]] == [v.name for v in graph.outputs]


def test_the_fingerprint_changes_with_model_plan_and_world_size(tmp_path: Path):
    found = {
        plan_of(bundle_of(tmp_path / f"{name}{n}{split}", name, n, split))["fingerprint"]
        for name in ("ds_cnn", "resnet")
        for n in (2, 3)
        for split in ("rows", "out_channels")
    }
    assert len(found) == 8


def test_people_can_read_it(folder: Path):
    """A line for each layer and each device's numbers: diffs stay small."""
    lines = (folder / "plan.json").read_text().splitlines()
    assert max(map(len, lines)) < 20_000
    layers = [line for line in lines if '"reason"' in line or line.strip().startswith('"node"')]
    assert len(layers) >= len(plan_of(folder)["layers"])
    assert all(char.isprintable() for line in lines for char in line)
