# SPDX-License-Identifier: Apache-2.0
"""What a user may wish of the firmware beside the plan."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tflsplit.cluster import LinkKind
from tflsplit.cluster.banks import Bank
from tflsplit.cluster.links import FlowControl
from tflsplit.errors import ClusterError, counted
from tflsplit.memory.demand import Kernels
from tflsplit.wire.frames import MAX_MTU_BYTES, MIN_MTU_BYTES
from tflsplit.wire.topology import Topology

TFLM_DIR_VARIABLE = "TFLSPLIT_TFLM_DIR"
DEFAULT_BOARD = "teensy41"
DEFAULT_MARGIN_BYTES = 1024
MIN_TICK_US, MAX_TICK_US = 20, 5_000


def _tflm_dir_of_environment() -> Path | None:
    text = os.environ.get(TFLM_DIR_VARIABLE, "")
    return Path(text) if text else None


@dataclass(frozen=True)
class FirmwareOptions:
    """How the devices are built and wired.

    boards: one for all devices, or one for each.
    gateway: the rank that the host computer is wired to.
    ahead: memory for the next inference's input, which comes while one is computed.
    direct: every rank is wired to the host, and takes its input and gives its output there.
    mtu_bytes: the largest frame, a multiple of 4.
    rx_slots, tx_slots: frames in transit per link, own frames under way (docs/wire_format.md).
    port_rx_bytes, port_tx_bytes: ring buffers of one link in the board's port; None: by their rule
        (``tflsplit.cluster.rings``).
    flow_control: of UARTs; boards of this computer have no pins, and take none.
    link: what joins the devices: "uart" or "spi", "ethernet" where the topology is a bus; other
        kinds can be planned for, not built.
    baud: of the links, or SPI's clock in Hz; None: the slowest board's default.
    arena_margin_bytes: added to the arena that is predicted.
    kernels: TFLM's kernels that the arenas are predicted for; None: those of ``tflm_dir``, or the
        larger arena of both kinds if that is not known.
    tflm_dir: a local TFLM tree, for the prediction only unless ``name_tflm_dir``.
    name_tflm_dir: write it into nodes.ini, so that every build uses it.
    timeout_ms: longest wait of a device for one box; None: by kind of board.
    peer_timeout_ms: a neighbour that has sent no sound frame for so long counts as silent; None: by
        kind of board.
    background_poll_us: how often a timer polls the links while a kernel runs; 0: never; None: by
        the board's clock.
    banks: of each rank's device, which the plan counts on; (): they have none, or nobody knows.
    one_piece: arenas are in one memory, whatever the plan counts on: generic firmware has no banks.
    """

    boards: tuple[str, ...] = (DEFAULT_BOARD,)
    topology: Topology = Topology.RING
    gateway: int = 0
    mtu_bytes: int = 512
    rx_slots: int = 4
    tx_slots: int = 4
    port_rx_bytes: int | None = None
    port_tx_bytes: int | None = None
    flow_control: FlowControl = FlowControl.NONE
    link: str = LinkKind.UART.value
    baud: int | None = None
    arena_margin_bytes: int = DEFAULT_MARGIN_BYTES
    kernels: Kernels | None = None
    tflm_dir: Path | None = field(default_factory=_tflm_dir_of_environment)
    name_tflm_dir: bool = False
    timeout_ms: int | None = None
    peer_timeout_ms: int | None = None
    background_poll_us: int | None = None
    direct: bool = False
    ahead: bool = False
    banks: tuple[tuple[Bank, ...], ...] = ()
    one_piece: bool = False

    def gateways_of(self, world_size: int) -> tuple[int, ...]:
        """The ranks that the host computer is wired to."""
        return tuple(range(world_size)) if self.direct else (self.gateway,)

    def __post_init__(self) -> None:
        mtu_fits = MIN_MTU_BYTES <= self.mtu_bytes <= MAX_MTU_BYTES and self.mtu_bytes % 4 == 0
        if not mtu_fits:
            raise ClusterError(
                f"an MTU of {self.mtu_bytes} bytes is not a multiple of 4 from "
                f"{MIN_MTU_BYTES} to {MAX_MTU_BYTES}"
            )
        if self.arena_margin_bytes < 0:
            raise ClusterError(f"an arena margin of {self.arena_margin_bytes} bytes is negative")
        period_us = self.background_poll_us
        if period_us and not MIN_TICK_US <= period_us <= MAX_TICK_US:
            raise ClusterError(
                f"polling every {period_us} us is out of range: {MIN_TICK_US} to {MAX_TICK_US}, "
                "or 0 for never"
            )
        if self.baud is not None and self.baud < 9600:
            raise ClusterError(f"{self.baud} baud is too slow for a link; give 9600 or more")

    def boards_of(self, world_size: int) -> tuple[str, ...]:
        """The board of each rank; ClusterError if there is another number of them."""
        boards = self.boards * world_size if len(self.boards) == 1 else self.boards
        if len(boards) != world_size:
            raise ClusterError(
                f"{len(boards)} boards are named for {counted(world_size, 'device')}; "
                "name one, or one for each"
            )
        return boards
