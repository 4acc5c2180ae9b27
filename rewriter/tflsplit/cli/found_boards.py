# SPDX-License-Identifier: Apache-2.0
"""What a survey found: drawn, as a table, as JSON."""

from __future__ import annotations

from typing import Any

from tflsplit.cli.console import STDOUT, note, table, warn
from tflsplit.deploy.survey import BoardFlags, BoardIdentity, BoardState
from tflsplit.deploy.wiring import Wiring
from tflsplit.deploy.words import components, drawing, remarks, shape, topology_words
from tflsplit.report.figures import kib

_SHOWN_DIGITS = 8


def print_wiring(wiring: Wiring, ports: list[str]) -> None:
    """For people: words, drawing, table, remarks."""
    STDOUT.print(f"{topology_words(wiring)} at {', '.join(ports)}", style="bold", soft_wrap=True)
    for line in drawing(wiring, ports):
        STDOUT.print(f"  {line}", soft_wrap=True)
    STDOUT.print()
    rows = [
        [
            wiring.name(index),
            one.kind,
            one.chip or "no id",
            _holds(one.identity),
            kib(one.identity.work_bytes),
            _store(one.identity),
            _rate(one.identity),
        ]
        for index, one in enumerate(wiring.boards)
    ]
    columns = ["<", "<board", "<chip", "<holds", "RAM to use", "<store", "<links"]
    table("boards; the number at each end of a cable is its port", columns, rows)
    for remark in remarks(wiring):
        note(remark)
    warn(wiring.problems)


def wiring_document(wiring: Wiring, ports: list[str]) -> dict[str, Any]:
    """For programs."""
    groups = components(wiring)
    gateways = dict(zip(wiring.gateways, ports, strict=True))
    return {
        "topology": topology_words(wiring),
        "clusters": [
            {"shape": shape(wiring, group), "boards": [wiring.name(board) for board in group]}
            for group in groups
        ],
        "boards": [
            {
                "name": wiring.name(index),
                "port": gateways.get(index),
                "way": list(one.way),
                **_identity_document(one.identity),
                "board": one.kind,
                "chip": one.chip,
            }
            for index, one in enumerate(wiring.boards)
        ],
        "cables": [
            {
                "from": wiring.name(cable.from_board),
                "from_port": cable.from_port,
                "to": wiring.name(cable.to_board),
                "to_port": cable.to_port,
            }
            for cable in wiring.cables
        ],
        "remarks": list(remarks(wiring)),
        "problems": list(wiring.problems),
    }


def _identity_document(identity: BoardIdentity) -> dict[str, Any]:
    flags = identity.flags
    return {
        "state": _state(identity),
        "holds": _holds(identity),
        "fingerprint": identity.fingerprint.hex() if identity.world_size else None,
        "rank": identity.rank if identity.world_size else None,
        "world_size": identity.world_size or None,
        "slices": identity.slices,
        "ports": identity.ports,
        "work_bytes": identity.work_bytes,
        "store_bytes": identity.store_bytes,
        "store_survives_power_loss": bool(flags & BoardFlags.KEEPS_STORE),
        "wants_key": bool(flags & BoardFlags.WANTS_KEY),
        "cmsis_nn": bool(flags & BoardFlags.CMSIS_NN),
        "link": "spi" if flags & BoardFlags.SPI else "uart",
        "baud": identity.baud or None,
        "mtu_bytes": identity.mtu_bytes,
        "rx_ring_bytes": identity.rx_ring_bytes or None,
        "tx_ring_bytes": identity.tx_ring_bytes or None,
        "versions": {"cluster": identity.cluster, "deploy": identity.deploy},
    }


def _state(identity: BoardIdentity) -> str:
    names = {state.value: state.name.lower() for state in BoardState}
    return names.get(identity.state, f"state {identity.state}")


def _holds(identity: BoardIdentity) -> str:
    """``nothing``; ``rank 3 of 8, plan a5a5a5a5``."""
    if identity.state == BoardState.BROKEN:
        text = "an image that is broken"
    elif not identity.world_size:
        text = "nothing"
    else:
        plan = identity.fingerprint.hex()[:_SHOWN_DIGITS]
        text = f"rank {identity.rank} of {identity.world_size}, plan {plan}"
    if identity.slices > 1:
        text += f" and {identity.slices - 1} for losses"
    if identity.state == BoardState.FIXED:
        text += ", built in"
    return f"{text}; more is prepared" if identity.flags & BoardFlags.IS_PREPARED else text


def _store(identity: BoardIdentity) -> str:
    if identity.state == BoardState.FIXED:
        return "built in"
    if not identity.store_bytes:
        return "none"
    kind = "flash" if identity.flags & BoardFlags.KEEPS_STORE else "RAM"
    key = ", wants a key" if identity.flags & BoardFlags.WANTS_KEY else ""
    return f"{kib(identity.store_bytes)} {kind}{key}"


def _rate(identity: BoardIdentity) -> str:
    link = "SPI" if identity.flags & BoardFlags.SPI else "UART"
    return f"{link} {identity.baud / 1e6:g} Mbaud" if identity.baud else link
