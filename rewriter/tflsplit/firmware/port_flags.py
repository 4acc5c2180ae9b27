# SPDX-License-Identifier: Apache-2.0
"""What a device's port is compiled with: rate and ring buffers of its links; and its kernels."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.cluster import LinkKind, known_board
from tflsplit.cluster.links import LINK_DEFAULTS, FlowControl
from tflsplit.cluster.rings import ring_bytes
from tflsplit.errors import ClusterError
from tflsplit.firmware.boards import BOARDS, Board
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.firmware.wiring import HOST_PORT, WiredLink
from tflsplit.wire.topology import Topology

_CORES_OWN = "SERIAL_{}_BUFFER_SIZE"
"""STM32's core compiles its serial ports with these."""


def port_ring_bytes(board: Board, baud: int | None, options: FirmwareOptions) -> tuple[int, int]:
    """The receiving and the sending ring of one link, as ``Cluster.ring_bytes`` has them.

    baud: of the links, or SPI's clock; None: emulated ones, which stand for the kind's usual rate.
    """
    link = LINK_DEFAULTS[LinkKind(options.link)]
    rate = baud or options.baud or link.bit_rate
    poll_us = board.tick_us if options.background_poll_us is None else options.background_poll_us
    given, byte_us = (options.port_rx_bytes, options.port_tx_bytes), link.bits_per_byte * 1e6 / rate
    return ring_bytes(given, options.mtu_bytes, options.rx_slots, byte_us, poll_us)


def build_flags(
    board: Board, links: Sequence[WiredLink], baud: int | None, options: FirmwareOptions
) -> str:
    """The line of an environment; "" for a program of this computer, which has no port to size.

    links: of the device, that to the host included.
    """
    if board.section == "host":
        return ""
    receiving, sending = port_ring_bytes(board, baud, options)
    flags = [f"-DSPLIT_PORT_RX_BYTES={receiving}", f"-DSPLIT_PORT_TX_BYTES={sending}"]
    flags.append(f"-DSPLIT_PORT_LINKS={len(links)}")
    peers = sum(link.port != HOST_PORT for link in links)
    if options.topology is Topology.BUS and peers:
        flags += ["-DSPLIT_PORT_ETHERNET", f"-DSPLIT_PORT_PEERS={peers}"]
        flags.append(f"-DSPLIT_PORT_MTU_BYTES={options.mtu_bytes}")
    if board.dual_issue:
        flags.append("-DSPLIT_KERNELS_DUAL_ISSUE")
    if board.stack_is_ours:
        flags.append(
            f"-Wl,--defsym=SPLIT_PORT_STACK_BYTES={known_board(board.section).stack_bytes}"
        )
    if board.core_serial_buffers:
        flags += [f"-D{_CORES_OWN.format('RX')}={receiving}"]
        flags += [f"-D{_CORES_OWN.format('TX')}={sending}"]
    if board.baud is not None and options.topology is not Topology.BUS:
        is_spi = options.link == LinkKind.SPI.value
        rate = ["-DSPLIT_PORT_SPI", f"-DSPLIT_PORT_SPI_HZ={baud}"]
        flags += rate if is_spi else [f"-DSPLIT_PORT_BAUD={baud}"]
        flags += _flow_control(board, options)
    base = "arduino" if board.core_serial_buffers else board.section
    return f"build_flags = ${{board:{base}.build_flags}} {' '.join(flags)}"


def _flow_control(board: Board, options: FirmwareOptions) -> list[str]:
    if options.flow_control is FlowControl.NONE:
        return []
    if options.link != LinkKind.UART.value or not board.has_rts_cts:
        able = ", ".join(name for name, each in BOARDS.items() if each.has_rts_cts)
        raise ClusterError(
            f'flow_control = "{options.flow_control.value}": the firmware has it for UARTs of '
            f"{able}, not for {options.link} of {board.name}; leave it out of [link_layer]"
        )
    return ["-DSPLIT_PORT_RTS_CTS"]
