# SPDX-License-Identifier: Apache-2.0
"""Links over Ethernet: the C++ of split_port, alone and below split_core, under ASan and UBSan."""

import json
import subprocess
from pathlib import Path

import pytest

from tests import make_ethernet_vectors

HERE = Path(__file__).resolve().parent
APP = HERE.parents[1] / "tflm_app"
FLAGS = ["-std=gnu++17", "-O0", "-g1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
FLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def vectors_header() -> str:
    """The table as C++ has it: words of RANK:FRAME, of an opened one RANK:HAS_HOST FRAME."""
    lines = ["struct EthernetVector {", "  const char* name;", "  int rank, world_size;"]
    lines += ["  const char *plan, *written, *ethernet, *opened;", "};"]
    lines += ["static const EthernetVector kEthernetVectors[] = {"]
    for case in json.loads(make_ethernet_vectors.TABLE.read_text()):
        written = " ".join(f"{one['to']}:{one['frame_hex']}" for one in case["written"])
        opened = " ".join(
            f"{one['rank']}:{int(one['has_host'])}{one['frame_hex']}" for one in case["opened"]
        )
        texts = [case["plan_hex"], written, " ".join(case["ethernet_hex"]), opened]
        words = [case["name"], case["rank"], case["world_size"], *texts]
        lines.append("  {" + ", ".join(json.dumps(word) for word in words) + "},")
    return "\n".join([*lines, "};", ""])


@pytest.fixture(scope="module")
def printed(host_compiler: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ethernet")
    (folder / "ethernet_vectors.h").write_text(vectors_header())
    program = folder / "ethernet"
    sources = [HERE / "ethernet_segment.cc", *(APP / "lib/split_port/src").glob("ethernet_*.cc")]
    sources += [APP / "lib/split_port/src/segment_sender.cc"]
    sources += (APP / "lib/split_core/src").glob("*.cc")
    unit = folder / "all.cc"
    left_out = ("split_core_c.cc",)
    unit.write_text("".join(f'#include "{s}"\n' for s in sources if s.name not in left_out))
    includes = [folder, *(APP / f"lib/{name}/include" for name in ("split_core", "split_port"))]
    command = ["g++", *FLAGS, *(f"-I{path}" for path in includes), str(unit), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-4000:]
    run = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_vectors_and_a_switch_that_loses_frames(printed: str):
    assert printed.splitlines()[-1] == "DONE"


def test_the_documented_count_of_an_all_gather(printed: str):
    """4 x 5 x 13 frames of data would leave without groups."""
    (count,) = (line for line in printed.splitlines() if line.startswith("COUNT clean: "))
    text = (HERE.parents[1] / "docs" / "ethernet.md").read_text()
    assert count.removeprefix("COUNT clean: ") in text
