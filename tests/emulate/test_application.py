# SPDX-License-Identifier: Apache-2.0
"""examples/camera as programs of this computer: a cluster without a host, its pictures computed."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native import needs_cxx, needs_wheel_reader
from tests.splits import tiny
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli import main
from tflsplit.emulate.application import run_application
from tflsplit.emulate.compiler import compile_cxx
from tflsplit.firmware import FirmwareOptions
from tflsplit.firmware.generate import firmware_files
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import engine
from tflsplit.tflite import write_model

ROOT = Path(__file__).resolve().parents[2]
CAMERA = ROOT / "examples" / "camera"
HEADER = "firmware/node0/application.h"
PICTURES = 3


def written(folder: Path, world_size: int, way: str) -> Bundle:
    (folder / "model.tflite").write_bytes(write_model(tiny("mobilenet")))
    rewrite(folder / "model.tflite", folder / "plan", Wishes(world_size, way))
    return read_bundle(folder / "plan")


def picture(number: int, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """What synthetic_camera.cc computes."""
    _, rows, columns, channels = shape
    row, at = np.mgrid[:rows, : columns * channels]
    values = (row * 31 + at * 7 + row * at % 13 + number * 29).astype(np.uint8)
    found: NDArray[np.int8] = values.view(np.int8).reshape(shape)
    return found


def answers(bundle: Bundle) -> list[str]:
    """What the gateway says of each picture."""
    lines: list[str] = []
    status = run_application(
        bundle,
        FirmwareOptions(boards=("host",), tflm_dir=None),
        CAMERA,
        PICTURES,
        lambda rank, line: lines.append(line) if rank == 0 else None,
        timeout_seconds=60,
    )
    assert status == 0
    return [line for line in lines if "picture" in line or "no answer" in line]


@needs_wheel_reader
@needs_cxx
@pytest.mark.parametrize(("world_size", "way"), [(3, "rows"), (2, "channels")])
def test_the_unsplit_models_answers_without_a_host(tmp_path: Path, world_size: int, way: str):
    bundle = written(tmp_path, world_size, way)
    program = engine("tflm")[1](bundle.model)
    shape = bundle.model.inputs[0].shape
    expected = []
    for number in range(PICTURES):
        (scores,) = program.run([picture(number + 1, shape)])
        best, flat = int(scores.argmax()), scores.reshape(-1)
        crc = zlib.crc32(scores.tobytes())
        expected.append(f"picture {number}: class {best}, score {flat[best]}, crc32 {crc:08x}")
    assert answers(bundle) == expected
    assert len({re.sub(r"picture \d+", "", line) for line in expected}) == PICTURES


def test_only_a_plan_whose_one_host_is_the_gateway_has_the_header(tmp_path: Path):
    bundle = written(tmp_path, 2, "rows")

    def files(direct: bool = False) -> dict[str, bytes]:
        chosen = FirmwareOptions(boards=("host",), tflm_dir=None, direct=direct)
        return firmware_files(bundle.document, bundle.devices, chosen)

    header = files()[HEADER].decode()
    assert [line for line in header.splitlines() if "0xf000, 0" in line]
    assert not [name for name in files(direct=True) if name.endswith("application.h")]
    streamed = {**bundle.document, "stream": True}
    chosen = FirmwareOptions(boards=("host",), tflm_dir=None)
    assert HEADER not in firmware_files(streamed, bundle.devices, chosen)


ESP_CAMERA = """
#include <cstddef>
#include <cstdint>
#define ESP_OK 0
enum { PIXFORMAT_RGB565, FRAMESIZE_240X240, CAMERA_FB_IN_PSRAM, CAMERA_GRAB_LATEST };
struct camera_config_t {
  int pin_pwdn, pin_reset, pin_xclk, pin_sccb_sda, pin_sccb_scl, pin_d7, pin_d6, pin_d5, pin_d4,
      pin_d3, pin_d2, pin_d1, pin_d0, pin_vsync, pin_href, pin_pclk, xclk_freq_hz, pixel_format,
      frame_size, fb_location, grab_mode;
  size_t fb_count;
};
struct camera_fb_t { uint8_t* buf; size_t len, width, height; };
int esp_camera_init(const camera_config_t* config);
camera_fb_t* esp_camera_fb_get();
void esp_camera_fb_return(camera_fb_t* frame);
"""


@needs_cxx
def test_the_real_camera_is_cpp(tmp_path: Path):
    """No toolchain of that board is at hand: its driver's names, as the example uses them."""
    (tmp_path / "esp_camera.h").write_text(ESP_CAMERA)
    compile_cxx(
        ["-std=gnu++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-DARDUINO_ARCH_ESP32",
         "-I", tmp_path, CAMERA / "esp32_camera.cc"],
        "the camera",
    )  # fmt: skip


@needs_wheel_reader
@needs_cxx
def test_the_command_shows_what_the_application_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = str(written(tmp_path, 2, "rows").folder)
    run = ["emulate", folder, "--native", "--app", str(CAMERA), "--runs", "2"]
    assert main(run) == 0
    assert [line[:10] for line in capsys.readouterr().out.splitlines() if "class" in line] == [
        "picture 0:",
        "picture 1:",
    ]
    for words, text in (
        (["--native", "--app", str(tmp_path)], "holds no C++ source"),
        (["--app", str(CAMERA)], "--app runs with --native"),
        (["--native", "--app", str(CAMERA), "--faults", "1e-4"], "without --faults"),
        (["--native", "--app", str(CAMERA), "--direct"], "rewrite without --direct"),
    ):
        assert main(["emulate", folder, *words]) == 2
        assert text in " ".join(capsys.readouterr().err.split())
