# SPDX-License-Identifier: Apache-2.0
"""Power lost during a deployment; ``python -m tests.deploy.power`` does it at every frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.power import BOARDS, Bench, active_of, bench, slots_of
from tests.native import needs_cxx, needs_wheel_reader

pytestmark = [needs_wheel_reader, needs_cxx]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("power")) as here:
        yield here


@pytest.mark.parametrize("victim", range(BOARDS))
def test_every_board_holds_the_old_plan_or_the_new_one(boards: Bench, victim: int):
    """Early, in the middle of an image, and about the commits; each board elsewhere."""
    shares = (0.1, 0.4 + victim / 10, 0.9 + victim / 33)
    found = [boards.lose(victim, int(share * boards.frames)) for share in shares]
    assert found[0] == "old"


def test_the_same_deployment_again_completes_it(boards: Bench):
    boards.lose(1, int(0.93 * boards.frames))
    boards.completes()


def test_a_store_that_is_damaged_is_noticed(boards: Bench):
    """The judge can tell: a byte of the image, and of the record of its commit."""
    store, image = boards.template[0], boards.old.images[0]
    half = len(store) // 2
    base = 0 if store.startswith(image) else half
    for at in (0, len(image) - 1, half - 96, half - 1):
        damaged = bytearray(store)
        damaged[base + at] ^= 1
        assert active_of(bytes(damaged)) is None
    assert slots_of(b"\xff" * len(store)) == []
