# SPDX-License-Identifier: Apache-2.0
"""RTS and CTS: from cluster.toml to the registers and pins of the ports that have them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.firmware import test_rp2040_port as rp2040
from tests.firmware import test_stm32f405_port as stm32f405
from tests.firmware.bare_chip import BareChip, Registers, field_of
from tflsplit.bundle import read_bundle
from tflsplit.cluster import parse_cluster
from tflsplit.cluster.links import FlowControl
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions, options_of_cluster
from tflsplit.firmware.project import generated_files

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "tflm_app"
GIVEN = '[link_layer]\nflow_control = "rts_cts"\n[[device]]\nboard = "stm32f405"\ncount = 2\n'
CORES = {"stm32f405": "cortex-m4", "rp2040": "cortex-m0plus"}
SOURCES = {"stm32f405": ("usart.cc", "pins.cc"), "rp2040": ("uart.cc",)}
FLASH = {"stm32f405": 0x08000000, "rp2040": 0x10000000}


def image(folder: Path, board: str, *flags: str) -> Path:
    """The port's UARTs opened, and nothing else."""
    port, program = APP / "ports" / board / "src", folder / "flow_control.elf"
    includes = [port, APP / "ports/cortex_m/include"]
    includes += [APP / "lib" / name / "include" for name in ("split_port", "split_core")]
    command = ["arm-none-eabi-g++", f"-mcpu={CORES[board]}", "-mthumb", "-std=gnu++17", "-Os"]
    command += ["-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-nostartfiles"]
    command += ["--specs=nano.specs", f"-Wl,-Ttext={FLASH[board]:#x},-Tdata=0x20000000"]
    command += [f"-DTEST_{board.upper()}", "-DSPLIT_PORT_RX_BYTES=256", *flags]
    command += ["-DSPLIT_PORT_TX_BYTES=256", *(f"-I{path}" for path in includes)]
    command += [*(str(port / name) for name in SOURCES[board])]
    command += [str(ROOT / "tests/firmware/flow_control.cc"), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    return program


def of_stm32f405(folder: Path, *flags: str) -> Registers:
    memory, gpio = stm32f405.MEMORY, dict(stm32f405.MODE_OF_RESET)
    program = image(folder, "stm32f405", *flags)
    return BareChip(program, "CORTEX_M4", memory, {}, stm32f405.on_access, gpio).run().registers


def of_rp2040(folder: Path, *flags: str) -> Registers:
    registers = {**rp2040.AFTER_RESET, rp2040.RESETS: 0x01FFFFFF & ~(1 << 5 | 1 << 8)}
    program = image(folder, "rp2040", *flags)
    chip = BareChip(
        program, "CORTEX_M0", rp2040.MEMORY, rp2040.answers(), rp2040.on_access, registers
    )
    chip.has_aliases = True
    return chip.run().registers


@pytest.mark.usefixtures("arm_compiler")
@pytest.mark.parametrize("flags", [(), ("-DSPLIT_PORT_RTS_CTS",)], ids=["none", "rts_cts"])
def test_the_usarts_of_an_stm32f405(tmp_path: Path, flags: tuple[str, ...]):
    registers = of_stm32f405(tmp_path, *flags)
    pins = {0x40004400: ("A", (0, 1)), 0x40004800: ("B", (13, 14))}
    for base, (port, numbers) in pins.items():
        assert registers.get(base + 0x14, 0) == (0x300 if flags else 0)  # CR3: CTSE, RTSE
        gpio = 0x40020000 + 0x400 * (ord(port) - ord("A"))
        for pin in numbers:
            mode, alternate = registers[gpio], registers.get(gpio + 0x20 + 4 * (pin // 8), 0)
            assert field_of(mode, 2 * pin, 2) == (2 if flags else 0)
            assert field_of(alternate, 4 * (pin % 8), 4) == (7 if flags else 0)
    assert registers.get(0x40011014, 0) == 0, "the host's USART has two wires"
    assert registers[0x4000440C] & 0x2000 == 0x2000


@pytest.mark.usefixtures("arm_compiler")
@pytest.mark.parametrize("flags", [(), ("-DSPLIT_PORT_RTS_CTS",)], ids=["none", "rts_cts"])
def test_the_uarts_of_an_rp2040(tmp_path: Path, flags: tuple[str, ...]):
    registers = of_rp2040(tmp_path, *flags)
    for base, pins in {0x40034000: (2, 3), 0x40038000: (10, 11)}.items():
        assert registers[base + 0x30] == 0x301 | (0xC000 if flags else 0)  # RTSEN, CTSEN
        for pin in pins:
            function = registers.get(rp2040.IO_BANK0 + 8 * pin + 4)
            assert function == (2 if flags else None)


def test_a_cluster_that_wants_it_is_built_with_it(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "autoencoder", 2))
    options = options_of_cluster(parse_cluster(GIVEN))
    assert options.flow_control is FlowControl.RTS_CTS

    def flags(options: FirmwareOptions) -> list[str]:
        ini = generated_files(bundle.document, bundle.devices, options)["nodes.ini"].decode()
        return [line for line in ini.splitlines() if "SPLIT_PORT_RTS_CTS" in line]

    assert len(flags(options)) == 2
    assert flags(replace(options, flow_control=FlowControl.NONE)) == []
    assert flags(replace(options, boards=("mps2_an500",))) == []  # it has no pins
    assert len(flags(replace(options, boards=("pico", "nucleo_h743zi")))) == 2
    able = "nucleo_h743zi, pico, esp32s3, nano33ble, stm32f405, rp2040, esp32s3_psram"
    with pytest.raises(ClusterError, match=rf"for UARTs of {able}, not for uart of teensy41"):
        flags(replace(options, boards=("teensy41",)))
