# SPDX-License-Identifier: Apache-2.0
"""A cluster.toml as wishes for the firmware: the boards and wires that were planned for."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.cluster import Cluster, LinkKind, board_names
from tflsplit.cluster.words import LINK_WORDS
from tflsplit.errors import ClusterError
from tflsplit.firmware.boards import BOARDS, board_named
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.wire.topology import Topology

_SERIAL_LINKS = (LinkKind.UART, LinkKind.SPI)
LINKS = (*_SERIAL_LINKS, LinkKind.ETHERNET)
"""Kinds of links that the firmware has."""


def options_of_cluster(cluster: Cluster, boards: tuple[str, ...] = ()) -> FirmwareOptions:
    """The options that make the firmware of this cluster.

    boards: as in FirmwareOptions, instead of those that the cluster names.
    Raises ClusterError for what no firmware can do: a device without a board that tflsplit knows
    how to build for, a bus other than Ethernet, input and output at different devices.
    """
    if cluster.topology is Topology.BUS and cluster.link.kind is not LinkKind.ETHERNET:
        raise ClusterError(
            f"the firmware has no port for a bus of {LINK_WORDS[cluster.link.kind]}, only for "
            "Ethernet; wire a ring, a line or a star"
        )
    if cluster.input_rank != cluster.output_rank:
        raise ClusterError(
            f"input enters at rank {cluster.input_rank} and output leaves at rank "
            f"{cluster.output_rank}; the firmware's host hangs on one device"
        )
    banks = tuple(device.banks for device in cluster.devices)
    return FirmwareOptions(
        boards=boards or tuple(_board(cluster, rank) for rank in range(cluster.world_size)),
        topology=cluster.topology,
        gateway=cluster.input_rank,
        direct=cluster.direct,
        ahead=cluster.ahead,
        mtu_bytes=cluster.mtu_bytes,
        link=cluster.link.kind.value,
        baud=cluster.link.bit_rate if cluster.link.kind in _SERIAL_LINKS else None,
        rx_slots=cluster.rx_slots,
        tx_slots=cluster.tx_slots,
        port_rx_bytes=cluster.port_rx_bytes,
        port_tx_bytes=cluster.port_tx_bytes,
        flow_control=cluster.flow_control,
        background_poll_us=(
            None if cluster.background_poll_us is None else round(cluster.background_poll_us)
        ),
        banks=banks if any(banks) else (),
    )


def refuse_boards_without_firmware(boards: Sequence[str], cluster: Cluster | None = None) -> None:
    """ClusterError for the first board that can be planned for, but that nothing is built for.

    boards: as a user names them; without any, those of the cluster, where a device that it
    describes by numbers alone is nobody's board.
    """
    for name in boards:
        board_named(name)
    if cluster is not None and not boards:
        for rank in range(cluster.world_size):
            _refuse_without_firmware(cluster, rank)


def _refuse_without_firmware(cluster: Cluster, rank: int) -> None:
    board = cluster.devices[rank].board
    if board in board_names():
        try:
            board_named(board)
        except ClusterError as error:
            raise ClusterError(f"device {rank} of the cluster: {error}") from None


def _board(cluster: Cluster, rank: int) -> str:
    _refuse_without_firmware(cluster, rank)
    device = cluster.devices[rank]
    if device.board not in BOARDS:
        what = f"board {device.board!r}" if device.board else "no board"
        raise ClusterError(
            f"device {rank} of the cluster has {what}; firmware is generated for "
            f"{', '.join(BOARDS)} (name them with --board)"
        )
    return device.board
