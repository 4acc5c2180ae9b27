# SPDX-License-Identifier: Apache-2.0
"""TFLM's wheel is checked before anything is linked against it, and every check can fail."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.native import needs_cxx, needs_wheel_reader
from tests.splits import tiny
from tflsplit.emulate.compiler import compile_cxx
from tflsplit.emulate.wheel_check import RELEASES, check_wheel
from tflsplit.emulate.wheel_file import WheelFile, installed_wheel, read_wheel, wheel_below
from tflsplit.emulate.wheel_tree import stub_source, wheel_tree
from tflsplit.errors import ClusterError
from tflsplit.tflite import write_model
from tflsplit.tflite.support import TFLM_BUILTINS

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = "N6tflite23MicroInterpreterContextE"
RESOLVER = "N6tflite17PythonOpsResolverE"


@pytest.fixture(scope="module")
def wheel() -> WheelFile:
    return read_wheel(*installed_wheel())


# ---- The installed wheel ----


def test_the_pin_is_a_release_whose_layouts_are_known():
    text = (ROOT / "pyproject.toml").read_text()
    pins = [line for line in text.splitlines() if '"tflite-micro==' in line]
    (version,) = [pin.split("==")[1].split(";")[0] for pin in pins]
    assert version in RELEASES


@needs_wheel_reader
def test_the_installed_wheel_is_what_the_declarations_say(wheel: WheelFile):
    release, builtins = check_wheel(wheel)
    assert release is RELEASES[wheel.version]
    assert len(builtins) == len(TFLM_BUILTINS)
    parsers = {builtin.add: builtin.parse for builtin in builtins}
    assert parsers["AddConv2D"] == "ParseConv2D"
    assert parsers["AddMaxPool2D"] == parsers["AddAveragePool2D"] == "ParsePool"
    assert parsers["AddMean"] == "ParseReducer"
    assert {builtin.add: builtin.opcode for builtin in builtins}["AddConv2D"] == 3


# ---- Each check, failing ----


@needs_wheel_reader
def test_an_unknown_version_is_refused(wheel: WheelFile):
    with pytest.raises(ClusterError, match=r"0\.dev1 .* layouts are not known: install one of"):
        check_wheel(replace(wheel, version="0.dev1"))


@needs_wheel_reader
@pytest.mark.parametrize(
    "part",
    [
        "16MicroInterpreterC1", "MicroInterpreter15AllocateTensors", "MicroInterpreter6Invoke",
        "MicroInterpreter6output", "MicroAllocator10used_bytes", "12GetEvalInput",
        "24AllocateTempOutputTensor", "16Register_CONV_2D", "Register_WHILE", "ParsePool",
        "ParseFullyConnected",
    ],
)  # fmt: skip
def test_a_missing_name_is_refused(wheel: WheelFile, part: str):
    left = frozenset(name for name in wheel.exported if part not in name)
    assert len(left) < len(wheel.exported)
    with pytest.raises(ClusterError, match="does not export"):
        check_wheel(replace(wheel, exported=left))


def swapped(
    tables: Mapping[str, tuple[frozenset[str], ...]], owner: str, at: int
) -> dict[str, tuple[frozenset[str], ...]]:
    table = list(tables[owner])
    table[at], table[at + 1] = table[at + 1], table[at]
    return {**tables, owner: tuple(table)}


@needs_wheel_reader
@pytest.mark.parametrize(
    ("owner", "at"), [(CONTEXT, index) for index in range(1, 12)] + [(RESOLVER, 1), (RESOLVER, 2)]
)
def test_virtual_functions_in_another_order_are_refused(wheel: WheelFile, owner: str, at: int):
    with pytest.raises(ClusterError, match=r"virtual function .* is declared"):
        check_wheel(replace(wheel, vtables=swapped(wheel.vtables, owner, at)))


@needs_wheel_reader
@pytest.mark.parametrize("owner", [CONTEXT, RESOLVER])
def test_a_table_that_is_not_exported_is_refused(wheel: WheelFile, owner: str):
    tables = {name: table for name, table in wheel.vtables.items() if name != owner}
    with pytest.raises(ClusterError, match=r"virtual function 0 .* is not known"):
        check_wheel(replace(wheel, vtables=tables))


@needs_wheel_reader
def test_what_is_no_library_is_refused(tmp_path: Path):
    file = tmp_path / "_runtime.so"
    with pytest.raises(ClusterError, match="cannot be read"):
        read_wheel(file, "0")
    file.write_bytes(b"a text")
    with pytest.raises(ClusterError, match="is no ELF library"):
        read_wheel(file, "0")


@needs_wheel_reader
def test_a_library_of_another_processor_is_refused(wheel: WheelFile, tmp_path: Path):
    image = bytearray(wheel.path.read_bytes())
    image[18] = 183  # e_machine: AArch64
    (tmp_path / "_runtime.so").write_bytes(image)
    with pytest.raises(ClusterError, match="no library for x86-64"):
        read_wheel(tmp_path / "_runtime.so", wheel.version)


def test_no_wheel_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ClusterError, match=r"not installed: pip install 'tflsplit\[host\]'"):
        installed_wheel()
    with pytest.raises(ClusterError, match="there is no tflite-micro in"):
        wheel_below(tmp_path)


# ---- What is built of it ----


@needs_wheel_reader
def test_python_is_stubbed_and_says_who_called_it(wheel: WheelFile, tmp_path: Path):
    source = stub_source(wheel)
    assert "FUNCTION(PyErr_Format)" in source
    assert "OBJECT(PyExc_ValueError)" in source
    assert len(wheel.wanted_functions) + len(wheel.wanted_data) == source.count("\nFUNCTION(") + (
        source.count("\nOBJECT(")
    )


@needs_wheel_reader
@needs_cxx
def test_a_call_of_python_ends_the_program_with_its_name(wheel: WheelFile, tmp_path: Path):
    program = tmp_path / "program"
    source = stub_source(wheel) + "int main() { PyErr_Format(); }\n"
    compile_cxx(["-x", "c++", "-", "-o", str(program)], "a program", source)
    run = subprocess.run([program], capture_output=True, text=True, check=False)
    assert run.returncode < 0
    assert run.stderr == "TFLM called PyErr_Format, and there is no Python here\n"


PROBE = """
#include <cstdio>
#include <cstring>
#include <new>
#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using namespace tflite;
namespace tflite { namespace micro {} }
using namespace tflite::micro;

alignas(16) static unsigned char arena[1 << 16], model[1 << 16], room[4096], again[4096];

// How many bytes of a MicroInterpreter TFLM ever writes, with two patterns lest one be the value.
int main(int, char** arguments) {
  std::FILE* const file = std::fopen(arguments[1], "rb");
  if (file == nullptr || std::fread(model, 1, sizeof model, file) == 0) return 2;
  MicroMutableOpResolver<4> resolver;
  if (resolver.AddFullyConnected() != kTfLiteOk || resolver.AddSoftmax() != kTfLiteOk) return 3;
  size_t written = 0;
  const unsigned char patterns[] = {0xA5, 0x5A};
  for (unsigned char pattern : patterns) {
    std::memset(room, pattern, sizeof room);
    auto* const made = new (room) MicroInterpreter(GetModel(model), resolver, arena, sizeof arena);
    if (made->AllocateTensors() != kTfLiteOk || made->Invoke() != kTfLiteOk) return 4;
    for (size_t i = 0; i < sizeof room; ++i) {
      if (room[i] != pattern && i + 1 > written) written = i + 1;
    }
  }
  std::printf("%zu of %zu, arena %zu, in %zu out %zu\\n", written, sizeof(MicroInterpreter),
              reinterpret_cast<MicroInterpreter*>(room)->arena_used_bytes(),
              reinterpret_cast<MicroInterpreter*>(room)->inputs_size(),
              reinterpret_cast<MicroInterpreter*>(room)->outputs_size());
}
"""


def probe(path: Path, version: str, tmp_path: Path) -> list[int]:
    """Bytes that TFLM writes of an interpreter, those declared, arena, inputs, outputs."""
    tree = wheel_tree(path, version)
    program, model = tmp_path / "probe", tmp_path / "model.tflite"
    model.write_bytes(write_model(tiny("autoencoder")))
    includes = [f"-I{include}" for include in tree.includes]
    words = ["-std=gnu++17", "-fno-rtti", *includes, "-x", "c++", "-", "-x", "none"]
    compile_cxx([*words, *tree.libraries, "-o", program], "a probe", PROBE)
    run = subprocess.run([program, model], capture_output=True, text=True, check=True)
    return [int(word) for word in run.stdout.replace(",", "").split() if word.isdigit()]


@needs_wheel_reader
@needs_cxx
def test_an_interpreter_is_as_large_as_declared(tmp_path: Path):
    written, declared, arena, inputs, outputs = probe(*installed_wheel(), tmp_path)
    assert written == declared
    assert arena > 1000
    assert (inputs, outputs) == (1, 1)
