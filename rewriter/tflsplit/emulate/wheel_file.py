# SPDX-License-Identifier: Apache-2.0
"""TFLM's Python wheel as a shared library: what it exports, what it wants, its tables of functions.

The wheel is only read, never imported: the firmware that is linked against it runs without Python.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflsplit.errors import ClusterError

DISTRIBUTION = "tflite-micro"
_LIBRARY = "tflite_micro/python/tflite_micro/_runtime.so"
_VTABLE = "_ZTV"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_POINTER_BYTES = 8
_DATA_RELOCATIONS = (1, 6)  # R_X86_64_64, R_X86_64_GLOB_DAT


@dataclass(frozen=True)
class WheelFile:
    """One wheel's ``_runtime.so``; names are mangled as the compiler writes them.

    version: of the distribution.
    exported: functions and data that it defines.
    wanted_functions, wanted_data: of Python's C API, which the process that loads it must have.
    vtables: class (``N6tflite12MicroContextE``) -> its virtual functions in order: every name that
        the function has (destructors have several), none for one that is not exported.
    """

    path: Path
    version: str
    exported: frozenset[str]
    wanted_functions: tuple[str, ...]
    wanted_data: tuple[str, ...]
    vtables: Mapping[str, tuple[frozenset[str], ...]]


def installed_wheel() -> tuple[Path, str]:
    """Where the wheel of this Python keeps its library, and its version.

    Raises ClusterError if it is not installed.
    """
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise ClusterError(
            "the firmware is linked against TFLM's wheel, which is not installed: "
            "pip install 'tflsplit[host]' (Linux on x86-64, Python 3.10 to 3.13)"
        ) from None
    return Path(str(distribution.locate_file(_LIBRARY))), distribution.version


def wheel_below(site_packages: Path) -> tuple[Path, str]:
    """The same for a wheel in another environment's ``site-packages``."""
    for found in importlib.metadata.distributions(name=DISTRIBUTION, path=[str(site_packages)]):
        return site_packages / _LIBRARY, found.version
    raise ClusterError(f"there is no {DISTRIBUTION} in {site_packages}")


def read_wheel(path: Path, version: str) -> WheelFile:
    """Read the library of a wheel.

    Raises ClusterError if it cannot be read, or is no ELF library for this computer.
    """
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ModuleNotFoundError:
        raise ClusterError(
            "reading TFLM's wheel needs pyelftools: pip install 'tflsplit[host]'"
        ) from None
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_X86_64" or elf["e_type"] != "ET_DYN":
                raise ClusterError(f"{path} is no library for x86-64")
            return _read(elf, path, version)
    except OSError as error:
        raise ClusterError(f"{path} cannot be read: {error.strerror}") from None
    except ELFError as error:
        raise ClusterError(f"{path} is no ELF library: {error}") from None


def _read(elf: Any, path: Path, version: str) -> WheelFile:
    symbols = elf.get_section_by_name(".dynsym")
    # Names go into generated sources; what is no C name is nobody's there.
    named = [symbol for symbol in symbols.iter_symbols() if _NAME.fullmatch(symbol.name)]
    defined = [symbol for symbol in named if symbol["st_shndx"] != "SHN_UNDEF"]
    undefined = {symbol.name for symbol in named if symbol["st_shndx"] == "SHN_UNDEF"}
    wanted = {name for name in undefined if name.startswith(("Py", "_Py"))}
    relocations = list(_relocations(elf))
    data = {
        name
        for section, _, kind, name, _ in relocations
        if section == ".rela.dyn" and kind in _DATA_RELOCATIONS and name in wanted
    }
    return WheelFile(
        path=path,
        version=version,
        exported=frozenset(symbol.name for symbol in defined),
        wanted_functions=tuple(sorted(wanted - data)),
        wanted_data=tuple(sorted(data)),
        vtables=_vtables(defined, relocations),
    )


_Relocation = tuple[str, int, int, str, int]
"""Section, address, kind, symbol (or ``""``), addend."""


def _relocations(elf: Any) -> Iterator[_Relocation]:
    symbols = elf.get_section_by_name(".dynsym")
    for name in (".rela.dyn", ".rela.plt"):
        section = elf.get_section_by_name(name)
        for entry in section.iter_relocations() if section is not None else ():
            number = entry["r_info_sym"]
            symbol = symbols.get_symbol(number).name if number else ""
            yield name, entry["r_offset"], entry["r_info_type"], symbol, entry["r_addend"]


def _vtables(
    defined: list[Any], relocations: list[_Relocation]
) -> dict[str, tuple[frozenset[str], ...]]:
    """A table holds the offset to the top, the type's information, then the functions."""
    names: dict[int, set[str]] = {}
    for symbol in defined:
        names.setdefault(symbol["st_value"], set()).add(symbol.name)
    stored = {
        address: frozenset({symbol} if symbol else names.get(addend, ()))
        for _, address, _, symbol, addend in relocations
    }
    tables = {}
    for symbol in defined:
        if symbol.name.startswith(_VTABLE):
            start = symbol["st_value"]
            places = range(start, start + symbol["st_size"], _POINTER_BYTES)
            tables[symbol.name.removeprefix(_VTABLE)] = tuple(
                stored.get(place, frozenset()) for place in places
            )[2:]
    return tables
