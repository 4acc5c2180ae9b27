# SPDX-License-Identifier: Apache-2.0
"""Which boards `tflsplit emulate` starts: one kind, one for each device, a cluster's."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.splits import tiny
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.cli import parser as whole_parser
from tflsplit.cli.boards_to_emulate import boards_of_cluster, boards_of_folder, boards_of_text
from tflsplit.cli.emulated import options_of
from tflsplit.cluster import parse_cluster
from tflsplit.errors import ClusterError
from tflsplit.firmware import options_of_cluster
from tflsplit.firmware.project import generated_files
from tflsplit.tflite import write_model

MIXED = ("mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547")
TEXT = "topology = 'ring'\n" + "".join(f"[[device]]\nboard = '{board}'\n" for board in MIXED)


def test_boards_are_named_with_commas():
    assert boards_of_text("mps2_an505") == ("mps2_an505",)
    assert boards_of_text(",".join(MIXED)) == MIXED
    with pytest.raises(argparse.ArgumentTypeError, match="'teensy41' cannot be emulated; boards:"):
        boards_of_text("mps2_an386,teensy41")


def test_boards_of_a_cluster_are_those_that_are_built():
    cluster = parse_cluster(TEXT)
    boards = boards_of_cluster(cluster, Path("mixed.toml"))
    assert boards == MIXED
    assert options_of_cluster(cluster, boards).boards == MIXED
    other = parse_cluster(TEXT.replace("mps2_an505", "teensy41"))
    with pytest.raises(ClusterError, match=r"mixed.toml: device 2 has board 'teensy41', which"):
        boards_of_cluster(other, Path("mixed.toml"))


@pytest.mark.parametrize(
    ("made_for", "boards", "says"),
    [
        ("stm32f405,mps2_an386", ("stm32f405", "mps2_an386"), ""),
        ("pico,mps2_an386", ("mps2_an500",), "pico cannot be emulated: mps2_an500, a Cortex-M7"),
        (None, ("mps2_an500",), ""),
    ],
)
def test_without_board_it_is_what_the_folder_was_made_for(
    made_for: str | None,
    boards: tuple[str, ...],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    folder = bundle_of(tmp_path / "out", "autoencoder", 2)
    if made_for is not None:
        assert main(["firmware", str(folder), "--board", made_for]) == 0
    capsys.readouterr()
    assert boards_of_folder(read_bundle(folder)) == boards
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(f"note: {says}") if says else said == ""


def test_what_cannot_be_emulated_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["emulate", "nowhere", "--board", "mps2_an500,pico"])
    assert ended.value.code == 2
    assert "'pico' cannot be emulated" in capsys.readouterr().err


def test_named_boards_have_their_own_rate(tmp_path: Path):
    """Not the 6 Mbaud of the Teensys that the folder is for, which their USARTs cannot."""
    folder, model = tmp_path / "out", tmp_path / "model.tflite"
    model.write_bytes(write_model(tiny("mobilenet")))
    by_rows = ["-n", "2", "--manual", "split=rows"]
    assert main(["rewrite", str(model), *by_rows, "-o", str(folder)]) == 0
    command = ["emulate", str(folder), "--board", "stm32f405,rp2040"]
    bundle = read_bundle(folder)
    options = options_of(whole_parser().parse_args(command), bundle)
    ini = generated_files(bundle.document, bundle.devices, options)["nodes.ini"].decode()
    assert ini.count("-DSPLIT_PORT_BAUD=1000000") == 2
