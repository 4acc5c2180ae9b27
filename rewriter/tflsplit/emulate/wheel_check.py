# SPDX-License-Identifier: Apache-2.0
"""Whether TFLM's wheel is what the firmware's declarations of it (tflm_app/tflm_wheel) say.

Sizes and offsets inside a compiled library cannot be asked for, so they are known for releases that
were looked at; names and the order of virtual functions are read from the library each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tflsplit.emulate.wheel_file import DISTRIBUTION, WheelFile
from tflsplit.errors import ClusterError
from tflsplit.firmware.resolver import method_of
from tflsplit.tflite.schema import enum_values
from tflsplit.tflite.support import TFLM_BUILTINS


@dataclass(frozen=True)
class Release:
    """What cannot be read from a release of the wheel.

    namespaced: the C structs too are in namespace tflite::micro.
    context_bytes, context_impl: size of TfLiteContext, where it points to the MicroContext.
    interpreter_bytes, interpreter_allocator: the same of MicroInterpreter and its MicroAllocator.
    """

    namespaced: bool
    context_bytes: int
    context_impl: int
    interpreter_bytes: int
    interpreter_allocator: int

    @property
    def scope(self) -> str:
        """The mangled namespace of its C++ API."""
        return "6tflite5micro" if self.namespaced else "6tflite"


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "0.dev20260930204519": Release(False, 200, 24, 424, 216),
        "0.dev20261023182759": Release(True, 8, 0, 240, 24),
    }
)
"""By version.  To add one: docs/firmware.md, "Another release of the wheel"."""


@dataclass(frozen=True)
class Builtin:
    """One of TFLM's operators: the resolver's method, the opcode, and the wheel's functions."""

    add: str
    opcode: int
    create: str
    parse: str


_MEMBERS = {
    "16MicroInterpreter": (
        "C1", "D1", "15AllocateTensors", "6Invoke", "23SetMicroExternalContext", "5input",
        "6output",
    ),
    "14MicroAllocator": ("6Create",),
    "19GreedyMemoryPlanner": ("C1", "D1", "4Init", "9AddBuffer"),
    "12MicroContext": ("23AllocateTempInputTensor", "24AllocateTempOutputTensor"),
}  # fmt: skip
_USED_BYTES = "14MicroAllocator10used_bytes"
_MICRO = "6tflite5micro"  # of operators and tensors' accessors, in every release
_CONTEXT_FUNCTIONS = (
    "D", "D", "AllocatePersistentBuffer", "RequestScratchBufferInArena", "GetScratchBuffer",
    "AllocateTempTfLiteTensor", "DeallocateTempTfLiteTensor", "AllocateTempBuffer",
    "DeallocateTempBuffer", "GetEvalTensor", "set_external_context", "external_context",
)  # fmt: skip
_PLANNER_FUNCTIONS = (
    "D", "D", "AddBuffer", "AddBuffer", "GetMaximumMemorySize", "GetBufferCount",
    "GetOffsetForBuffer", "Init", "preserves_all_tensors", "PrintMemoryPlan",
)  # fmt: skip
_RESOLVER_FUNCTIONS = ("FindOp", "FindOp", "GetOpDataParser", "D", "D")
# Operators whose options are read by the function of a family.
_PARSERS = {
    "AVERAGE_POOL_2D": "Pool",
    "MAX_POOL_2D": "Pool",
    "L2_POOL_2D": "Pool",
    "MEAN": "Reducer",
    "SUM": "Reducer",
    "REDUCE_ALL": "Reducer",
    "REDUCE_MAX": "Reducer",
    "REDUCE_MIN": "Reducer",
}


def check_wheel(wheel: WheelFile) -> tuple[Release, tuple[Builtin, ...]]:
    """What the declarations need to know of the wheel.

    Raises ClusterError if its version is not known, if a name is missing, or if the virtual
    functions of a class are not in the declared order.
    """
    release = RELEASES.get(wheel.version)
    if release is None:
        raise ClusterError(
            f"{DISTRIBUTION} {wheel.version} ({wheel.path}) is a release whose layouts are not "
            f"known: install one of {', '.join(RELEASES)}, or look at it as docs/firmware.md says "
            "(Another release of the wheel)"
        )
    _check_names(wheel, release)
    _check_table(wheel, f"N{release.scope}23MicroInterpreterContextE", _CONTEXT_FUNCTIONS)
    _check_table(wheel, f"N{release.scope}19GreedyMemoryPlannerE", _PLANNER_FUNCTIONS)
    _check_table(wheel, "N6tflite17PythonOpsResolverE", _RESOLVER_FUNCTIONS)
    return release, builtins_of(wheel, release)


def _check_names(wheel: WheelFile, release: Release) -> None:
    starts = [
        f"_ZN{release.scope}{owner}{member}E"
        for owner, members in _MEMBERS.items()
        for member in members
    ]
    starts += [f"_ZNK{release.scope}{_USED_BYTES}E"]
    starts += [f"_ZN{_MICRO}12GetEvalInputE", f"_ZN{_MICRO}13GetEvalOutputE"]
    _demand(wheel, (s for s in starts if not any(name.startswith(s) for name in wheel.exported)))


def _demand(wheel: WheelFile, missing: Iterable[str]) -> None:
    names = list(missing)
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise ClusterError(
            f"{wheel.path} ({DISTRIBUTION} {wheel.version}) does not export {names[0]}{more}; "
            "is it the wheel that its version says? Install it again"
        )


def _check_table(wheel: WheelFile, owner: str, wanted: Sequence[str]) -> None:
    found = wheel.vtables.get(owner, ())
    for index, name in enumerate(wanted):
        names = found[index] if index < len(found) else frozenset()
        if not any(_is_function(mangled, name) for mangled in names):
            raise ClusterError(
                f"{wheel.path} ({DISTRIBUTION} {wheel.version}): virtual function {index} of "
                f"{owner} is {', '.join(sorted(names)) or 'not known'}, where {name} is declared; "
                "tflm_app/tflm_wheel has to follow"
            )


def _is_function(mangled: str, name: str) -> bool:
    part = f"{name}0E" if name == "D" else f"{len(name)}{name}E"
    return part in mangled or (name == "D" and ("D1E" in mangled or "D2E" in mangled))


def builtins_of(wheel: WheelFile, release: Release) -> tuple[Builtin, ...]:
    """Every operator that the firmware may name; ClusterError if the wheel lacks one."""
    parsers = _parsers(wheel, release)
    opcodes = enum_values("BuiltinOperator")
    found, missing = [], []
    for op in sorted(TFLM_BUILTINS):
        create = f"Register_{op}"
        mangled = f"_ZN{_MICRO}{len(create)}{create}Ev"
        family = f"parse{_PARSERS.get(op, op.replace('_', ''))}".lower()
        if mangled not in wheel.exported:
            missing.append(mangled)
        elif family not in parsers:
            missing.append(family)
        else:
            found.append(Builtin(method_of(op), opcodes[op], create, parsers[family]))
    _demand(wheel, missing)
    return tuple(found)


def _parsers(wheel: WheelFile, release: Release) -> dict[str, str]:
    """Name in small letters -> name, of the functions that read an operator's options."""
    start = f"_ZN{release.scope}"
    parsers = {}
    for mangled in wheel.exported:
        digits, name = _split_length(mangled.removeprefix(start))
        if mangled.startswith(start) and name.startswith("Parse"):
            parsers[name[:digits].lower()] = name[:digits]
    return parsers


def _split_length(text: str) -> tuple[int, str]:
    """``9ParseConvE…`` -> (9, ``ParseConvE…``); (0, ``""``) for what has no length."""
    digits = len(text) - len(text.lstrip("0123456789"))
    return (int(text[:digits]), text[digits:]) if digits else (0, "")
