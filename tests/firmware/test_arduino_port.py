# SPDX-License-Identifier: Apache-2.0
"""Parts of the Arduino port that need no board, on a core that is only pretended."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "tflm_app" / "ports" / "arduino" / "src"
CORE = ROOT / "tests" / "firmware" / "fake_arduino"
LIBRARIES = ("split_port", "split_core")
INCLUDES = [PORT, CORE, *(ROOT / "tflm_app" / "lib" / name / "include" for name in LIBRARIES)]
FLAGS = ["-std=gnu++17", "-O2", "-Wall", "-Wextra", "-Werror"]

TEENSY = ("-DTEENSYDUINO=158", "-D__IMXRT1062__")
STM32 = ("-DARDUINO_ARCH_STM32",)


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Builds a program from the arguments and runs it."""
    program = folder / "program"
    command = ["g++", *FLAGS, *(f"-I{path}" for path in INCLUDES), *map(str, arguments)]
    built = subprocess.run(
        [*command, "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-4000:]
    return subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)


def random_words(folder: Path, *flags: str) -> list[list[str]]:
    """Words and analogue reads: with the generator at work, and with it broken."""
    done = run(folder, *flags, PORT / "entropy.cc", CORE / "entropy_test.cc")
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize(
    ("flags", "words"),
    [(TEENSY, ["10000000", "10000001"]), (STM32, ["10000001", "10000003"])],
    ids=["Teensy 4", "STM32"],
)
def test_the_boot_nonce_is_of_the_chips_generator(tmp_path: Path, flags, words):
    """An analogue input may be wired, and then says the same after every reset."""
    working, broken = random_words(tmp_path, *flags)
    assert working == [*words, "0"]
    assert broken[2] == "128"
    assert broken[0] != broken[1]


@pytest.mark.usefixtures("host_compiler")
def test_without_a_generator_it_is_noise(tmp_path: Path):
    for first, second, analog_reads in random_words(tmp_path, "-DFAKE_CHIP_WITHOUT_GENERATOR"):
        assert analog_reads == "128"
        assert first != second


UID = ("-DARDUINO_ARCH_STM32", "-include", str(CORE / "fake_words.h"), "-DUID_BASE=fake_uid_base")
MAC = (*TEENSY, "-DHW_OCOTP_MAC0=0x03020100u", "-DHW_OCOTP_MAC1=0x07060504u")


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (UID, bytes(range(12)).ljust(16, b"\0").hex()),
        (MAC, bytes(range(8)).ljust(16, b"\0").hex()),
        (("-DARDUINO_ARCH_ESP32",), bytes(range(1, 7)).ljust(16, b"\0").hex()),
        ((), "none " + bytes(16).hex()),
    ],
    ids=["STM32", "Teensy 4", "ESP32", "another"],
)
def test_the_id_is_the_chips_and_zeros_behind_it(
    tmp_path: Path, flags: tuple[str, ...], wanted: str
):
    done = run(tmp_path, *flags, PORT / "chip_id.cc", CORE / "chip_id_test.cc")
    assert done.stdout == wanted, done.stderr


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("optimization", ["-O0", "-O2", "-O3"])
def test_ticks_see_what_was_written_before_they_may_come(tmp_path: Path, optimization: str):
    done = run(tmp_path, *TEENSY, optimization, CORE / "ticks_test.cc")
    assert done.stdout == "PASS\n"


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize(
    "flags", [TEENSY, STM32, ("-DARDUINO_ARCH_ESP32",)], ids=["Teensy 4", "STM32", "ESP32"]
)
def test_the_console_gives_way_to_the_host_and_waits_for_nobody(tmp_path: Path, flags):
    rings = ("-DSPLIT_PORT_RX_BYTES=1024", "-DSPLIT_PORT_TX_BYTES=1024")
    common = ROOT / "tflm_app" / "lib" / "split_port" / "src" / "port_common.cc"
    sources = (common, PORT / "chip_id.cc", CORE / "port_test.cc")
    done = run(tmp_path, "-O0", *flags, *rings, *sources)
    assert (done.stdout, done.returncode) == ("PASS\n", 0), done.stderr


ESP32 = ("-DARDUINO_ARCH_ESP32",)
SETUPS: dict[tuple[str, ...], list[list[str]]] = {
    STM32: [
        ["pins 6 5; ", "RTS CTS 4 3; ", "begin 1000000 0; "],
        ["pins 109 114; ", "RTS CTS 112 115; ", "begin 1000000 0; "],
    ],
    ESP32: [
        ["begin 1000000 0; pins 18 17; full 64 0; ", "CTS RTS 8 9; flow 3 112; ", ""],
        ["begin 1000000 0; pins 16 15; full 64 0; ", "CTS RTS 10 11; flow 3 112; ", ""],
    ],
}


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("flags", SETUPS, ids=["STM32", "ESP32"])
@pytest.mark.parametrize("rts_cts", [False, True], ids=["none", "rts_cts"])
def test_the_ports_to_the_neighbours_have_their_pins(
    tmp_path: Path, flags: tuple[str, ...], rts_cts: bool
):
    given = ["-DSPLIT_PORT_RX_BYTES=1024", "-DSPLIT_PORT_TX_BYTES=1024", "-O0"]
    given += ["-DSERIAL_RX_BUFFER_SIZE=1024"] + ["-DSPLIT_PORT_RTS_CTS"] * rts_cts
    done = run(tmp_path, *flags, *given, CORE / "links_test.cc")
    wanted = [f"{first}{flow * rts_cts}{last}" for first, flow, last in SETUPS[flags]]
    assert done.stdout.splitlines() == wanted


@pytest.mark.usefixtures("host_compiler")
def test_a_teensy_is_not_built_with_rts_and_cts(tmp_path: Path):
    done = subprocess.run(
        ["g++", *TEENSY, "-DSPLIT_PORT_RTS_CTS", "-DSPLIT_PORT_RX_BYTES=1024", f"-I{PORT}",
         "-DSPLIT_PORT_TX_BYTES=1024", f"-I{ROOT / 'tflm_app/lib/split_port/include'}",
         "-fsyntax-only", "-include", "wiring.h", "-x", "c++", "/dev/null"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "have no RTS of the hardware's" in done.stderr


def length(of_program: int) -> str:
    """A symbol whose address is a number, as a linker script has it."""
    return f"-Wl,--defsym=_flashimagelen={of_program:#x}"


def program_end(address: int) -> str:
    return f"-Wl,--defsym=fake_program_end={address:#x}"


PICO = ("-DARDUINO_ARCH_MBED", "-DTARGET_RP2040")
STORES: dict[str, tuple[list[str], str]] = {
    "Teensy 4": ([*TEENSY, length(0x200000)], f"PASS {0x2E0000}"),
    "Teensy 4, a large program": ([*TEENSY, length(0x200001)], "none"),
    "Pico": ([*PICO, program_end(0x100C0000)], f"PASS {640 * 1024}"),
    "Pico, a large program": ([*PICO, program_end(0x100C0001)], "none"),
    "ESP32": (["-DARDUINO_ARCH_ESP32"], f"PASS {0x330000 // 2}"),
    "STM32": ([*STM32], "none"),
}


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("board", STORES)
def test_the_store_is_behind_the_program_and_written_by_pages(tmp_path: Path, board: str):
    flags, wanted = STORES[board]
    words = ["-no-pie", "-O1", "-include", "cstdlib", "-include", "Arduino.h"]
    words += ["-include", "FlashIAP.h"] if "Pico" in board else []
    words += ["-include", "esp_partition.h"] if board == "ESP32" else []
    done = run(tmp_path, *words, *flags, PORT / "store.cc", CORE / "store_test.cc")
    assert done.stdout.strip() == wanted, done.stderr


@pytest.mark.usefixtures("host_compiler")
def test_a_store_in_memory_where_it_is_asked_for(tmp_path: Path):
    program = tmp_path / "main.cc"
    program.write_text(
        '#include "split_port/store.h"\n'
        "int main() { return split_port::store()->slot_bytes() == 2048 ? 0 : 1; }\n"
    )
    done = run(tmp_path, *STM32, "-DTFLSPLIT_STORE_BYTES=4096", PORT / "store.cc", program)
    assert done.returncode == 0


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize(
    ("flag", "wanted"),
    [("-DARDUINO_TEENSY41", "yes no no yes"), ("-DARDUINO_ARCH_ESP32", "no yes yes no")],
    ids=["Teensy 4.1", "ESP32"],
)
def test_a_bank_is_there_if_its_chip_is(tmp_path: Path, flag: str, wanted: str):
    done = run(tmp_path, flag, PORT / "banks.cc", CORE / "banks_test.cc")
    assert (done.returncode, done.stdout) == (0, wanted), done.stderr
