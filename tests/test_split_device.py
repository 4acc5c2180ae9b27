# SPDX-License-Identifier: Apache-2.0
"""split_device on this computer, under ASan and UBSan, against its Python counterparts."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tflsplit.ir import Attrs
from tflsplit.tflite.flexmap import encode_map
from tflsplit.wire import custom_ops as wire
from tflsplit.wire.option_fields import Integer, Integers, Text

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ROOT / "tflm_app" / "lib"
VECTORS = json.loads((ROOT / "tests" / "control_vectors.json").read_text())
FLAGS = [
    "-std=c++17", "-O1", "-g", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Wshadow",
    "-Wconversion", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
]  # fmt: skip


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in tests/device/driver.cc."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler: apt install g++")
    folder = tmp_path_factory.mktemp("split_device")
    sources = [
        path
        for name in ("split_core", "split_device")
        for path in sorted((LIBRARIES / name / "src").glob("*.cc"))
    ]
    unity = folder / "library.cc"  # one translation unit takes a third of the time
    unity.write_text("".join(f'#include "{path}"\n' for path in sources if path.stem != "link_c"))
    includes = [f"-I{LIBRARIES / name / 'include'}" for name in ("split_core", "split_device")]
    # The driver is a test and may use exceptions, as its standard library does.
    relaxed = [
        flag for flag in FLAGS if flag not in ("-fno-exceptions", "-fno-rtti", "-Wconversion")
    ]
    for source, flags in ((unity, FLAGS), (ROOT / "tests" / "device" / "driver.cc", relaxed)):
        command = [
            compiler,
            *flags,
            *includes,
            "-c",
            str(source),
            "-o",
            f"{folder / source.stem}.o",
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr[-6000:]
    program = folder / "driver"
    link = [
        compiler,
        *FLAGS,
        str(folder / "library.o"),
        str(folder / "driver.o"),
        "-o",
        str(program),
    ]
    run = subprocess.run(link, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-6000:]
    return program


def ask(driver: Path, requests: list[str]) -> list[str]:
    """An answer for each request."""
    run = subprocess.run(
        [driver], input="\n".join(requests) + "\n", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-6000:]
    answers = run.stdout.splitlines()
    assert len(answers) == len(requests), run.stderr[-2000:]
    return answers


# ---- Options ----

SAMPLES: dict[str, dict[str, Any]] = {
    wire.SEND: {
        "channel": 300, "to": (0, 2), "tensor": "a/b;c", "boxes": (0, 1, 2, 70000),
        "origin": (0, 2),
    },
    wire.RECV: {
        "tensor": "", "origin": (0,), "local": (), "local_origin": (), "channels": (1, 65534),
        "from": (3, 4), "boxes": (0, 4, 4, 9), "sum": 1, "early": 0,
    },
    wire.CONV_2D: {
        "stride": (1, 2), "dilation": (1, 1), "pads": (0, 1, 2, 3), "kernel": (3, 5), "groups": 2,
        "activation": (-128, 5), "rounding": 1,
    },
    wire.PARTIAL_CONV_2D: {
        "stride": (1, 2), "dilation": (9, 1), "pads": (0, 1, 2, 300), "kernel": (1, 7),
    },
    wire.PARTIAL_FULLY_CONNECTED: {},
    wire.PARTIAL_SUM: {"axes": (1, 3)},
    wire.REQUANTIZE: {"activation": (-3, 127), "rounding": 0},
    wire.ADD: {"activation": (-128, 9), "scaling": (2**30, 0, 5, -31, 2**31 - 1, -18, -128)},
    wire.MEAN: {"axes": (1, 3), "scaling": (2**30, -5)},
    wire.POOL_2D: {
        "kernel": (3, 2), "stride": (1, 2), "pads": (0, 1, 1, 0), "activation": (-128, 127),
        "maximum": 1,
    },
}  # fmt: skip


def encoded(op: str, **changes: Any) -> str:
    options = {**SAMPLES[op], "v": wire.device_version(op), **changes}
    return encode_map({key: value for key, value in options.items() if value is not None}).hex()


def shown(op: str, options: dict[str, Any]) -> str:
    """As the driver prints options."""
    texts = []
    for key in wire.DEVICE_SCHEMAS[op]:
        value = options[key]
        if isinstance(value, str):
            texts.append(f"{key}={value.encode().hex() or '-'}")
        else:
            texts.append(
                f"{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
            )
    return " ".join(["ok", *texts])


@pytest.mark.parametrize("op", sorted(SAMPLES))
def test_options_are_read_as_python_wrote_them(driver, op):
    assert ask(driver, [f"options {encoded(op)} {op}"]) == [shown(op, SAMPLES[op])]


def test_every_width_of_integers_is_read(driver):
    values = [(1,), (200,), (-1, 40000), (2**31 - 1,), tuple(range(300)), (2**31,), (-(2**40),)]
    requests = [f"options {encoded(wire.SEND, boxes=value)} {wire.SEND}" for value in values]
    answers = ask(driver, requests)
    for value, answer in zip(values, answers, strict=True):
        fits = all(0 <= number < 2**31 for number in value)
        assert answer == (
            shown(wire.SEND, {**SAMPLES[wire.SEND], "boxes": value})
            if fits
            else "refused boxes: has an element out of range"
        )


@pytest.mark.parametrize("op", sorted(wire.DEVICE_SCHEMAS))
def test_the_tables_are_those_of_python(driver, op):
    (answer,) = ask(driver, [f"table {op}"])
    found = [tuple(entry.split(",")) for entry in answer.rstrip(".").split(";") if entry]
    expected = []
    for key, field in wire.DEVICE_SCHEMAS[op].items():
        if isinstance(field, Text):
            expected.append((key, "2", "0", "0", "-1"))
        elif isinstance(field, Integer):
            expected.append((key, "0", str(field.minimum), str(field.maximum), "-1"))
        else:
            assert isinstance(field, Integers)
            count = "-1" if field.count is None else str(field.count)
            expected.append((key, "1", str(field.minimum), str(field.maximum), count))
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"v": 1}, "refused v: is of a version that this firmware does not read"),
        ({"v": None}, "refused v: is missing"),
        ({"pads": None}, "refused pads: is missing"),
        ({"more": 1}, "refused more: is not known"),
        ({"stride": (0, 1)}, "refused stride: has an element out of range"),
        ({"stride": (1,)}, "refused stride: has another number of elements"),
        ({"stride": 1}, "refused stride: is not a vector of integers"),
        ({"activation": (-129, 0)}, "refused activation: has an element out of range"),
        ({"dilation": "no"}, "refused dilation: is not a vector of integers"),
    ],
)
def test_what_is_wrong_is_named(driver, changes, refusal):
    assert ask(driver, [f"options {encoded(wire.CONV_2D, **changes)} {wire.CONV_2D}"]) == [refusal]


def test_damaged_options_are_refused_and_nothing_behind_them_is_read(driver):
    """Every byte changed, every length cut, random soup: an answer each, no sanitizer's word."""
    draw = random.Random(5)
    requests = []
    for op in SAMPLES:
        sound = bytes.fromhex(encoded(op))
        for length in range(len(sound)):
            requests.append(f"options {sound[length:].hex()} {op}")
            requests.append(f"options {sound[:length].hex() or '-'} {op}")
        for position in range(len(sound)):
            for value in {0, 1, 0x7F, 0xFF, draw.randrange(256)}:
                mutant = bytearray(sound)
                mutant[position] = value
                requests.append(f"options {mutant.hex()} {op}")
        for _ in range(1000):
            mutant = bytearray(sound)
            for _ in range(draw.randrange(1, 6)):
                mutant[draw.randrange(len(mutant))] = draw.randrange(256)
            requests.append(f"options {mutant.hex()} {op}")
        soup = [draw.randbytes(draw.randrange(1, 60)) for _ in range(300)]
        requests += [f"options {some.hex()} {op}" for some in soup]
    answers = ask(driver, requests)
    assert all(answer.startswith(("ok", "refused")) for answer in answers)
    assert sum(answer.startswith("refused") for answer in answers) > len(answers) // 2


# ---- Boxes ----


@cache
def counting(size: int) -> np.ndarray:
    index = np.arange(size)
    return ((index * 7 + index // 256) & 255).astype(np.uint8)


def random_box(draw: random.Random, dims: list[int]) -> list[tuple[int, int]]:
    bounds = []
    for extent in dims:
        start = draw.randrange(extent)
        bounds.append((start, draw.randrange(start + 1, extent + 1)))
    return bounds


def test_boxes_equal_numpy_slices(driver):
    draw = random.Random(7)
    requests, expected = [], []
    for _ in range(1500):
        item = draw.choice([1, 2, 4, 8])
        dims = [draw.randrange(1, 6) for _ in range(draw.randrange(0, 7))]
        origin = [draw.randrange(0, 5) for _ in dims]
        box = random_box(draw, dims)
        flat = [at + o for pair, o in zip(box, origin, strict=True) for at in pair]
        words = [item, len(dims), *dims, *flat, *origin]
        requests.append("box " + " ".join(map(str, words)))
        tensor = counting(item * int(np.prod(dims, dtype=int))).reshape([*dims, item])
        expected.append(tensor[tuple(slice(*pair) for pair in box)].tobytes().hex())
    answers = ask(driver, requests)
    refused = [i for i, answer in enumerate(answers) if answer == "none"]
    for index, (answer, wanted) in enumerate(zip(answers, expected, strict=True)):
        assert answer in (wanted, "none"), requests[index]
    for index in refused:  # only what has more than four axes that are cut
        dim_count = requests[index].split()[2]
        assert int(dim_count) >= 4, requests[index]
    assert len(refused) < len(answers) // 5


@pytest.mark.parametrize(
    "request_line",
    [
        "box 1 2 3 4 0 4 0 4 0 0",  # too many rows
        "box 1 2 3 4 0 0 0 4 0 0",  # empty
        "box 1 2 3 4 0 3 0 4 1 0",  # begins before the tensor
        "box 1 1 4 2147483645 2147483647 2147483647",  # bounds where int32 ends
    ],
)
def test_boxes_outside_of_the_tensor_are_refused(driver, request_line):
    assert ask(driver, [request_line]) == ["none"]


# ---- SEND and RECV in Prepare ----


def options_hex(**options: Any) -> str:
    version = wire.device_version(wire.RECV if "early" in options else wire.SEND)
    return encode_map(Attrs(**options, v=version)).hex()


SEND = {"channel": 1, "to": (1,), "tensor": "t", "boxes": (0, 2, 0, 3), "origin": (0, 0)}
RECV = {
    "tensor": "t", "origin": (0, 0), "local": (0, 1, 0, 3), "local_origin": (0, 0),
    "channels": (5,), "from": (1,), "boxes": (1, 2, 0, 3), "sum": 0,
    "early": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, "ok"),
        ({"to": (0, 1), "boxes": (0, 1, 0, 3, 1, 2, 0, 3)}, "ok"),
        ({"to": ()}, "refused to: is empty"),
        ({"to": (1, 1)}, "refused to: names a rank twice"),
        ({"to": (3,)}, "refused to: names a rank that the cluster does not have"),
        ({"origin": (0,)}, "refused origin: has not as many elements as x has dimensions"),
        ({"boxes": (0, 3, 0, 3)},
         "refused boxes: has a box that does not lie in x, or takes more than four axes"),
        ({"boxes": (0, 1)}, "refused boxes: is neither one box nor one for each rank"),
    ],
)  # fmt: skip
def test_send_is_checked_against_its_tensor(driver, changes, refusal):
    request = f"send {options_hex(**{**SEND, **changes})} 3 1 2 2 3"
    assert ask(driver, [request]) == [refusal]


@pytest.mark.parametrize(
    ("changes", "item", "local", "refusal"),
    [
        ({}, 1, 1, "ok"),
        ({"sum": 1, "boxes": (0, 2, 0, 3)}, 4, 1, "ok"),
        ({"sum": 1, "boxes": (0, 2, 0, 3)}, 2, 1, "ok"),
        ({"local": (), "local_origin": (), "boxes": (0, 2, 0, 3)}, 1, 0, "ok"),
        ({"early": 1}, 1, 1, "ok"),
        ({"sum": 1, "early": 1, "boxes": (0, 2, 0, 3)}, 4, 1,
         "refused early: needs a result whose pieces are placed"),
        ({"sum": 1}, 1, 1, "refused sum: needs an int32 or int16 result"),
        ({"boxes": (0, 2, 0, 3)}, 1, 1, "refused boxes: do not tile the result"),
        ({"boxes": (1, 2, 0, 4)}, 1, 1,
         "refused boxes: has a box that does not lie in the result, or takes more than four axes"),
        ({"from": (1, 2)}, 1, 1, "refused from: has not as many elements as 'channels'"),
        ({"from": (9,)}, 1, 1, "refused from: names a rank that the cluster does not have"),
        ({"local_origin": (1, 0)}, 1, 1, "refused local: does not lie in the local shard"),
        ({"origin": (1, 0)}, 1, 1, "refused local: does not lie in the result"),
    ],
)  # fmt: skip
def test_recv_is_checked_against_its_tensors(driver, changes, item, local, refusal):
    dims = "1 3 2 3" if local else "2 3"
    request = f"recv {options_hex(**{**RECV, **changes})} 3 {local} {item} 2 {dims}"
    assert ask(driver, [request]) == [refusal]


@pytest.mark.parametrize(
    ("copied", "refusal"), [(6, "ok"), (5, "refused boxes: have not the bytes of the result")]
)
def test_a_send_copies_all_that_it_sends(driver, copied, refusal):
    assert ask(driver, [f"send {options_hex(**SEND)} 3 1 2 2 3 {copied}"]) == [refusal]
    boxes = (0, 1, 0, 3, 1, 2, 0, 3)  # one for each rank: as many bytes
    scattered = options_hex(**{**SEND, "to": (0, 1), "boxes": boxes})
    assert ask(driver, [f"send {scattered} 3 1 2 2 3 {copied}"]) == [refusal]


def test_a_send_copies_its_boxes_one_behind_the_other(driver):
    """Columns 4 and 0 of three rows of five, to two ranks."""
    boxes = (0, 3, 4, 5, 0, 2, 0, 2, 0, 3, 0, 1, 0, 2, 0, 2)
    options = {**SEND, "boxes": boxes, "origin": (0, 0, 0, 0), "to": (1, 2)}
    x = counting(3 * 5 * 2 * 2 * 2).reshape(3, 5, 2, 2, 2)
    wanted = x[:, 4].tobytes() + x[:, 0].tobytes()
    request = f"copied {options_hex(**options)} 2 4 3 5 2 2 {len(wanted)}"
    assert ask(driver, [request]) == [wanted.hex()]


TILES = {"channels": (5, 6), "from": (1, 2)}
ALONE = {**TILES, "local": (), "local_origin": ()}
QUARTERS = {"channels": (5, 6, 7), "from": (1, 1, 2), "local": (0, 1, 0, 1)}


@pytest.mark.parametrize(
    ("changes", "item", "local", "tiles"),
    [
        ({**ALONE, "boxes": (0, 2, 0, 1, 0, 2, 1, 3)}, 1, "", True),
        ({**ALONE, "boxes": (0, 1, 0, 3, 1, 2, 0, 3)}, 1, "", True),
        ({**ALONE, "boxes": (1, 2, 0, 3, 1, 2, 0, 3)}, 1, "", False),  # one row twice
        ({**ALONE, "boxes": (0, 1, 0, 3, 0, 1, 0, 3), "sum": 1}, 4, "", True),  # adds up
        ({"boxes": (0, 1, 0, 3)}, 1, "1 3", False),  # what the local shard holds
        ({**QUARTERS, "boxes": (0, 1, 1, 3, 1, 2, 0, 1, 1, 2, 1, 3)}, 1, "1 1", True),
        ({**QUARTERS, "boxes": (0, 1, 1, 3, 1, 2, 0, 2, 1, 2, 2, 3)}, 1, "1 1", True),
        ({**QUARTERS, "boxes": (0, 1, 1, 3, 0, 2, 1, 2, 1, 2, 2, 3)}, 1, "1 1", False),
        ({**QUARTERS, "boxes": (0, 1, 0, 2, 1, 2, 0, 1, 1, 2, 1, 3)}, 1, "1 1", False),
    ],
)
def test_pieces_that_fill_the_result_do_not_overlap(driver, changes, item, local, tiles):
    """A 2x3 result: as many elements as it has, but one twice and another never, is refused."""
    dims = f"1 {item} 2 {local} 2 3" if local else f"0 {item} 2 2 3"
    request = f"recv {options_hex(**{**RECV, **changes})} 3 {dims}"
    expected = "ok" if tiles else "refused boxes: do not tile the result"
    assert ask(driver, [request]) == [expected]


# ---- RECV's local shard, in memory of its own or inside the result ----


def local_request(size: int, dims: list[list[int]], at: list[int], rows: list[int]) -> str:
    """Shard and result at bytes ``at``; of axis 1 they hold what begins at ``rows``."""
    start, stop = max(rows), min(row + each[1] for row, each in zip(rows, dims, strict=True))
    ends = [stop if axis == 1 else min(pair) for axis, pair in enumerate(zip(*dims, strict=True))]
    box = [at for axis, end in enumerate(ends) for at in (start if axis == 1 else 0, end)]
    origins = [[row if axis == 1 else 0 for axis in range(len(dims[0]))] for row in rows]
    options = {
        **RECV, "local": tuple(box), "local_origin": tuple(origins[0]), "channels": (), "from": (),
        "origin": tuple(origins[1]), "boxes": (),
    }  # fmt: skip
    words = [size, 1, len(dims[0]), at[0], *dims[0], at[1], *dims[1]]
    return f"local {options_hex(**options)} " + " ".join(map(str, words))


def test_a_shard_that_lies_in_the_result_is_not_moved(driver):
    draw = random.Random(3)
    requests, sizes = [], []
    for _ in range(200):
        row, count = draw.choice([1, 6, 48, 300]), draw.randrange(2, 9)
        tail = [row] if draw.random() < 0.5 else [1, row]
        first = draw.randrange(0, count)  # of the shard, in the result; some reach over its ends
        held, before = draw.randrange(1, 9), draw.randrange(0, 3)
        rows = [10 + first - before, 10]
        size = 16 + row * (before + count + held)
        dims = [[1, before + held, *tail], [1, count, *tail]]
        places = [16 + row * first, 16 + row * before]
        requests.append(local_request(size, dims, places, rows))
        sizes.append(size)
    for request, size, answer in zip(requests, sizes, ask(driver, requests), strict=True):
        assert answer == counting(size).tobytes().hex(), request


def test_a_shard_elsewhere_is_copied_to_its_rows(driver):
    request = local_request(100, [[1, 3, 5], [1, 6, 5]], [70, 8], [2, 0])
    memory = counting(100).copy()
    memory[8 + 10 : 8 + 25] = memory[70:85]
    assert ask(driver, [request]) == [memory.tobytes().hex()]


def test_columns_that_begin_at_the_same_byte_are_no_rows_of_the_result(driver):
    """Equal addresses, but other distances between the rows: there is something to copy."""
    dims = [[3, 4, 2], [3, 6, 2]]
    memory = counting(50).copy()
    shard = memory[4 : 4 + 24].reshape(3, 4, 2).copy()
    memory[4 : 4 + 36].reshape(3, 6, 2)[:, :4] = shard
    request = local_request(50, dims, [4, 4], [0, 0])
    assert ask(driver, [request]) == [memory.tobytes().hex()]


def test_a_shard_under_its_result_is_moved_wherever_it_lies(driver):
    """Columns made more, or fewer, in the memory that they lie in; some rows go up, others down."""
    draw, requests, memories = random.Random(11), [], []
    for _ in range(300):
        rows, channels = draw.randrange(1, 7), draw.choice([1, 3, 24, 300])
        held, wanted = draw.randrange(1, 9), draw.randrange(1, 9)
        first = draw.randrange(-min(held, wanted) + 1, max(held, wanted))  # of y, in x's columns
        first = min(max(first, 1 - wanted), held - 1)
        dims = [[rows, held, channels], [rows, wanted, channels]]
        sizes = [int(np.prod(each)) for each in dims]
        places = [draw.randrange(0, 40), draw.randrange(0, 2 * sizes[0])]
        places = places if draw.random() < 0.5 else places[::-1]
        size = max(place + size for place, size in zip(places, sizes, strict=True))
        memory = counting(size).copy()
        x, y = (
            memory[place : place + count].reshape(each)
            for place, count, each in zip(places, sizes, dims, strict=True)
        )
        start, stop = max(0, first), min(held, first + wanted)
        y[:, start - first : stop - first] = x[:, start:stop].copy()
        requests.append(local_request(size, dims, places, [10, 10 + first]))
        memories.append(memory)
    for request, memory, answer in zip(requests, memories, ask(driver, requests), strict=True):
        assert answer == memory.tobytes().hex(), request


# ---- Control messages ----


def fields_of(message: dict[str, Any]) -> str:
    fields = dict(message["fields"])
    if message["kind"] == "link":
        lost = fields.pop("lost_bytes")
        counters = fields.pop("counters")
        return " ".join(map(str, [*fields.values(), *counters, lost]))
    if message["kind"] == "text":
        return f"{fields['token']} {fields['text'].encode().hex() or '-'}"
    return " ".join(str(value) for value in fields.values())


@pytest.mark.parametrize("message", VECTORS["messages"], ids=lambda message: message["name"])
def test_control_messages_are_those_of_the_table(driver, message):
    kind, payload = message["kind"], message["payload"]
    if kind in ("query", "start"):
        fields = " ".join(str(value) for value in message["fields"].values())
        assert ask(driver, [f"{kind} {payload}"]) == [f"{fields} {payload}"]
    else:
        assert ask(driver, [f"{kind} {fields_of(message)}"]) == [payload]


def test_other_versions_types_and_sizes_are_ignored(driver):
    payloads = [
        entry["payload"] if isinstance(entry, dict) else entry for entry in VECTORS["ignored"]
    ]
    requests = [f"{kind} {payload or '-'}" for payload in payloads for kind in ("query", "start")]
    assert set(ask(driver, requests)) == {"none"}
