# SPDX-License-Identifier: Apache-2.0
"""The scheme beside a plan, where there can be one."""

from __future__ import annotations

from tests.splits import tiny
from tflsplit.cluster import default_cluster
from tflsplit.report.simulated import seed_run


def test_a_pc_has_no_port_for_a_sixty_fourth_device():
    graph = tiny("autoencoder")
    assert seed_run(graph, default_cluster(2)) is not None
    assert seed_run(graph, default_cluster(64)) is None
