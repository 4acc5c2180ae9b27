# SPDX-License-Identifier: Apache-2.0
"""Shows that the C++ tests notice: builds the core with one error at a time and runs them.

    python tests/core/mutate.py [part of a mutation's name]

Exit code 1 if a mutation goes unnoticed or no longer applies. Takes some ten seconds for each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORE = HERE.parents[1] / "tflm_app" / "lib" / "split_core"
TESTS = ["main", "sim", "workload", *sorted(path.stem for path in HERE.glob("*_test.cc"))]

# name: (file, what stands there, what is put there instead)
MUTATIONS = {
    "crc not checked": ("frame.cc", "return fail(&counters_.crc_errors);", ""),
    "cobs block of 255": ("frame.cc", "kLongest = 254", "kLongest = 253"),
    "decoder one byte too far": ("frame.cc", "count > buffer_.size() - used_",
                                 "count > buffer_.size() + 1 - used_"),
    "decoder stays lost": ("frame.cc", "  skipping_ = false;\n}", "}"),
    "box stops at a row": ("box.cc", "run_bytes_ *= box.extent[--outer_];", "--outer_;"),
    "ring without a bubble": ("link.cc", "(needs_two_credits(slot_id) ? 2 : 1)", "1"),
    "entering frames block": ("link.cc", "(needs_two_credits(slot_id) ? 2 : 1)) continue",
                              "(needs_two_credits(slot_id) ? 2 : 1)) return false"),
    "credit ignored": (
        "link.cc",
        "if (usable_credit() < (needs_two_credits(slot_id) ? 2 : 1)) continue;",
        "if (unacknowledged() > 14) continue;",
    ),
    "time-out repeats data": (
        "link_recovery.cc",
        "  poll_interval_us_ *= 2;",
        "  lost_ = static_cast<uint16_t>((1u << unacknowledged()) - 1);\n  poll_interval_us_ *= 2;",
    ),
    "polls by the clock alone": ("link_recovery.cc", "return least < most ? least : most;",
                                 "return most;"),
    "a busy peer is flooded": ("link_recovery.cc", "  poll_interval_us_ *= 2;", ""),
    "everything goes again": ("link_recovery.cc", "!is_here && is_before", "true || is_before"),
    "kept frames are forgotten": ("link_receive.cc", "  ++held_count_;\n",
                                  "  ++held_count_;\n  forget_held();\n"),
    "kept slots leak": ("link_receive.cc", "if (holds(ahead)) pool_", "if (false) pool_"),
    "damage not noticed": ("link_receive.cc", "  nak_due_ = true;\n  ask_at_once(now_us);", ""),
    "duplicates accepted": ("link_receive.cc", "const uint8_t ahead = ",
                            "const uint8_t ahead = (header.sequence - expected_) & 128 ? 0 : "),
    "no NAK": ("link_receive.cc", "    nak_due_ = true;\n    hold(", "    hold("),
    "STATUS ignored": ("link_receive.cc", "has_arrived(poll_pass_, now_us);", ""),
    "fingerprint not checked": (
        "link_handshake.cc", "return ErrorCode::kFingerprintMismatch;\n  }\n  if", "}\n  if"
    ),
    "reset not noticed": ("link_handshake.cc", "known && hello.boot != peer_boot_", "false"),
    "ack outside the window": ("link_receive.cc", "count > unacknowledged() ||", "count > 128 ||"),
    "own ACKs hide a loss": ("link.cc", "encoder_.done()) written_us_ = now_us;",
                             "encoder_.done()) quiet_since_us_ = written_us_ = now_us;"),
    "slot freed while it is sent": ("link.cc", "pool_.add_reference(slot_id);  // an ACK", "//"),
    "multicast repeated": ("link.cc", "header.destinations &= reached_by(header);", ""),
    "frames go back": ("router.cc", "link == from ? 0 : entering(", "entering("),
    "cut rings stay cut": ("router.cc", "is_lost ? 0 : behind |", "is_lost ? 0 : behind | 0 &"),
    "frames do not turn": ("router.cc", "return turns ?", "return false ?"),
    "turned frames turn again": ("router.cc", "if (header.offset > 0) {", "if (false) {"),
    "frames go round for ever": ("router.cc", "|| header.offset >= config_.node_count", ""),
    "data goes round": ("../include/split_core/frame.h", "type == FrameType::kDatagram; }",
                        "is_sequenced(type); }"),
    "multicast waits for all": ("communicator_frames.cc", "now_us - send->first_grant_us <", "0 <"),
    "multicast never waits": ("communicator_frames.cc", "if (held) return false;", ""),
    "data before the grant": ("communicator_frames.cc", "if (ready == 0) return false;",
                              "if (ready == 0) { send->batch = send->remaining; return true; }"),
    "offset not checked": ("communicator_frames.cc", "header.offset != recv.received ||", ""),
    "end not checked": ("communicator_frames.cc", "|| payload.size() > left", ""),
    "size not checked": ("communicator_frames.cc", "header.offset != send->total_bytes", "false"),
    "old epochs accepted": ("communicator_frames.cc", "if (is_stale(header.epoch)) return;", ""),
    "faults kept secret": ("communicator.cc", "  fault_due_ = true;", ""),
    "any inference's data is taken": (
        "communicator_frames.cc", "if (header.epoch != recv.epoch) continue;", ""
    ),
    "the next message is asked for as this one's": (
        "communicator_frames.cc", "  header.epoch = recv->epoch;\n", ""
    ),
    "what came ahead is forgotten": ("communicator.cc", "const bool stays = is_another &&",
                                     "const bool stays = false &&"),
    "what came ahead is any inference's": ("communicator.cc", "&& recvs_[i].epoch == epoch;", ";"),
    "old grants pile up": ("communicator.cc", "if (epochs_after(grants_[i].epoch, epoch) < 0)",
                              "if (false)"),
}  # fmt: skip

MEMORY_ERRORS = {"decoder one byte too far"}  # the others show without sanitizers, and sooner


def caught_by(folder: Path, name: str) -> str:
    """The first failing test (or how the program ended) with this error put in; "" if none."""
    file, old, new = MUTATIONS[name]
    core = folder / "core"
    shutil.rmtree(core, ignore_errors=True)
    shutil.copytree(CORE, core)
    source = core / "src" / file
    text = source.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{name}: {old!r} stands {text.count(old)} times in {file}")
    source.write_text(text.replace(old, new))
    files = [*(HERE / f"{test}.cc" for test in TESTS), *sorted((core / "src").glob("*.cc"))]
    unit = folder / "all.cc"  # one translation unit builds in a third of the time
    unit.write_text("".join(f'#include "{path}"\n' for path in files))
    sanitize = ["-fsanitize=address", "-fno-sanitize-recover=all"] if name in MEMORY_ERRORS else []
    command = ["g++", "-std=c++17", "-O1", "-fno-exceptions", "-fno-rtti", "-w", *sanitize,
               f"-I{core / 'include'}", f"-I{folder}", f"-I{HERE}", str(unit),
               "-o", str(folder / "tests")]  # fmt: skip
    subprocess.run(command, check=True)
    try:
        run = subprocess.run([folder / "tests"], capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "did not end"
    failed = [line[5:] for line in run.stdout.splitlines() if line.startswith("FAIL ")]
    if failed:
        return ", ".join(failed)
    return "" if run.returncode == 0 else "sanitizer: " + run.stderr.strip().splitlines()[0]


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    unnoticed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            [sys.executable, HERE / "vectors_to_header.py", HERE.parent / "wire_vectors.json",
             folder / "wire_vectors.h"], check=True,
        )  # fmt: skip
        for mutation in MUTATIONS:
            if wanted in mutation:
                result = caught_by(folder, mutation)
                print(f"{mutation:30} {result or 'UNNOTICED'}", flush=True)
                unnoticed += [] if result else [mutation]
    sys.exit(1 if unnoticed else 0)


if __name__ == "__main__":
    main()
