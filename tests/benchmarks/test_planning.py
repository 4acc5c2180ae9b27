# SPDX-License-Identifier: Apache-2.0
"""What is timed is the search, from the beginning each time."""

from __future__ import annotations

import time

from benchmarks.planning import WEIGHTS, cases, main, planning_table, timed
from tests.splits import tiny
from tflsplit.cluster import default_cluster
from tflsplit.planner import Planner
from tflsplit.tflite import write_model


def test_every_search_is_a_row_that_says_what_was_found():
    graph = tiny("mobilenet")
    found = list(cases(graph, [2], ["ram", "pareto"], runs=1))
    assert [case.limit for case in found] == [*WEIGHTS, None]
    arena = Planner(graph, default_cluster(2)).best("ram").arena_bytes
    assert found[0].outcome == f"{arena:,}"
    assert all(case.cpu_s > 0 for case in found)
    rows = planning_table(found).splitlines()
    assert any(f"| 2 | ram | the board's | {found[0].cpu_s:.1f} | {arena:,} |" in r for r in rows)


def test_the_least_disturbed_run_counts():
    spins = iter([0.05, 0.0, 0.05])

    def run() -> str:
        end = time.process_time() + next(spins)
        while time.process_time() < end:
            pass
        return "done"

    seconds, said = timed(lambda: run, 3)
    assert said == "done"
    assert seconds < 0.04


def test_the_command_prints_a_table_and_refuses_what_is_no_model(tmp_path, capsys):
    path = tmp_path / "tiny.tflite"
    path.write_bytes(write_model(tiny("mobilenet")))
    assert main([str(path), "-n", "2", "--what", "bytes", "--runs", "1"]) == 0
    assert capsys.readouterr().out.count("| bytes |") == len(WEIGHTS)
    assert main([str(tmp_path / "none.tflite")]) == 2
