# SPDX-License-Identifier: Apache-2.0
"""Images of a folder for found boards, and boards that cannot take them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.deploy.boards import Wires, boards_named, ring_of
from tests.splits import tiny
from tflsplit.api.found import cluster_of_found
from tflsplit.api.planned import planned_for
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.deploy.deploying import deploy_images, prepare_images
from tflsplit.deploy.explore import Explorer
from tflsplit.deploy.image_check import parse_image
from tflsplit.deploy.survey import BoardFlags, BoardIdentity, BoardState
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions
from tflsplit.memory.abi import CORTEX_M
from tflsplit.memory.arena import predict_arena
from tflsplit.tflite import write_model

OPTIONS = FirmwareOptions(boards=("host",))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(bundle_of(tmp_path_factory.mktemp("slices") / "plan", "ds_cnn", 3))


@pytest.fixture(scope="module")
def ring() -> Wiring:
    wires = Wires(boards_named("abc", board=b"host"), ring_of("abc"))
    return Explorer(Surveyor([wires.port("a")], wires.clock), ["p"]).run()


def with_identity(wiring: Wiring, place: int, **fields: object) -> Wiring:
    boards = list(wiring.boards)
    identity: BoardIdentity = replace(boards[place].identity, **fields)  # type: ignore[arg-type]
    boards[place] = replace(boards[place], identity=identity)
    return replace(wiring, boards=tuple(boards))


def test_slices_are_what_the_firmware_would_be(bundle: Bundle, ring: Wiring):
    prepared = prepare_images(bundle, OPTIONS, ring)
    assert prepared.placement.boards == (0, 1, 2)
    for rank, image in enumerate(prepared.images):
        (one,) = parse_image(image)
        assert (one.rank, one.world_size, one.board) == (rank, 3, b"host")
        assert one.fingerprint.hex() == bundle.document["fingerprint"]
        ports = [link.port for link in one.links]
        assert ports == ([0, 1, 255] if rank == 0 else [0, 1])
        assert one.flags == 0
        assert one.required_arena_bytes < one.arena_bytes


def test_kernels_are_the_boards(bundle: Bundle, ring: Wiring):
    wiring = ring
    for board in range(3):
        wiring = with_identity(wiring, board, flags=BoardFlags.CMSIS_NN)
    for image in prepare_images(bundle, OPTIONS, wiring).images:
        assert parse_image(image)[0].flags == 1


def test_arenas_of_boards_with_the_registrys_tflm_are_for_its_kernels(tmp_path: Path, ring: Wiring):
    """Whatever tree this computer has: the board has none."""
    stock = read_bundle(bundle_of(tmp_path / "stock", "ds_cnn", 3, stock=True))
    of_tree = FirmwareOptions(boards=("pico",), tflm_dir=tmp_path)
    wiring = ring
    for board in range(3):
        wiring = with_identity(wiring, board, board=b"pico", baud=3_000_000, store_bytes=1 << 20)
    for device, image in zip(
        stock.devices, prepare_images(stock, of_tree, wiring).images, strict=True
    ):
        needs = {
            kernels: predict_arena(device.graph, CORTEX_M, kernels).required_bytes
            for kernels in ("registry_plain", "reference")
        }
        assert parse_image(image)[0].required_arena_bytes == needs["registry_plain"]
        assert needs["registry_plain"] > needs["reference"]


def test_no_more_is_in_transit_than_the_boards_have_room_for(bundle: Bundle, ring: Wiring):
    """Four frames of 512 bytes, by the plan; 3 of them and what needs no credit fit 2,000 bytes."""
    wiring = with_identity(ring, 1, rx_ring_bytes=2000, tx_ring_bytes=300)
    prepared = prepare_images(bundle, OPTIONS, wiring)
    assert OPTIONS.rx_slots == 4
    assert [parse_image(image)[0].rx_slots for image in prepared.images] == [3, 3, 3]
    assert prepared.options.rx_slots == 3
    wiring = with_identity(ring, 1, rx_ring_bytes=4 * 517 + 256)
    assert prepare_images(bundle, OPTIONS, wiring).options.rx_slots == 4


def test_a_plan_for_boards_has_links_that_they_have_room_for(ring: Wiring):
    """And no memory is set aside for rings, which are the firmware's own."""
    wide = cluster_of_found(ring)
    assert (wide.mtu_bytes, wide.rx_slots, wide.port_rx_bytes) == (512, 4, None)
    told = cluster_of_found(with_identity(ring, 2, rx_ring_bytes=4096, tx_ring_bytes=1024))
    assert (told.rx_slots, told.port_rx_bytes, told.port_tx_bytes) == (4, 4096, 1024)
    assert told.devices == wide.devices
    small = cluster_of_found(with_identity(ring, 0, rx_ring_bytes=1200))
    assert (small.mtu_bytes, small.rx_slots) == (256, 3)
    assert small.devices[0].arena_limit_bytes > told.devices[0].arena_limit_bytes  # type: ignore


def with_stores_of(wiring: Wiring, store_bytes: int) -> Wiring:
    for board in range(len(wiring.boards)):
        wiring = with_identity(wiring, board, store_bytes=store_bytes)
    return wiring


def test_what_an_image_has_beside_weights_is_left_room_in_the_next_plan(ring: Wiring):
    """The first plan's images are of up to 24,688 bytes."""
    model, small = write_model(tiny("resnet")), with_stores_of(ring, 22_000)
    planned = planned_for(model, small, "ram")
    images = prepare_images(planned.split.bundle, planned.options, small).images
    assert max(map(len, images)) <= 22_000
    assert sum(map(len, images)) > 2 * 22_000


def test_a_store_that_no_plan_fits_is_named_with_what_is_missing(ring: Wiring):
    with pytest.raises(ClusterError, match=r"nothing fits: .* missing"):
        planned_for(write_model(tiny("resnet")), with_stores_of(ring, 10_000), "ram")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"work_bytes": 9000}, r"rank 1 needs [0-9,]+ bytes of RAM, board B \(host\) lacks"),
        ({"store_bytes": 2000}, r"rank 1 needs [0-9,]+ bytes of store, board B \(host\) lacks"),
        (
            {"board": b"pico"},
            r"rank 1 is planned for host, board B is pico.*--board host,pico,host",
        ),
        ({"state": BoardState.FIXED}, r"board B: the firmware was built for one plan"),
        ({"baud": 9600}, r"links run at 0, 9600 baud"),
        ({"mtu_bytes": 256}, r"frames of 512 bytes, the boards take 256: .*--mtu 256"),
        ({"rx_ring_bytes": 1000}, r"frames of 512 bytes, .* into 1,000, .*too little for two"),
    ],
)
def test_boards_that_cannot_take_it(
    bundle: Bundle, ring: Wiring, fields: dict[str, object], said: str
):
    with pytest.raises(ClusterError, match=said):
        prepare_images(bundle, OPTIONS, with_identity(ring, 1, **fields))


def test_boards_that_want_a_key_are_not_asked_without_one(bundle: Bundle, ring: Wiring):
    wiring = with_identity(ring, 2, flags=BoardFlags.WANTS_KEY)
    prepared = prepare_images(bundle, OPTIONS, wiring)
    with pytest.raises(ClusterError, match="only with their key: give its file with --key"):
        deploy_images(prepared, Surveyor([]), [], wiring)
