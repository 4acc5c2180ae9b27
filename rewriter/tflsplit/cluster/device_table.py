# SPDX-License-Identifier: Apache-2.0
"""A device as a table of TOML: of cluster.toml, perhaps with a board behind it, or of a board."""

from __future__ import annotations

from dataclasses import fields, replace

from tflsplit.cluster.banks import KEY, read_banks
from tflsplit.cluster.cycles import (
    BESIDE_MACS,
    TFLM_BESIDE,
    TFLM_CONVOLUTIONS,
    Cycles,
    Family,
)
from tflsplit.cluster.links import USB_SPEEDS
from tflsplit.cluster.spec import Device
from tflsplit.cluster.table import Table
from tflsplit.cluster.toml_file import suggestion

KERNELS = ("reference", "cmsis_nn", "cmsis_nn_mve")
ABIS = ("cortex_m", "esp32")
USB = tuple(USB_SPEEDS)
_COARSE = (
    Family.CONV,
    Family.POINTWISE,
    Family.DEPTHWISE,
    Family.FULLY_CONNECTED,
    Family.OTHER,
    Family.COPY,
)


def refuse_unknown_keys(table: Table) -> None:
    """ClusterError for a key that no device has, before anything is missed for want of it."""
    own = {item.name for item in fields(Device)} - {"cycles", "banks"}
    known = own | {"count", "cycles_per_mac", KEY}
    for key in table.content:
        if key not in known:
            raise table.error(key, f"unknown key{suggestion(key, known)}")


def read_device(table: Table, board: Device | None, name: str) -> Device:
    """The device of a table; what it leaves out is the board's.

    Raises ClusterError where it is wrong, or lacks what no board gives.
    """
    ram = table.integer("ram_bytes", board.ram_bytes if board else None, low=1024)
    block = board.ram_block_bytes if board and not table.has("ram_bytes") else ram
    device = Device(
        name=table.text("name", name),
        board=board.board if board else "",
        ram_bytes=ram,
        ram_block_bytes=table.integer("ram_block_bytes", block, low=1024, high=ram),
        flash_bytes=table.integer("flash_bytes", board.flash_bytes if board else None, low=1024),
        clock_hz=table.integer("clock_hz", board.clock_hz if board else None, low=1_000_000),
        cycles=_cycles(table.table("cycles_per_mac"), board.cycles if board else None),
    )
    base = board or device
    return replace(
        device,
        stack_bytes=table.integer("stack_bytes", base.stack_bytes),
        runtime_bytes=table.integer("runtime_bytes", base.runtime_bytes),
        code_bytes=table.integer("code_bytes", base.code_bytes),
        arena_limit_bytes=table.optional_integer("arena_limit_bytes", base.arena_limit_bytes),
        weights_limit_bytes=table.optional_integer("weights_limit_bytes", base.weights_limit_bytes),
        kernels=table.text("kernels", base.kernels, KERNELS),
        abi=table.text("abi", base.abi, ABIS),
        flash_bytes_per_s=_flash_rate(table, base.flash_bytes_per_s),
        flash_cache_bytes=table.integer("flash_cache_bytes", base.flash_cache_bytes),
        active_mw=table.optional_number("active_mw", base.active_mw),
        idle_mw=table.optional_number("idle_mw", base.idle_mw),
        usb=table.text("usb", base.usb, USB),
        banks=read_banks(table, base.banks),
    )


def _flash_rate(table: Table, default: float | None) -> float | None:
    key = "flash_bytes_per_s"
    return table.number(key, None, low=1.0) if table.has(key) else default


def _cycles(table: Table, board: Cycles | None) -> Cycles:
    """Of a table; what it leaves out is the board's.

    Without a board the first six must be stated: nothing is guessed.  Whoever states the cycles of
    all multiply-accumulates, and no part beside them, means numbers that include these parts.
    """
    six = [family.value for family in _COARSE]
    numbers = {key: table.number(key, getattr(board, key, None), low=0.01) for key in six}
    included = all(table.has(key) for key in six[:4])
    for family in BESIDE_MACS:
        included = not table.has(family.value) and included
    parts = {
        family.value: table.number(
            family.value, 0.0 if included or board is None else board.of(family)
        )
        for family in BESIDE_MACS
    }
    fallback = {
        family.value: table.optional_number(family.value, getattr(board, family.value, None))
        for family in (Family.TFLM, Family.REQUANTIZE, Family.ADD, Family.SUM)
    }
    of_tflm = _tflm_convolutions(table, board)
    table.refuse_unknown()
    return Cycles(**numbers, **parts, **fallback, **of_tflm)  # type: ignore[arg-type]


def _tflm_convolutions(table: Table, board: Cycles | None) -> dict[str, float | None]:
    """Of TFLM's own convolutions; ``tflm_per_mac``, if stated, stands for those of a board, too."""
    base = None if table.has(Family.TFLM.value) else board
    found: dict[str, float | None] = {
        family.value: table.optional_number(family.value, getattr(base, family.value, None))
        for family in TFLM_CONVOLUTIONS
    }
    for family in TFLM_BESIDE:
        found[family.value] = table.number(family.value, base.of(family) if base else 0.0)
    return found
