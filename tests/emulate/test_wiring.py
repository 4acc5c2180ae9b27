# SPDX-License-Identifier: Apache-2.0
import pytest

from tflsplit.emulate import HOST, Port, Wire, line, ring, star
from tflsplit.emulate.wiring import HOST_LINK, LINKS_PER_DEVICE, check_wires
from tflsplit.errors import ClusterError


def test_a_ring_is_a_closed_line():
    assert line(3) == (Wire(Port(0, 1), Port(1, 0)), Wire(Port(1, 1), Port(2, 0)))
    assert ring(3) == (*line(3), Wire(Port(2, 1), Port(0, 0)))


def test_a_ring_of_one_is_wired_to_itself():
    assert ring(1) == (Wire(Port(0, 1), Port(0, 0)),)


def test_the_gateway_gets_a_wire_to_the_host():
    assert line(2, gateway=1)[-1] == Wire(Port(1, HOST_LINK), HOST)


@pytest.mark.parametrize("world_size", range(1, 9))
def test_lines_and_rings_use_every_port_once(world_size: int):
    check_wires(line(world_size, gateway=0), world_size)
    check_wires(ring(world_size, gateway=world_size - 1), world_size)


def test_a_star_is_limited_by_the_links_of_its_middle():
    assert len(star(LINKS_PER_DEVICE, gateway=0)) == LINKS_PER_DEVICE
    with pytest.raises(ClusterError, match="link 4 of rank 0"):
        star(LINKS_PER_DEVICE + 2)
    with pytest.raises(ClusterError, match="link 3 of rank 0 is wired twice"):
        star(LINKS_PER_DEVICE + 1, gateway=0)


@pytest.mark.parametrize(
    ("wires", "message"),
    [
        ([Wire(Port(0, 0), Port(2, 0))], "link 0 of rank 2 is wired, but the cluster has 2"),
        ([Wire(Port(0, 4), Port(1, 0))], "link 4 of rank 0 is wired, but a device has 4"),
        ([Wire(Port(0, 0), Port(0, 0))], "link 0 of rank 0 is wired twice"),
    ],
)
def test_wrong_wires_are_named(wires: list[Wire], message: str):
    with pytest.raises(ClusterError, match=message):
        check_wires(wires, 2)


def test_a_gateway_must_exist():
    with pytest.raises(ClusterError, match="gateway 3"):
        ring(3, gateway=3)
