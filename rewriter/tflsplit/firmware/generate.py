# SPDX-License-Identifier: Apache-2.0
"""All generated files of a device set, as contents: nothing is written here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tflsplit.bundle.folder import mark_of, marked
from tflsplit.bundle.plan_json import Json
from tflsplit.check.schedule import multicast_hold_us
from tflsplit.cluster import LinkKind
from tflsplit.cluster.rates import own_rate
from tflsplit.errors import ClusterError
from tflsplit.firmware.application import HEADER, application_header
from tflsplit.firmware.arenas import arena_bytes, required_arena_bytes
from tflsplit.firmware.banks import placed_banks
from tflsplit.firmware.boards import BOARDS, Board, board_named
from tflsplit.firmware.model import flash_model
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.firmware.resolver import resolver_calls
from tflsplit.firmware.slots import Slots, slots_of
from tflsplit.firmware.sources import NODE_FOLDER, DeviceSources, source_files
from tflsplit.firmware.timing import LinkTiming, timing_of
from tflsplit.firmware.wiring import WiredLink, wire_links
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire
from tflsplit.wire.control import INPUT_CHANNEL, MAX_OPERANDS
from tflsplit.wire.topology import Topology

FORMAT = "tflsplit-firmware"
VERSION = 3
DOCUMENT = "firmware.json"
FOLDER = "firmware"
_INFERENCE_TIMEOUTS = 4
"""An application gives up an inference after so many times the longest wait for one box."""


def firmware_files(
    document: Json, devices: Sequence[DeviceGraph], options: FirmwareOptions
) -> dict[str, bytes]:
    """Path below the output folder -> contents: ``firmware.json``, ``firmware/node0/…``, ….

    document: plan.json.
    Raises ClusterError if boards and plan do not fit each other, UnsupportedOpError for an operator
    that the firmware does not have.
    """
    sources = device_sources(document, devices, options)
    files = {DOCUMENT: (json.dumps(_document(sources, options), indent=1) + "\n").encode()}
    for device in sources:
        for name, contents in source_files(device).items():
            files[f"{folder_of(device.rank)}/{name}"] = contents
    timeout_ms = _INFERENCE_TIMEOUTS * sources[0].timing.timeout_ms
    header = application_header(document, devices, options.gateway, timeout_ms)
    if header is not None and not options.direct:
        files[f"{folder_of(options.gateway)}/{HEADER}"] = header.encode()
    return files


def firmware_document(
    document: Json, devices: Sequence[DeviceGraph], options: FirmwareOptions
) -> dict[str, Any]:
    """firmware.json of these options; document: plan.json.  Errors as ``firmware_files``."""
    return _document(device_sources(document, devices, options), options)


def folder_of(rank: int) -> str:
    """The folder with a rank's sources, below the output folder."""
    return f"{FOLDER}/{NODE_FOLDER.format(rank=rank)}"


def device_sources(
    document: Json, devices: Sequence[DeviceGraph], options: FirmwareOptions
) -> tuple[DeviceSources, ...]:
    """By rank."""
    _check_channels(devices)
    boards = [board_named(name) for name in options.boards_of(len(devices))]
    _check_link(boards, options)
    links = wire_links(options.topology, len(devices), options.gateways_of(len(devices)))
    baud = link_baud(boards, options)
    timing = _timing(boards, baud, options, devices)
    return tuple(
        _device(document, *each, baud, timing, options)
        for each in zip(devices, boards, links, slots_of(devices, options.ahead), strict=True)
    )


def link_baud(boards: Sequence[Board], options: FirmwareOptions) -> int | None:
    """What all links run at, baud or Hz; None where no board has a rate (emulated ones)."""
    rate = own_rate([board.name for board in boards], LinkKind(options.link))
    return None if rate is None else options.baud or rate


def _is_spi(options: FirmwareOptions) -> bool:
    return options.link == LinkKind.SPI.value


def _check_link(boards: Sequence[Board], options: FirmwareOptions) -> None:
    """Emulated boards stand for whatever was planned: their wires are the emulator's."""
    if options.topology is Topology.BUS:
        _check_ethernet(boards, options)
        return
    real = [board for board in boards if not board.is_emulated]
    if not real or options.link == LinkKind.UART.value:
        return
    if not _is_spi(options):
        raise ClusterError(
            f"the firmware has no {options.topology.value} of {options.link}, only of uart, spi, "
            "and a switch of ethernet; for others, see docs/adding_a_board.md"
        )
    lacking = sorted({board.name for board in real if board.spi_hz is None})
    if lacking:
        have = ", ".join(board.name for board in BOARDS.values() if board.spi_hz is not None)
        raise ClusterError(
            f"no SPI link for {', '.join(lacking)}: both ends exist for {have} only; use UART links"
        )
    if options.topology not in (Topology.RING, Topology.LINE):
        raise ClusterError(
            "an SPI link's master is always the rank before its slave: wire a ring or a line, "
            f"not a {options.topology.value}"
        )


def _check_ethernet(boards: Sequence[Board], options: FirmwareOptions) -> None:
    if options.link != LinkKind.ETHERNET.value:
        raise ClusterError(
            f"no board has a port for a bus of {options.link}, only for ethernet; wire a ring, a "
            "line or a star"
        )
    lacking = sorted({board.name for board in boards if not board.has_ethernet})
    if lacking:
        have = ", ".join(board.name for board in BOARDS.values() if board.has_ethernet)
        raise ClusterError(
            f"no Ethernet port for {', '.join(lacking)}: there is one for {have} only; plan with "
            "--link uart or spi"
        )


def _timing(
    boards: Sequence[Board],
    baud: int | None,
    options: FirmwareOptions,
    devices: Sequence[DeviceGraph],
) -> LinkTiming:
    is_emulated = any(board.is_emulated for board in boards)
    timing = timing_of(options.mtu_bytes, options.rx_slots, baud, is_emulated)
    if options.timeout_ms is not None:
        timing = replace(timing, timeout_ms=options.timeout_ms)
    if options.peer_timeout_ms is not None:
        timing = replace(timing, peer_timeout_us=1000 * options.peer_timeout_ms)
    hold_us = multicast_hold_us(devices, timing.timeout_ms * 1000)
    return replace(timing, multicast_hold_us=hold_us)


def _device(
    document: Json,
    device: DeviceGraph,
    board: Board,
    links: tuple[WiredLink, ...],
    slots: Slots,
    baud: int | None,
    timing: LinkTiming,
    options: FirmwareOptions,
) -> DeviceSources:
    rank, world_size = device.rank, int(document["world_size"])
    fingerprint = str(document["fingerprint"])
    required = required_arena_bytes(device.graph, board, options)
    return DeviceSources(
        rank=rank,
        world_size=world_size,
        fingerprint=fingerprint,
        mark=mark_of(rank, world_size, fingerprint),
        board=board,
        mtu_bytes=options.mtu_bytes,
        baud=baud,
        rx_slots=options.rx_slots,
        tx_slots=options.tx_slots,
        arena_bytes=arena_bytes(required, options),
        required_arena_bytes=required,
        banks=placed_banks(device, board, options),
        next_input_bytes=device.graph.input_bytes if options.ahead else 0,
        links=links,
        slots=slots,
        timing=timing,
        background_poll_us=(
            board.tick_us if options.background_poll_us is None else options.background_poll_us
        ),
        calls=resolver_calls(device.graph),
        model=flash_model(marked(device.graph, rank, world_size, fingerprint)),
    )


def _check_channels(devices: Sequence[DeviceGraph]) -> None:
    """The host's channels are above those of the plan (docs/cluster_protocol.md)."""
    for device in devices:
        graph = device.graph
        channels = [n.attrs.integer("channel") for n in graph.nodes if n.op == wire.SEND]
        if max(channels, default=0) >= INPUT_CHANNEL:
            raise ClusterError(
                f"the plan uses channel {max(channels)}, but those from {INPUT_CHANNEL} on belong "
                "to the host: use fewer devices"
            )
        if max(len(graph.inputs), len(graph.outputs)) > MAX_OPERANDS:
            raise ClusterError(f"rank {device.rank} has more than {MAX_OPERANDS} inputs or outputs")


def _document(devices: Sequence[DeviceSources], options: FirmwareOptions) -> dict[str, Any]:
    first = devices[0]
    timing = dict(vars(first.timing))
    timeout_ms = timing.pop("timeout_ms")
    return {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": first.fingerprint,
        "world_size": first.world_size,
        "node_count": first.world_size + 1,
        "gateway": options.gateway,
        "direct": options.direct,
        "ahead": options.ahead,
        "topology": options.topology.value,
        "mtu_bytes": first.mtu_bytes,
        "link": options.link,
        "baud": first.baud,
        "host_baud": devices[options.gateway].board.host_baud,
        "timing": timing,
        "timeout_ms": timeout_ms,
        "kernels": options.kernels,
        "devices": [_device_entry(device) for device in devices],
    }


def _device_entry(device: DeviceSources) -> dict[str, Any]:
    return {
        "rank": device.rank,
        "env": f"node{device.rank}",
        "board": device.board.name,
        "folder": folder_of(device.rank),
        "arena_bytes": device.arena_bytes,
        "arena_margin_bytes": device.arena_bytes - device.required_arena_bytes,
        "next_input_bytes": device.next_input_bytes,
        **({"banks": {b.name: b.size_bytes for b in device.banks}} if device.banks else {}),
        "model_bytes": len(device.model),
        "background_poll_us": device.background_poll_us,
        "links": [{"peer": link.table.peer_rank, "port": link.port} for link in device.links],
    }
