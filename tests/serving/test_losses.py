# SPDX-License-Identifier: Apache-2.0
"""What is kept for the loss of a board: the wires that are left, and what stores have room for."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.deploy.boards import Wires, boards_named, line_of, ring_of
from tests.deploy.test_slices import with_identity
from tflsplit.api.found import ranks_of_found
from tflsplit.bundle import read_bundle
from tflsplit.deploy.explore import Explorer
from tflsplit.deploy.image import build_image
from tflsplit.deploy.image_check import parse_image
from tflsplit.deploy.survey import BoardState
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions
from tflsplit.serving import ServeOptions
from tflsplit.serving.boards import Look, chip_of
from tflsplit.serving.losses import Losses, image_bytes, prepare_losses, without
from tflsplit.serving.plans import Plans, Ready, Stage
from tflsplit.serving.running import Stored
from tflsplit.wire.topology import Topology

RING = ring_of("abcd")


def explored(wires: list[tuple[str, int, str, int]], dead: str = "", gateway: str = "a") -> Wiring:
    boards = boards_named("abcd", board=b"host")
    for name in dead:
        boards[name].deaf_until = float("inf")
    there = Wires(boards, wires)
    return Explorer(Surveyor([there.port(gateway)], there.clock), ["p"]).run()


def without_ways(wiring: Wiring) -> Wiring:
    """Which way was shortest is not what matters."""
    boards = (
        replace(one, way=b"", identity=replace(one.identity, arrived=0)) for one in wiring.boards
    )
    return replace(wiring, boards=tuple(boards))


@pytest.mark.parametrize("wires", [RING, line_of("abcd"), [("b", 1, "a", 1), *RING[1:]]])
@pytest.mark.parametrize("dead", "bcd")
def test_what_is_left_is_what_a_look_finds(wires: list[tuple[str, int, str, int]], dead: str):
    whole = explored(wires)
    ids = [one.identity.chip_id[:1] for one in whole.boards]
    left = without(whole, ids.index(dead.encode()))
    assert without_ways(left) == without_ways(explored(wires, dead))


def test_nothing_is_left_without_the_only_gateway():
    with pytest.raises(ClusterError, match="reaches the others through it"):
        without(explored(RING), 0)


def look_at(wiring: Wiring) -> Look:
    def again() -> Look:
        raise AssertionError

    return Look(Surveyor([]), [], wiring, time.monotonic(), again)


class ByHand(Plans):
    """A plan of each number of boards, without a search."""

    def __init__(self, folder: Path) -> None:
        self._bundles = {
            size: read_bundle(bundle_of(folder / str(size), "ds_cnn", size)) for size in (3, 4)
        }
        super().__init__(self._bundles[4], FirmwareOptions(boards=("host",)), ServeOptions())

    def ready(self, wiring: Wiring, stage: Stage = lambda text: None) -> Ready:
        size = len(wiring.boards)
        gateway = ranks_of_found(wiring).index(wiring.gateways[0])
        topology = Topology.RING if size == 4 else Topology.LINE
        options = FirmwareOptions(boards=("host",), topology=topology, gateway=gateway)
        return self._ready(self._bundles[size], options, wiring, "given")


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Plans:
    return ByHand(tmp_path_factory.mktemp("losses"))


@pytest.fixture(scope="module")
def whole() -> Wiring:
    return explored(RING)


def prepared(plans: Plans, wiring: Wiring) -> Losses:
    return prepare_losses(plans, look_at(wiring), plans.ready(wiring))


def test_every_board_keeps_its_part_of_every_loss(plans: Plans, whole: Wiring):
    losses = prepared(plans, whole)
    chips = [chip_of(one) for one in whole.boards]
    assert losses.prepared == tuple(chips[1:])
    assert list(losses.refused) == chips[:1]
    for rank, chip in enumerate(chips):
        image = build_image(losses.slices[chip])
        assert len(image) == image_bytes(losses.slices[chip])
        found = parse_image(image)
        assert (found[0].lost, found[0].rank, found[0].world_size) == (255, rank, 4)
        kept = [one.lost for one in found[1:]]
        assert rank not in kept
        assert set(kept) <= {1, 2, 3}
    total = sum(map(image_bytes, losses.slices.values()))
    assert losses.plan_bytes + losses.extra_bytes == total
    words = losses.words(lambda chip: chip[0][:1].decode())
    assert words.startswith("plans for the loss of b, c, d are kept: ")
    assert words.endswith("; not for a: this computer reaches the others through it")


def test_what_the_stores_have_no_room_for_is_left_out_on_all_boards(plans: Plans, whole: Wiring):
    full = prepared(plans, whole)
    chip = chip_of(whole.boards[0])  # in every plan, as its gateway
    room = image_bytes(full.slices[chip]) - 16
    losses = prepared(plans, with_identity(whole, 0, store_bytes=room))
    (left_out,) = set(full.prepared) - set(losses.prepared)
    assert "bytes of the others' stores are missing" in losses.refused[left_out]
    rank = [chip_of(one) for one in whole.boards].index(left_out)
    assert all(one.lost != rank for some in losses.slices.values() for one in some)


def test_boards_are_only_told_to_run_what_they_are_known_to_hold(plans: Plans, whole: Wiring):
    losses, stored = prepared(plans, whole), Stored()
    ready = plans.ready(whole)
    assert stored.places(look_at(whole), ready, {}) is None
    stored.keep(losses.slices)
    assert stored.places(look_at(whole), ready, {}) is None  # they say that they are blank
    holding = whole
    for place, one in enumerate(whole.boards):
        slices = len(losses.slices[chip_of(one)])
        holding = with_identity(holding, place, state=BoardState.ACTIVE, slices=slices)
    assert stored.places(look_at(holding), ready, losses.slices) == [0, 0, 0, 0]
    left = without(holding, 2)
    spare = plans.ready(left)
    places = stored.places(look_at(left), spare, {})
    assert places is not None
    assert 0 not in places
    second = chip_of(whole.boards[1])
    other = {**losses.slices, second: losses.slices[second][:1]}
    assert stored.places(look_at(holding), ready, other) is None
    stored.forget([second])
    assert stored.places(look_at(holding), ready, {}) is None
