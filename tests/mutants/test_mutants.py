# SPDX-License-Identifier: Apache-2.0
"""A few mutants in every run of the tests; ``python -m tests.mutants`` runs many."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from models.tiny import NETWORKS
from tests.mutants import through
from tests.mutants.__main__ import main, report
from tests.mutants.models import sources
from tests.mutants.mutators import MUTATORS, custom_options, cut, mutated, raw_bytes
from tests.mutants.run import FINDINGS, run
from tests.mutants.through import command_outcome
from tflsplit.errors import InternalError, ModelError
from tflsplit.tflite import read_model, write_model
from tflsplit.tflite.decode import Decoder

COUNT = 60


@pytest.mark.slow
@pytest.mark.xdist_group("mutants")
def test_mutants_end_in_one_message_or_in_the_same_bits(capsys: pytest.CaptureFixture[str]):
    code = main(["--count", str(COUNT), "--seed", "11"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    table = printed.splitlines()
    assert table[-1].startswith(f"{COUNT} mutants")
    # Of both fates, or one half of the program was not tried.
    assert "refused" in printed
    assert "the same bits" in printed


def broken(name: str = "resnet") -> Callable[[int], bytes]:
    data = write_model(NETWORKS[name]())
    return lambda number: mutated(data, random.Random(number))[0]


def test_a_mutant_is_the_same_every_time():
    assert [broken()(number) for number in range(20)] == [broken()(number) for number in range(20)]


def test_mutants_differ_and_most_reach_beyond_the_reader():
    sound, fates = write_model(NETWORKS["resnet"]()), Counter[str]()
    for number in range(80):
        data = broken()(number)
        fates["other"] += data != sound
        try:
            read_model(data)
            fates["read"] += 1
        except ModelError:
            fates["refused"] += 1
    assert fates["other"] > 70
    assert fates["read"] > 25
    assert fates["refused"] > 8


@pytest.mark.parametrize(
    "mutator",
    [*dict.fromkeys(m for m in MUTATORS if m is not custom_options), cut],
    ids=lambda m: m.__name__,
)
def test_every_mutator_changes_what_it_says(mutator):
    sound = write_model(NETWORKS["squeeze_excite"]())
    plain = repr(Decoder(sound).root())
    changed = 0
    for number in range(30):
        model = Decoder(sound).root()
        if mutator(model, random.Random(number)) is not None:
            changed += repr(model) != plain
    assert changed >= 10


def test_raw_bytes_are_changed():
    sound = write_model(NETWORKS["autoencoder"]())
    assert raw_bytes(sound, random.Random(1)) != sound


def test_there_are_networks_and_single_operators():
    names = {source.name for source in sources()}
    assert names >= set(NETWORKS)
    assert "GATHER_ND" in names


def test_a_traceback_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    def command(arguments: list[str]) -> int:
        raise InternalError("oh")

    monkeypatch.setattr(through, "command", command)
    code, text = command_outcome(["rewrite"])
    assert code == 70
    assert text.startswith("InternalError at ")


def test_two_lines_are_a_finding(monkeypatch: pytest.MonkeyPatch):
    def command(arguments: list[str]) -> int:
        print("one\ntwo", file=sys.stderr)
        return 2

    monkeypatch.setattr(through, "command", command)
    assert command_outcome(["rewrite"]) == (70, "2 lines instead of one: ['one', 'two']")


def test_a_mutant_that_hangs_is_a_finding():
    (outcome,) = run([0], 1, [], 1, seconds=0.0)
    assert outcome["fate"] == "hang"
    assert "hang" in FINDINGS


def test_the_report_counts_by_kind(capsys: pytest.CaptureFixture[str]):
    outcomes = [
        {"kind": "shape", "fate": "refused"},
        {"kind": "shape", "fate": "traceback"},
        {"kind": "option", "fate": "refused"},
    ]
    assert report(outcomes) == 1
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table == [
        ["refused", "traceback"],
        ["shape", "1", "1"],
        ["option", "1", "0"],
        ["3", "mutants", "2", "1"],
    ]
    assert report(outcomes[:1]) == 0


def test_outcomes_are_plain_text(tmp_path: Path):
    outcome = through.outcome_of(0, 1, ["autoencoder"], tmp_path)
    assert json.loads(json.dumps(outcome)) == outcome
    assert outcome["source"] == "autoencoder"
