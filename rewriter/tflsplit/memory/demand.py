# SPDX-License-Identifier: Apache-2.0
"""What one node asks of the arena, whatever kind of operator it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from tflsplit.errors import UserError
from tflsplit.ir import Node
from tflsplit.memory import cmsis_nn, cmsis_nn_mve, custom, kernels, registry_tflm, structs
from tflsplit.memory.abi import HOST_64, Abi, Layout, struct_layout
from tflsplit.memory.kernels import Prepare, Prepared

Kernels = Literal["reference", "cmsis_nn", "cmsis_nn_mve", "registry", "registry_plain"]
"""CMSIS-NN's ask for other scratch on cores with vectors (MVE).  Those of the registry's TFLM are
CMSIS-NN's, with the DSP extension or in plain C."""

ALL_KERNELS: tuple[Kernels, ...] = get_args(Kernels)


def kernels_named(name: str) -> Kernels:
    """A flavour by its name; UserError names those that there are."""
    for known in ALL_KERNELS:
        if known == name:
            return known
    raise UserError(f"unknown kernels {name!r}; known are {', '.join(ALL_KERNELS)}")


# Room for an operator that nothing is known of: more than any kernel of TFLM takes without tables.
UNKNOWN_OP_BYTES = 1024


@dataclass(frozen=True)
class Demand:
    """One node's share of the arena.

    options: parsed by the interpreter, None where the parser keeps nothing.
    op_data_bytes: allocated by ``init``, 0 for none.
    prepared: allocated by Prepare.
    made_again: Prepare makes TfLiteTensors of all operands and results twice before it gives any
        back.
    margin_bytes: how much of this is a guess; 0 where the kernel's source is known.
    note: what the guess is about, empty without one.
    """

    options: Layout | None = None
    op_data_bytes: int = 0
    prepared: Prepared = field(default_factory=Prepared)
    made_again: bool = False
    margin_bytes: int = 0
    note: str = ""


def _tables(
    options: dict[str, str], data: dict[str, str], prepare: dict[str, Prepare]
) -> tuple[dict[str, str], dict[str, str], dict[str, Prepare]]:
    """Options, operator data and Prepare; by operator, where they differ from the reference's."""
    return structs.OPTIONS | options, structs.OP_DATA | data, kernels.PREPARE | prepare


TABLES = {
    "reference": _tables({}, {}, {}),
    "cmsis_nn": _tables({}, cmsis_nn.OP_DATA, cmsis_nn.PREPARE),
    "cmsis_nn_mve": _tables({}, cmsis_nn.OP_DATA, cmsis_nn_mve.PREPARE),
    "registry": _tables(registry_tflm.OPTIONS, registry_tflm.OP_DATA, registry_tflm.PREPARE_DSP),
    "registry_plain": _tables(
        registry_tflm.OPTIONS, registry_tflm.OP_DATA, registry_tflm.PREPARE_PLAIN
    ),
}
"""What operators of a flavour of kernels ask for: options, operator data, Prepare."""


def node_demand(node: Node, abi: Abi, flavour: Kernels) -> Demand:
    """What ``node`` keeps in the arena of a target with ``abi``, run by kernels of a flavour."""
    if node.is_custom:
        return _custom_demand(node, abi)
    if node.op not in structs.KNOWN | structs.UNMEASURED:
        return _unknown_demand(node)
    all_options, all_data, all_prepare = TABLES[flavour]
    options, data = all_options.get(node.op), all_data.get(node.op)
    prepare = all_prepare.get(node.op)
    note = f"{node.op}: not measured on a board" if node.op in structs.UNMEASURED else ""
    if flavour != "reference" and not cmsis_nn.supports(node):
        note = f"{node.op}: the scratch of CMSIS-NN's int4 kernels is not modelled"
    elif flavour == "cmsis_nn_mve":
        note = cmsis_nn_mve.NOTES.get(node.op, note)
    return Demand(
        options=struct_layout(options, abi) if options else None,
        op_data_bytes=struct_layout(data, abi).size_bytes if data else 0,
        prepared=prepare(node, abi) if prepare else Prepared(),
        made_again=flavour.startswith("registry") and node.op in registry_tflm.MADE_AGAIN,
        note=note,
    )


def node_scratch(node: Node, flavour: Kernels) -> tuple[int, ...]:
    """Of ``node_demand`` the scratch, which does not depend on the size of pointers."""
    if not node.is_custom:
        return node_demand(node, HOST_64, flavour).prepared.scratch
    prepare = custom.PREPARE.get(node.op)
    return prepare(node, HOST_64).scratch if prepare else ()


def _custom_demand(node: Node, abi: Abi) -> Demand:
    if node.op not in custom.OP_DATA:
        return _unknown_demand(node)
    prepare = custom.PREPARE.get(node.op)
    return Demand(
        op_data_bytes=custom.op_data_bytes(node, abi),
        prepared=prepare(node, abi) if prepare else Prepared(),
    )


def _unknown_demand(node: Node) -> Demand:
    return Demand(
        prepared=Prepared(persistent=(UNKNOWN_OP_BYTES,)),
        margin_bytes=UNKNOWN_OP_BYTES,
        note=f"{node.op}: unknown kernel, counted with {UNKNOWN_OP_BYTES} bytes and no scratch",
    )
