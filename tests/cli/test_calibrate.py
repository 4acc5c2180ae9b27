# SPDX-License-Identifier: Apache-2.0
"""`tflsplit calibrate`: the cycles with which runs were made come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tflsplit.bundle import read_bundle
from tflsplit.bundle.runs import write_run
from tflsplit.cli import main
from tflsplit.cli.calibrate import computing_us
from tflsplit.cli.figures import figures_document
from tflsplit.cluster import Family, known_board, parse_cluster
from tflsplit.cluster.cycles import TFLM_BESIDE, TFLM_CONVOLUTIONS
from tflsplit.host.coordinator import Inference
from tflsplit.host.figures import DeviceFigures
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.cost.work import work_of

PROPORTIONS = known_board("mps2_an500").cycles
FACTORS = {
    **dict.fromkeys((Family.CONV, Family.GATHER), 3.5),
    **dict.fromkeys((Family.POINTWISE, Family.MADE, Family.READ, Family.APART), 2.0),
    **dict.fromkeys((Family.DEPTHWISE, Family.PLANE_ROW, Family.PLANE_INPUT, Family.RUN), 4.0),
    Family.FULLY_CONNECTED: 2.5,
    **dict.fromkeys((Family.OTHER, Family.REQUANTIZE, Family.ADD, Family.SUM), 0.5),
    Family.COPY: 0.7,
    **dict.fromkeys((Family.TFLM, *TFLM_CONVOLUTIONS, *TFLM_BESIDE), 1.0),
}
CYCLES = {family: FACTORS[family] * PROPORTIONS.of(family) for family in Family}
CLOCK_HZ = 100_000_000


def record(folder: Path, board: str = "mine") -> None:
    """A run that takes exactly what CYCLES says."""
    bundle = read_bundle(folder)
    devices = []
    for device in bundle.devices:
        work = [each for node in device.graph.nodes for each in work_of(node)]
        cycles = sum(each.amount * CYCLES[each.family] for each in work)
        us = cycles * 1e6 / CLOCK_HZ
        devices.append(figures(device.rank, board, us))
    document = figures_document(devices, [], [Inference([], (), 0.1)])
    write_run(folder, "cluster", bundle.document["fingerprint"], document)


def figures(rank: int, board: str, us: float, instructions: float | None = None) -> DeviceFigures:
    """A device that computed for ``us`` and waited for 5 ms, as `cluster` and `emulate` say it."""
    return DeviceFigures(
        rank,
        board,
        arena_bytes=1,
        arena_used_bytes=1,
        input_us=7.0,
        graph_us=us + 5000,
        wait_us=5000.0,
        output_us=3.0,
        instructions=instructions,
        wait_instructions=None if instructions is None else 1000.0,
        sent_bytes=0,
        received_bytes=0,
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    names = ("mobilenet", "ds_cnn", "resnet", "autoencoder")
    made = [bundle_of(tmp_path / name, name, 4) for name in names]
    for folder in made:
        record(folder)
    return made


def test_cycles_come_back(folders: list[Path], capsys: pytest.CaptureFixture[str]):
    arguments = ["calibrate", *map(str, folders), "--clock", str(CLOCK_HZ)]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["board"] == "mine"
    for family, cycles in found["cycles_per_mac"].items():
        assert cycles == pytest.approx(CYCLES[Family(family)], rel=1e-6)
    assert {"pointwise", "depthwise", "fully_connected"} <= found["cycles_per_mac"].keys()
    assert all(abs(run["relative_error"]) < 1e-6 for run in found["runs"])


def test_what_is_printed_belongs_below_a_device(
    folders: list[Path], capsys: pytest.CaptureFixture[str]
):
    assert main(["calibrate", *map(str, folders), "--clock", str(CLOCK_HZ)]) == 0
    text = capsys.readouterr().out
    toml = text[text.index("# measured") :]
    cluster = parse_cluster(f'[[device]]\nboard = "teensy41"\n{toml}')
    assert cluster.devices[0].cycles.pointwise == pytest.approx(CYCLES[Family.POINTWISE], rel=1e-3)


def test_errors_say_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "out", "ds_cnn", 2)
    assert main(["calibrate", str(folder)]) == 2
    assert "--record" in capsys.readouterr().err
    record(folder)
    assert main(["calibrate", str(folder)]) == 2
    assert "--clock" in capsys.readouterr().err
    assert main(["calibrate", str(folder), "--board", "pico"]) == 2
    assert "no run of 'pico' is recorded there, only of mine" in capsys.readouterr().err
    record(folder, "other")
    assert main(["calibrate", str(folder), "--clock", "1e8"]) == 2
    assert "--board" in capsys.readouterr().err
    assert main(["calibrate", str(folder), "--board", "mine", "--clock", "1e8"]) == 2
    assert "apart" in capsys.readouterr().err


def test_too_few_runs_of_a_known_board_scale_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """One device of one run, which takes three times as long as the table says."""
    folder = bundle_of(tmp_path / "out", "ds_cnn", 1)
    bundle = read_bundle(folder)
    board = known_board("pico")
    predicted_us = sum(local_node_us(board, node) for node in bundle.devices[0].graph.nodes)
    document = figures_document(
        [figures(0, "pico", 3 * predicted_us)], [], [Inference([], (), 0.1)]
    )
    write_run(folder, "cluster", bundle.document["fingerprint"], document)
    assert main(["calibrate", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cycles_per_mac"] == pytest.approx(
        {family.value: 3 * board.cycles.of(family) for family in Family}
    )
    assert "all times 3" in found["source"]
    assert "apart" in found["source"]


def test_where_instructions_are_counted_they_count():
    """3,000 instructions, 1,000 of them while it waited: 2,000 of 64 ns, and not the clock."""
    devices = [figures(0, "mps2_an500", 999.0, 3000.0), figures(1, "mine", 999.0)]
    document = figures_document(devices, [], [Inference([], (), 0.1)])
    assert [computing_us(device) for device in document["devices"]] == [128.0, 999.0]
    assert computing_us({"rank": 0}) == 0.0
