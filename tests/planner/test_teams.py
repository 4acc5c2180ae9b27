# SPDX-License-Identifier: Apache-2.0
"""The most inferences a second: copies where a device holds the model, else teams."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ops.test_state import svdf_network
from tests.planner.small import uart
from tests.splits import tiny
from tflsplit.cluster import Cluster, default_cluster, parse_cluster
from tflsplit.errors import ClusterError
from tflsplit.plan.cost.fit import Fit, fit_device
from tflsplit.planner import THROUGHPUT, Planned, Planner
from tflsplit.planner.best import best_plan
from tflsplit.planner.teams import best_teams
from tflsplit.sim import simulate


def with_weights(cluster: Cluster, limit_bytes: int) -> Cluster:
    devices = (replace(each, weights_limit_bytes=limit_bytes) for each in cluster.devices)
    return replace(cluster, devices=tuple(devices))


def test_copies_where_a_device_holds_the_model():
    graph = tiny("autoencoder")
    planner, found = best_plan(graph, uart(4), THROUGHPUT)
    assert (found.cluster.teams, found.plan.world_size) == (4, 1)
    assert planner.cluster == found.cluster
    together = Planner(graph, uart(4)).best("latency")
    assert found.throughput_per_s > together.throughput_per_s == 1e6 / together.latency_us
    assert found.value(THROUGHPUT) == pytest.approx(found.latency_us / 4)


def test_a_model_that_remembers_has_one_past_and_one_team():
    _, found = best_plan(svdf_network(3, batch=1), uart(4), THROUGHPUT)
    assert found.cluster.teams == 1


def test_whoever_was_asked_for_all_devices_is_not_asked_again():
    """What ``plan`` and ``report`` show beside a plan: the same team, one search fewer."""
    graph = tiny("autoencoder")
    weights = sum(value.size_bytes for value in graph.constants())
    asked = Planner(graph, with_weights(uart(4), int(0.4 * weights)))
    latency = asked.find("latency")
    again, fresh = best_teams(graph, asked.cluster, asked), best_teams(graph, asked.cluster)
    assert again is not None
    assert fresh is not None
    assert again[0] is asked
    assert latency is asked.find("latency")
    assert again[1].plan == fresh[1].plan


def test_teams_where_it_does_not():
    graph = tiny("autoencoder")
    weights = sum(value.size_bytes for value in graph.constants())
    cluster = with_weights(uart(5), int(0.7 * weights))
    _, found = best_plan(graph, cluster, THROUGHPUT)
    assert (found.cluster.teams, found.plan.world_size) == (2, 2)
    assert found.fits(found.cluster)
    assert max(found.weights_bytes) < weights
    _, alone = best_plan(graph, cluster, "latency")
    assert found.throughput_per_s > alone.throughput_per_s


def test_one_team_where_only_all_together_have_room():
    graph = tiny("autoencoder")
    weights = sum(value.size_bytes for value in graph.constants())
    _, found = best_plan(graph, with_weights(uart(4), int(0.4 * weights)), THROUGHPUT)
    assert found.cluster.teams == 1
    assert found.plan.world_size > 2


def test_of_one_team_those_that_only_cost_time_are_left_out():
    """Boards of three kinds are one team, and the fastest is quicker without the others."""
    boards = "".join(f'[[device]]\nboard = "{name}"\n' for name in ("teensy41", "pico", "rp2040"))
    graph, cluster = tiny("autoencoder"), parse_cluster(boards)
    planner, found = best_plan(graph, cluster, THROUGHPUT)
    assert (found.cluster.teams, found.plan.world_size) == (1, 1)
    assert planner.left_out(found) == (1, 2)
    assert best_plan(graph, cluster, "latency")[1].latency_us == found.latency_us


def test_the_simulator_counts_what_all_teams_do():
    graph = tiny("autoencoder")
    _, found = best_plan(graph, uart(3), THROUGHPUT)
    one = simulate(found.devices, replace(found.cluster, teams=1), inputs=2)
    all_three = simulate(found.devices, found.cluster, inputs=2)
    assert all_three.throughput_per_s == pytest.approx(3 * one.throughput_per_s)
    assert all_three.latencies_us == one.latencies_us
    assert all_three.document()["teams"] == 3


def test_teams_that_are_given_are_not_found():
    given = parse_cluster('teams = 2\n[[device]]\nboard = "teensy41"\ncount = 2')
    with pytest.raises(ClusterError, match="described as 2 teams"):
        best_plan(tiny("autoencoder"), given, THROUGHPUT)
    _, found = best_plan(tiny("autoencoder"), given, "latency")
    assert found.cluster.teams == 2
    assert default_cluster(2).teams == 1


def small_weights(cluster: Cluster) -> Cluster:
    """So that all devices together have room for ``autoencoder``, and no fewer."""
    weights = sum(value.size_bytes for value in tiny("autoencoder").constants())
    return with_weights(cluster, int(0.4 * weights))


def test_one_team_takes_its_next_input_while_it_computes():
    graph = tiny("autoencoder")
    _, found = best_plan(graph, small_weights(uart(4)), THROUGHPUT)
    assert found.cluster.ahead
    _, alone = best_plan(graph, small_weights(uart(4)), "latency")
    assert not alone.cluster.ahead
    assert found.latency_us == alone.latency_us
    assert found.throughput_per_s > 1.02 * alone.throughput_per_s
    ranks = range(found.plan.world_size)
    wanted = [found.next_input_bytes(found.cluster, rank) for rank in ranks]
    assert wanted == [device.graph.input_bytes for device in found.devices]
    assert sum(wanted) >= sum(value.size_bytes for value in graph.inputs)


def test_no_ram_for_the_next_input_is_no_ram_to_take_it():
    """One byte less on the fullest device, and it is not taken; asked for, another plan is made."""
    graph, cluster = tiny("autoencoder"), small_weights(uart(4))
    _, found = best_plan(graph, cluster, THROUGHPUT)
    ranks = range(found.plan.world_size)
    needs = [
        found.arenas[r].required_bytes
        + found.next_input_bytes(found.cluster, r)
        + found.cluster.reserved_bytes(r)
        for r in ranks
    ]

    def tight(short: int) -> Cluster:
        devices = (replace(d, ram_bytes=max(needs) - short) for d in cluster.devices)
        return replace(cluster, devices=tuple(devices))

    assert found.fits(replace(tight(0), ahead=True))
    assert not found.fits(replace(tight(1), ahead=True))
    assert found.fits(tight(1))
    _, given = best_plan(graph, replace(tight(1), ahead=True), "latency")
    assert given.cluster.ahead
    assert given.fits(given.cluster)
    assert [device.arena_short_bytes for device in fits_of(given)] == [0] * given.plan.world_size


def fits_of(planned: Planned) -> list[Fit]:
    return [fit_device(planned.cluster, device.rank, device.graph, 0) for device in planned.devices]


def test_a_next_input_and_rows_that_are_asked_for_are_no_pair():
    with pytest.raises(ClusterError, match="not both"):
        replace(uart(4), ahead=True, stream=True)
    _, found = best_plan(tiny("autoencoder"), replace(uart(4), ahead=True), "ram")
    assert not found.plan.stream
