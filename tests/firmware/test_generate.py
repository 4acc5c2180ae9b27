# SPDX-License-Identifier: Apache-2.0
"""What the generator writes for a device set; no compiler and no PlatformIO."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of
from tflsplit.bundle import read_bundle
from tflsplit.errors import ClusterError, PlanError, UnsupportedOpError
from tflsplit.firmware import (
    BOARDS,
    FirmwareOptions,
    board_named,
    choose_nodes,
    firmware_files,
    write_firmware,
)
from tflsplit.firmware.generate import device_sources
from tflsplit.firmware.project import nodes_ini
from tflsplit.firmware.resolver import method_of, resolver_calls
from tflsplit.ir import Graph, Node
from tflsplit.memory.arena import predict_arena
from tflsplit.tflite.support import TFLM_BUILTINS
from tflsplit.wire.topology import Topology

NO_TREE: dict[str, Any] = {"tflm_dir": None}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return read_bundle(bundle_of(tmp_path_factory.mktemp("firmware") / "four", world_size=4))


def generate(bundle, **options):
    chosen = FirmwareOptions(**{"boards": ("mps2_an500",), **NO_TREE, **options})
    return firmware_files(bundle.document, bundle.devices, chosen)


def test_every_device_gets_its_sources(bundle):
    files = generate(bundle)
    expected = {"firmware.json", "firmware/node0/application.h"} | {
        f"firmware/node{rank}/{name}"
        for rank in range(4)
        for name in ("config.h", "device.cc", "model.S", "model.tflite")
    }
    assert set(files) == expected


def test_the_configuration_is_the_plans(bundle):
    header = generate(bundle)["firmware/node2/config.h"].decode()
    digits = bundle.document["fingerprint"]
    assert "kRank = 2;" in header
    assert "kWorldSize = 4;" in header
    assert "kMtuBytes = 512;" in header
    assert f'kMark[] = "tflsplit-plan 1 {digits} 2/4"' in header
    stored = re.search(r"kFingerprint\[.*?\] = \{\s*(.*?)\};", header, re.DOTALL)
    assert stored
    assert bytes(int(b, 16) for b in stored[1].split(", ")).hex() == digits


def test_a_ring_has_its_links_in_the_tables_order(bundle):
    header = generate(bundle)["firmware/node0/config.h"].decode()
    links = re.findall(r"\{(\d+), (\d+), 0x([0-9a-f]+)ULL\},", header)
    # Towards rank 3 and (opposite) 2, towards 1, the host, which is rank 4.
    assert links == [("3", "1", "c"), ("1", "0", "2"), ("4", "255", "10")]
    assert "kPorts[] = {0, 1, 255};" in header
    far = generate(bundle)["firmware/node2/config.h"].decode()
    assert len(re.findall(r"ULL\}", far)) == 2
    assert "kPorts[] = {0, 1};" in far


@pytest.mark.parametrize(
    ("topology", "ports"),
    [
        (Topology.LINE, [[1, -1], [0, 1], [0, 1], [0]]),
        (Topology.RING, [[0, 1, -1], [0, 1], [0, 1], [0, 1]]),
        (Topology.STAR, [[0, 1, 2, -1], [0], [0], [0]]),
    ],
)
def test_links_use_the_ports_that_the_emulator_wires(bundle, topology, ports):
    document = json.loads(generate(bundle, topology=topology)["firmware.json"])
    assert [[link["port"] for link in d["links"]] for d in document["devices"]] == ports
    assert document["topology"] == topology.value


def test_arenas_are_the_predicted_ones_and_the_margin(bundle):
    sources = device_sources(
        bundle.document,
        bundle.devices,
        FirmwareOptions(boards=("mps2_an500",), arena_margin_bytes=512, **NO_TREE),
    )
    for source, device in zip(sources, bundle.devices, strict=True):
        flavours = [predict_arena(device.graph, "cortex_m", k) for k in ("reference", "cmsis_nn")]
        required = max(flavour.required_bytes for flavour in flavours)
        assert source.required_arena_bytes == required
        assert source.arena_bytes == required + 512


def test_the_arena_is_that_of_the_trees_kernels(bundle, tmp_path):
    graph = bundle.devices[0].graph
    options = FirmwareOptions(boards=("mps2_an500",), tflm_dir=tmp_path)
    reference = device_sources(bundle.document, bundle.devices, options)[0].required_arena_bytes
    assert reference == predict_arena(graph, "cortex_m", "reference").required_bytes
    header = tmp_path / "third_party" / "cmsis_nn" / "Include" / "arm_nnfunctions.h"
    header.parent.mkdir(parents=True)
    header.write_text("")
    optimized = device_sources(bundle.document, bundle.devices, options)[0].required_arena_bytes
    assert optimized == predict_arena(graph, "cortex_m", "cmsis_nn").required_bytes


def test_the_resolver_has_exactly_the_graphs_operators(bundle):
    for device in bundle.devices:
        source = generate(bundle)[f"firmware/node{device.rank}/device.cc"].decode()
        kinds = {node.op for node in device.graph.nodes}
        own = len({node.op for node in device.graph.nodes if node.is_custom})
        assert f"kOwnOperators = {own};" in source
        assert f"kStockOperators = {max(1, len(kinds) - own)};" in source
        assert source.count("return api::kError;") == len(kinds)


def test_the_model_is_included_and_its_change_is_noticed(bundle):
    files = generate(bundle)
    model = files["firmware/node1/model.tflite"]
    assembler = files["firmware/node1/model.S"].decode()
    assert hashlib.sha256(model).hexdigest() in assembler
    assert '.incbin "node1/model.tflite"' in assembler
    assert ".balign 16" in assembler
    assert ".section .rodata." in assembler
    assert ".progmem" in generate(bundle, boards=("teensy41",))["firmware/node1/model.S"].decode()


def test_boards_may_differ_from_rank_to_rank(bundle):
    boards = ("teensy41", "pico", "pico", "nano33ble")
    document = json.loads(generate(bundle, boards=boards)["firmware.json"])
    assert tuple(device["board"] for device in document["devices"]) == boards
    assert document["baud"] == board_named("nano33ble").baud, "the slowest"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boards": ("teensy",)}, "unknown board 'teensy'; known are teensy41, "),
        ({"boards": ("pico", "pico")}, "2 boards are named for 4 devices"),
        ({"gateway": 4}, "the host is wired to rank 4, but the ranks end at 3"),
        ({"topology": Topology.BUS}, "no board has a port for a bus of uart, only for ethernet"),
        (
            {"topology": Topology.BUS, "link": "ethernet", "boards": ("pico",)},
            "no Ethernet port for pico: there is one for mps2_an386, ",
        ),
        ({"mtu_bytes": 510}, "MTU of 510 bytes is not a multiple of 4"),
        ({"arena_margin_bytes": -1}, "negative"),
        ({"baud": 300}, "too slow"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(bundle, options, message):
    with pytest.raises(ClusterError, match=message):
        generate(bundle, **options)


def test_operators_that_no_firmware_has_are_named():
    with pytest.raises(UnsupportedOpError, match="TFLM has no operator TOPK_V2"):
        resolver_calls(Graph("g", (), (), [Node("TOPK_V2", (), (), name="n")]))
    with pytest.raises(UnsupportedOpError, match="custom operator Foo has no kernel"):
        resolver_calls(Graph("g", (), (), [Node("Foo", (), (), name="n", is_custom=True)]))


def test_resolver_methods_follow_the_schemas_names():
    some = {"CONV_2D": "AddConv2D", "L2_POOL_2D": "AddL2Pool2D", "ADD_N": "AddAddN",
            "BATCH_MATMUL": "AddBatchMatMul", "SPLIT_V": "AddSplitV"}  # fmt: skip
    assert {op: method_of(op) for op in some} == some


def test_resolver_methods_are_tflms(tflm_tree):
    header = tflm_tree / "tensorflow" / "lite" / "micro" / "micro_mutable_op_resolver.h"
    text = header.read_text()
    pairs = re.findall(
        r"TfLiteStatus (Add\w+)\([^)]*(?:\([^)]*\))?[^)]*\)\s*\{\s*return AddBuiltin\(\s*"
        r"BuiltinOperator_(\w+)", text)  # fmt: skip
    methods = {op: method for method, op in pairs}
    assert {op: method_of(op) for op in TFLM_BUILTINS & methods.keys()} == {
        op: methods[op] for op in TFLM_BUILTINS & methods.keys()
    }
    assert methods.keys() >= TFLM_BUILTINS, "a tree this old lacks operators that we would register"


# ---- The folder and the project ----


def test_firmware_is_written_again_for_other_boards(tmp_path):
    folder = bundle_of(tmp_path / "out", world_size=2)
    first = write_firmware(folder, FirmwareOptions(boards=("pico",), **NO_TREE))
    assert first["devices"][1]["board"] == "pico"
    write_firmware(folder, FirmwareOptions(boards=("host",), **NO_TREE))
    assert json.loads((folder / "firmware.json").read_text())["devices"][1]["board"] == "host"
    ini = (folder / "nodes.ini").read_text()
    assert re.findall(r"\[env:(.*)\]", ini) == ["node0", "node1"]
    assert "extends = board:host" in ini
    assert not [path for path in folder.iterdir() if path.name.startswith(".firmware")]


def test_a_failure_leaves_the_folder_as_it_was(tmp_path):
    folder = bundle_of(tmp_path / "out", world_size=2)
    write_firmware(folder, FirmwareOptions(boards=("pico",), **NO_TREE))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ClusterError):
        write_firmware(folder, FirmwareOptions(boards=("pico",), gateway=7, **NO_TREE))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_plan_is_refused(tmp_path):
    with pytest.raises(PlanError, match=r"holds no plan\.json"):
        write_firmware(tmp_path, FirmwareOptions(**NO_TREE))
    with pytest.raises(ClusterError, match=r"has no nodes\.ini"):
        choose_nodes(tmp_path)


def test_boards_of_the_registry_name_its_tflm_unless_a_tree_is_given(tmp_path):
    folder = bundle_of(tmp_path / "out", world_size=2)
    write_firmware(folder, FirmwareOptions(boards=("pico",), **NO_TREE))
    assert "Chirale_TensorFLowLite" in (folder / "nodes.ini").read_text()
    named = FirmwareOptions(boards=("pico",), tflm_dir=tmp_path, name_tflm_dir=True)
    write_firmware(folder, named)
    ini = (folder / "nodes.ini").read_text()
    assert "Chirale" not in ini
    assert f"custom_tflm_dir = {tmp_path.resolve().as_posix()}" in ini


def test_a_folder_inside_the_project_is_chosen(tmp_path):
    project = tmp_path / "project"
    for name in ("platformio.ini", "tflm_app/tools/node_firmware.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("")
    folder = bundle_of(project / "build" / "tiny", world_size=2)
    write_firmware(folder, FirmwareOptions(boards=("host",), **NO_TREE))
    choose_nodes(folder)
    choice = (project / "build" / "nodes.ini").read_text()
    assert "[platformio]\nextra_configs = build/tiny/nodes.ini\n" in choice
    assert "folder = build/tiny\n" in choice
    nodes = (folder / "nodes.ini").read_text()
    assert "custom_node_folder = ${tflsplit.folder}/firmware/node1" in nodes


def test_every_board_has_a_section(bundle):
    ini = (Path(__file__).resolve().parents[2] / "platformio.ini").read_text()
    for board in BOARDS.values():
        assert f"[board:{board.section}]" in ini
        assert len(board.name.encode()) <= 64
        assert board.name.isascii()
        generate(bundle, boards=(board.name,))


def test_a_large_model_goes_where_the_emulated_board_has_room(bundle):
    options = FirmwareOptions(boards=("mps3_an547",), **NO_TREE)
    device = device_sources(bundle.document, bundle.devices, options)[0]
    from tflsplit.firmware.sources import model_source

    assert ".rodata" in model_source(device)
    assert ".section .model," in model_source(replace(device, model=bytes(2 << 20)))


def test_a_large_arena_goes_where_the_board_has_room(bundle):
    small = generate(bundle, boards=("teensy41",))["firmware/node0/device.cc"].decode()
    assert "#define TFLSPLIT_ARENA_ATTRIBUTE\n" in small
    margin = board_named("teensy41").fast_arena_bytes
    files = generate(bundle, boards=("teensy41",), arena_margin_bytes=margin)
    text = files["firmware/node0/device.cc"].decode()
    assert '#define TFLSPLIT_ARENA_ATTRIBUTE __attribute__((section(".dmabuffers")))\n' in text


@pytest.mark.parametrize(("board", "baud"), [("teensy41", None), ("esp32s3", 921_600)])
def test_the_hosts_port_has_the_rate_of_the_gateways_bridge(bundle, board: str, baud: int | None):
    document = json.loads(generate(bundle, boards=(board,))["firmware.json"])
    assert document["host_baud"] == baud
    wiring = Path(__file__).parents[2] / "tflm_app" / "ports" / "arduino" / "src" / "wiring.h"
    (default,) = re.findall(r"#define SPLIT_PORT_HOST_BAUD (\d+)", wiring.read_text())
    rates = {b.host_baud for b in BOARDS.values() if b.host_baud is not None}
    assert rates == {int(default)}


def test_spi_links_are_built_where_both_ends_exist(bundle):
    options = FirmwareOptions(boards=("teensy41",), link="spi", **NO_TREE)
    document = json.loads(generate(bundle, boards=("teensy41",), link="spi")["firmware.json"])
    assert (document["link"], document["baud"]) == ("spi", 30_000_000)
    text = nodes_ini("model", 4, options)
    assert text.count("-DSPLIT_PORT_SPI -DSPLIT_PORT_SPI_HZ=30000000") == 4
    assert "SPLIT_PORT_BAUD" not in text
    slower = nodes_ini("model", 4, replace(options, baud=10_000_000))
    assert slower.count("-DSPLIT_PORT_SPI_HZ=10000000") == 4


def test_on_ethernet_ports_are_the_other_ranks_in_their_order(bundle):
    files = generate(bundle, boards=("host",), link="ethernet", topology=Topology.BUS, gateway=2)
    document = json.loads(files["firmware.json"])
    assert (document["topology"], document["link"], document["baud"]) == ("bus", "ethernet", None)
    assert document["devices"][1]["links"] == [
        {"peer": 0, "port": 0}, {"peer": 2, "port": 1}, {"peer": 3, "port": 2},
    ]  # fmt: skip
    assert document["devices"][2]["links"][-1] == {"peer": 4, "port": -1}
    # What is for the host goes to its gateway.
    assert "{2, 255, 0x14ULL}," in files["firmware/node1/config.h"].decode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"boards": ("nano33ble",), "link": "spi"},
            "no SPI link for nano33ble: both ends exist for",
        ),
        (
            {"boards": ("teensy41",), "link": "usb"},
            "no ring of usb, only of uart, spi",
        ),
        ({"link": "spi", "topology": Topology.STAR}, "wire a ring or a line, not a star"),
    ],
)
def test_links_that_no_firmware_has_are_refused(bundle, options: dict[str, Any], message: str):
    with pytest.raises(ClusterError, match=message):
        generate(bundle, **{"boards": ("teensy41",), **options})


def test_emulated_boards_stand_for_any_link(bundle):
    document = json.loads(generate(bundle, link="spi")["firmware.json"])
    assert document["baud"] is None
