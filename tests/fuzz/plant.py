# SPDX-License-Identifier: Apache-2.0
"""Shows that the fuzz harnesses notice: fuzzes copies of the libraries with one check removed each.

    python -m tests.fuzz.plant [part of a bug's name] [--seconds 300]

Begins with the seeds only, without ``found-*``. Exit code 1 if a bug goes unnoticed in that time,
or no longer applies.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.run import HARNESSES, HERE, ROOT, fuzz
from tests.native_build import cmake

LIBRARIES = ROOT / "tflm_app" / "lib"

# name: (harness, file, what stands there, what is put there instead)
BUGS = {
    "frame longer than the buffer": (
        "frame", "split_core/src/frame.cc", "if (count > buffer_.size() - used_) {", "if (false) {",
    ),
    "decoder that stays lost": (
        "frame", "split_core/src/frame.cc", "  skipping_ = false;\n}", "}",
    ),
    "text of any length": (
        "control", "split_device/src/cluster_protocol.cc",
        "text.text.size() < most ? text.text.size() : most", "text.text.size()",
    ),
    "count of a vector": (
        "options", "split_device/src/flex_map.cc", "if (elements > (size_ - vector) / width)",
        "if (false)",
    ),
    "pieces overlap": (
        "options", "split_device/src/transfer.cc",
        "are_disjoint(options, local != nullptr, pieces, y.rank)", "true",
    ),
    "a window that begins outside": (
        "kernels", "split_kernels/src/gather.cc", "left = first >= 0 ? 0 :",
        "left = first >= -1 ? 0 :",
    ),
    "columns of a tile": (
        "kernels", "split_kernels/src/layout.h",
        "(columns - 1) * p.stride_columns + reach_of(p.kernel_columns, p.dilation_columns)",
        "(columns - 1) * p.stride_columns + 1",
    ),
    "last row of padding": (
        "kernels", "split_kernels/src/planes.h", "return row >= 0 && row < window_.in_rows;",
        "return row >= 0 && row <= window_.in_rows;",
    ),
    "more hops than a payload has": (
        "survey", "split_deploy/src/survey_frame.cc", "payload.size() < head) return false;",
        "false) return false;",
    ),
    "a body of any length": (
        "survey", "split_deploy/src/survey_frame.cc", "payload.size() - head > kMaxBodyBytes",
        "false",
    ),
    "a slice behind the end": (
        "image", "split_deploy/src/image.cc", " || bytes > total_bytes - offset", "",
    ),
    "a queue without end": (
        "survey", "split_deploy/src/survey.cc", " && port.queued < queue_frames_", "",
    ),
    "a frame longer than what came": (
        "ethernet", "split_port/src/ethernet_frame.cc",
        "kReceiverBytes * receivers <= ethernet.size()", "kReceiverBytes * receivers > 0",
    ),
    "ranks of other receivers": (
        "ethernet", "split_port/src/ethernet_frame.cc",
        "load_le<uint64_t>(raw + kDestinationsAt) & mine",
        "load_le<uint64_t>(raw + kDestinationsAt) + 0 * mine",
    ),
    "a box beside its place": (
        "device", "split_core/src/box.cc", "static_cast<uint8_t*>(tensor) + first;",
        "static_cast<uint8_t*>(tensor) + first + 1;",
    ),
    "acknowledgement of nothing": (
        "device", "split_core/src/link_receive.cc", "count > unacknowledged() ||", "",
    ),
    "slots of a lost session": (
        "device", "split_core/src/link.cc",
        "    release_slot(queue_[i]);\n  }\n  queued_ = 0;", "  }\n  queued_ = 0;",
    ),
}  # fmt: skip


def noticed(folder: Path, name: str, seconds: int) -> bool:
    """Whether the harness finds this bug in that time."""
    harness, file, old, new = BUGS[name]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(LIBRARIES, folder / "lib")
    shutil.copytree(HERE, folder / "fuzz")
    source = folder / "lib" / file
    text = source.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{name}: {old!r} stands {text.count(old)} times in {file}")
    source.write_text(text.replace(old, new))
    cmake(
        folder / "fuzz", folder / "build", "-DFUZZ=ON", "-DCMAKE_CXX_FLAGS=-w",
        f"-DLIBRARIES={folder / 'lib'}", compiler="clang++",
        target=f"{harness}_fuzz",
    )  # fmt: skip
    for found in (folder / "fuzz" / "corpus" / harness).glob("found-*"):
        found.unlink()
    return (
        fuzz(harness, seconds, folder / "build", folder / "fuzz" / "corpus").broken_by is not None
    )


def main() -> int:
    """One bug after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="of the names of bugs")
    parser.add_argument("--seconds", type=int, default=300, help="for each bug (%(default)s)")
    options = parser.parse_args()
    unnoticed = 0
    with tempfile.TemporaryDirectory() as name:
        for bug, (harness, *_) in BUGS.items():
            if options.part not in bug:
                continue
            assert harness in HARNESSES
            begun = time.monotonic()
            result = noticed(Path(name) / "copy", bug, options.seconds)
            took = f"after {time.monotonic() - begun:.0f} s, building included"
            print(f"{harness:10}{bug:32}{took if result else 'UNNOTICED'}", flush=True)
            unnoticed += not result
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
