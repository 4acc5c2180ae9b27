# SPDX-License-Identifier: Apache-2.0
"""The whole firmware with TFLM inside, as a cluster of programs of this computer.

Everything that a board runs but its port, CMSIS-NN and 32 bits: generated sources, resolver, TFLM,
split_tflm, kernels, links, control by the host.  TFLM is the wheel that is the oracle as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bundles import bundle_of, rewrite_node
from tests.memory.op_list import CASES
from tests.native import build_exactly, check_arenas, needs_cxx, needs_wheel_reader, run_native
from tests.ops.test_state import lstm_network, svdf_network
from tests.passes.test_chain_units import model as chained_model
from tests.splits import networks, plans, tiny
from tests.streaming import chained_bundle, streamed_bundle
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli import main
from tflsplit.emulate import Cluster, Device, FaultModel, line
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.trial import expectation
from tflsplit.errors import ClusterError, LinkError
from tflsplit.firmware import FirmwareOptions
from tflsplit.firmware.arenas import required_arena_bytes
from tflsplit.firmware.resolver import CUSTOM
from tflsplit.host import SocketStream
from tflsplit.host.coordinator import Coordinator
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import TflmProgram
from tflsplit.tflite import write_model
from tflsplit.verify import make_cases
from tflsplit.wire.topology import Topology

pytestmark = [needs_wheel_reader, needs_cxx]

NOISY = FaultModel(flips_per_byte=1e-4, drops_per_byte=5e-5, duplicates_per_byte=5e-5)
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
# Network of models/tiny.py, N, wishes: every network, and together every operator of ours.
CLUSTERS: Sequence[tuple[str, int, dict[str, Any]]] = (
    ("mobilenet", 1, {"fuse": True}),
    ("mobilenet", 4, {}),
    ("mobilenet", 2, {"split": "rows", "fuse": True, "overlap": True}),
    ("mobilenet", 3, {"split": "channels"}),
    ("ds_cnn", 2, {"split": "in_channels"}),
    ("resnet", 3, {"split": "rows", "fuse": True}),
    ("resnet", 4, {"stock_kernels": True}),
    ("autoencoder", 4, {}),
    ("grouped_dilated", 3, {"split": "rows"}),
    ("squeeze_excite", 2, {"split": "rows"}),
    ("unet", 4, {}),
    ("temporal", 3, {}),
)


def written(folder: Path, name: str, world_size: int, wishes: dict[str, Any]) -> Bundle:
    model = folder / "model.tflite"
    model.write_bytes(write_model(tiny(name)))
    overlap = bool(wishes.get("overlap"))
    chosen = Wishes(world_size, **{key: wish for key, wish in wishes.items() if key != "overlap"})
    rewrite(
        model,
        folder / "plan",
        lambda graph: replace(choose_plan(graph, chosen), overlap=overlap),
    )
    return read_bundle(folder / "plan")


def operators(bundle: Bundle) -> set[str]:
    return {node.op for device in bundle.devices for node in device.graph.nodes}


@pytest.mark.parametrize(
    ("name", "world_size", "wishes"),
    CLUSTERS,
    ids=["-".join(map(str, (a, n, *w.values()))) for a, n, w in CLUSTERS],
)
def test_the_unsplit_models_bits_in_the_predicted_arena(
    tmp_path: Path, name: str, world_size: int, wishes: dict[str, Any]
):
    bundle = written(tmp_path, name, world_size, wishes)
    check_arenas(bundle, run_native(bundle, build_exactly(bundle)))


def test_those_clusters_have_every_operator_of_ours(tmp_path: Path):
    found = set()
    for index, (name, world_size, wishes) in enumerate(CLUSTERS):
        folder = tmp_path / str(index)
        folder.mkdir()
        found |= operators(written(folder, name, world_size, wishes))
    found |= operators(chained_bundle(tmp_path / "chain", chained_model(True), 1, "rows", 2))
    assert found >= CUSTOM.keys()


@pytest.mark.parametrize("topology", [Topology.LINE, Topology.RING, Topology.STAR])
def test_faults_on_every_wire_cost_frames_and_no_bit(tmp_path: Path, topology: Topology):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "mobilenet", 4))
    built = build_native(bundle, FirmwareOptions(topology=topology, tflm_dir=None, ahead=True))
    for in_flight, runs in ((1, 3), (2, 8)):
        trial = run_native(bundle, built, NOISY, runs, in_flight)
        assert sum(a.events + b.events for a, b in trial.wire_faults.values()) > 0
        assert sum(wire.resent for wire in trial.wires) > 0


@pytest.mark.slow
@pytest.mark.parametrize("fuse", [False, True])
def test_nothing_is_undefined_and_no_byte_out_of_bounds(tmp_path: Path, fuse: bool):
    """AddressSanitizer and UndefinedBehaviorSanitizer in all of ours; a finding ends the device."""
    bundle = written(tmp_path, "mobilenet", 3, {"split": "rows", "fuse": True} if fuse else {})
    built = build_exactly(bundle, flags=SANITIZERS)
    check_arenas(bundle, run_native(bundle, built, NOISY))


@pytest.mark.parametrize("op", ["CONCATENATION of ten", "CONCATENATION", "MEAN", "SOFTMAX"])
def test_one_operator_alone_starts_in_the_arena_that_is_required(tmp_path: Path, op: str):
    """So little runs there that setting up TFLM takes more."""
    (tmp_path / "model.tflite").write_bytes(write_model(CASES[op]()))
    rewrite(tmp_path / "model.tflite", tmp_path / "plan", Wishes(1))
    bundle = read_bundle(tmp_path / "plan")
    check_arenas(bundle, run_native(bundle, build_exactly(bundle), runs=1))


@pytest.mark.parametrize("network", [svdf_network, lstm_network])
def test_state_is_kept_from_inference_to_inference(tmp_path: Path, network: Callable[[int], Graph]):
    """The oracle keeps its own; a fault on a wire costs frames and moves no state on."""
    (tmp_path / "model.tflite").write_bytes(write_model(network(3)))
    rewrite(tmp_path / "model.tflite", tmp_path / "plan", Wishes(2))
    bundle = read_bundle(tmp_path / "plan")
    built = build_exactly(bundle)
    check_arenas(bundle, run_native(bundle, built, NOISY, runs=5), only_exact=False)
    run_native(bundle, built, NOISY, runs=5, in_flight=2)


@pytest.mark.slow
@settings(max_examples=6)
@given(data=st.data())
def test_any_network_and_any_plan(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    network = data.draw(networks())
    plan = data.draw(plans(prepare(network), data.draw(st.integers(1, 3))))
    (folder / "model.tflite").write_bytes(write_model(network))
    rewrite(folder / "model.tflite", folder / "plan", lambda _: plan)
    bundle = read_bundle(folder / "plan")
    check_arenas(bundle, run_native(bundle, build_exactly(bundle), NOISY, runs=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "world_size"),
    [
        ("mlperf_resnet8", 4),
        ("mlperf_kws_dscnn", 3),
        ("mlperf_ad_fc", 2),
        ("gen_cifar_grouped_se_hswish_int8", 2),
        ("gen_unet_96_int8", 4),
        ("mobilenet_v2_0.35_160_cfu", 4),
        ("mobilenet_v2_1.0_224_coral_ptq", 8),
    ],
)
def test_real_models(shared_models: Path, tmp_path: Path, model: str, world_size: int):
    rewrite(shared_models / f"{model}.tflite", tmp_path / "plan", Wishes(world_size))
    bundle = read_bundle(tmp_path / "plan")
    check_arenas(bundle, run_native(bundle, build_exactly(bundle), runs=2))


@pytest.mark.parametrize("world_size", [1, 3])
def test_every_device_on_a_port_of_its_own(tmp_path: Path, world_size: int):
    """Input straight to each, output straight back; on noisy wires as well."""
    bundle = written(tmp_path, "mobilenet", world_size, {"split": "rows"})
    options = FirmwareOptions(arena_margin_bytes=0, tflm_dir=None, direct=True, ahead=True)
    built = build_native(bundle, options)
    check_arenas(bundle, run_native(bundle, built, runs=2))
    run_native(bundle, built, runs=3, faults=NOISY)
    run_native(bundle, built, runs=6, faults=NOISY, in_flight=2)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("world_size", [1, 3])
def test_a_streamed_input(tmp_path: Path, world_size: int, direct: bool):
    """The image stays with the host; each tile's rows are asked for when their turn comes."""
    bundle = streamed_bundle(tmp_path, "mobilenet", world_size, tiles=3)
    options = FirmwareOptions(arena_margin_bytes=0, tflm_dir=None, direct=direct)
    built = build_native(bundle, options)
    check_arenas(bundle, run_native(bundle, built, runs=2))
    run_native(bundle, built, runs=4, faults=NOISY, in_flight=2)


def test_a_host_that_is_started_anew_gets_no_picture_of_the_one_before(tmp_path: Path):
    """Two pictures were under way when that ended: one computed with, one in the devices."""
    bundle = read_bundle(bundle_of(tmp_path / "plan", "mobilenet", 3))
    built = build_native(bundle, FirmwareOptions(topology=Topology.LINE, tflm_dir=None, ahead=True))
    first, second, *cases = list(make_cases(prepare(bundle.model), 14, 7))[-14:]
    expected = expectation(bundle, TflmProgram)
    with Cluster(built.devices, line(3, gateway=0)) as cluster:
        stream = SocketStream(cluster.host_sockets[0])
        for turns, case in enumerate(cases, 1):
            earlier = Coordinator(stream, bundle, built.setup)
            earlier.connect(30)
            assert all(info.next_input_bytes for info in earlier.infos)
            for lost in (first, second):
                earlier._flights.launch(lost.inputs)
            for _ in range(turns):
                earlier.inbox.gateway.turn(0.0002)
            host = Coordinator(stream, bundle, built.setup)
            host.connect(30)
            for want, got in zip(expected(case), host.infer(case.inputs).outputs, strict=True):
                assert (want == got).all()


@pytest.mark.parametrize(("world_size", "way", "sweeps"), [(1, "rows", 2), (2, "columns", 1)])
def test_a_streamed_input_row_by_row(tmp_path: Path, world_size: int, way: str, sweeps: int):
    """Blocks in a chain ask for the rows that they need next, tile of columns by tile."""
    bundle = chained_bundle(tmp_path, chained_model(True), world_size, way, sweeps)
    built = build_native(bundle, FirmwareOptions(arena_margin_bytes=0, tflm_dir=None))
    check_arenas(bundle, run_native(bundle, built, runs=2))
    run_native(bundle, built, runs=2, faults=NOISY)


def test_an_arena_of_16_bytes_less_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """So the arenas above are the smallest."""
    monkeypatch.setattr(
        "tflsplit.firmware.generate.required_arena_bytes",
        lambda *of: required_arena_bytes(*of) - 16,
    )
    bundle = read_bundle(bundle_of(tmp_path / "plan", "resnet", 2))
    built = build_exactly(bundle)
    with pytest.raises(LinkError, match="TFLM takes neither the graph nor its arena"):
        run_native(bundle, built)


def test_firmware_with_another_plans_model_says_so_and_runs_nothing(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "mobilenet", 2))
    built = build_exactly(bundle)
    image = built.devices[0].program.read_bytes()
    model = (bundle.folder / "emulated/host/firmware/node0/model.tflite").read_bytes()
    digits = bundle.document["fingerprint"].encode()
    place = image.index(model) + model.index(digits)
    patched = tmp_path / "patched.elf"
    patched.write_bytes(image[:place] + b"f" * len(digits) + image[place + len(digits) :])
    patched.chmod(0o755)
    devices = [Device(patched, "host"), *built.devices[1:]]
    with Cluster(devices, line(len(devices), gateway=0)) as cluster:
        stream = SocketStream(cluster.host_sockets[0])
        with (
            Coordinator(stream, bundle, built.setup) as coordinator,
            pytest.raises(
                LinkError, match=r"rank 0.*the model in flash is of another plan or rank"
            ),
        ):
            coordinator.connect(30)


# ---- The command ----


def test_the_command_needs_no_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TFLSPLIT_TFLM_DIR", raising=False)
    folder = bundle_of(tmp_path / "plan", "resnet", 2)
    monkeypatch.chdir(folder)  # a model.tflite lies here that is no device's
    assert main(["emulate", str(folder), "--native", "--runs", "2"]) == 0
    assert "the same bits: 2 devices and the unsplit model" in capsys.readouterr().out
    program = folder / "emulated" / "host" / "programs" / "node0.elf"
    before = program.stat().st_mtime_ns
    assert main(["emulate", str(folder), "--native", "--runs", "1"]) == 0
    assert program.stat().st_mtime_ns == before, "nothing had changed"


def test_a_wrong_weight_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TFLSPLIT_TFLM_DIR", raising=False)
    folder = bundle_of(tmp_path / "plan", "autoencoder", 2)

    def change(graph: Graph) -> None:
        weights = next(v for v in graph.constants() if v.data is not None and v.data.ndim == 2)
        assert weights.data is not None
        weights.data = weights.data.copy()
        weights.data[0] += 60

    rewrite_node(folder, 1, change)
    assert main(["emulate", str(folder), "--native"]) == 1
    assert "output elements differ" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TFLSPLIT_TFLM_DIR", raising=False)
    folder = bundle_of(tmp_path / "plan", "autoencoder", 1)
    (folder / "emulated").write_text("a file")
    assert main(["emulate", str(folder), "--native"]) == 2
    assert f"cannot write {folder / 'emulated'}" in capsys.readouterr().err


def test_code_that_does_not_compile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "autoencoder", 1))
    with pytest.raises(ClusterError, match=r"cannot build .*: .*unrecognized"):
        build_native(bundle, FirmwareOptions(tflm_dir=None), flags=["--no-such-flag"])


def test_without_a_compiler_the_way_out_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TFLSPLIT_TFLM_DIR", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = bundle_of(tmp_path / "plan", "autoencoder", 1)
    assert main(["emulate", str(folder), "--native"]) == 2
    assert "no C++ compiler: install g++" in capsys.readouterr().err
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert main(["emulate", str(folder), "--native"]) == 2
    assert "CXX names no-such-compiler, which is not there" in capsys.readouterr().err


def test_two_teams_of_two_devices_each_share_the_inferences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "model.tflite").write_bytes(write_model(tiny("autoencoder")))
    cluster = 'teams = 2\n[[device]]\nboard = "teensy41"\ncount = 2\n'
    (tmp_path / "cluster.toml").write_text(cluster)
    words = [str(tmp_path / "model.tflite"), "--cluster", str(tmp_path / "cluster.toml"), "-q"]
    out = str(tmp_path / "out")
    assert main(["rewrite", *words, "--manual", "split=channels", "-o", out]) == 0
    assert main(["emulate", out, "--native", "--runs", "6", "--faults", "1e-4"]) == 0
    printed = capsys.readouterr().out
    assert "\n2 teams of 2 devices; bytes as plan.json says; times in ms\n" in printed
    assert "\ninferences of each team: " in printed
    assert "the same bits: 2 teams of 2 devices and the unsplit model" in printed
