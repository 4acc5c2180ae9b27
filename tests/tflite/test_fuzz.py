# SPDX-License-Identifier: Apache-2.0
"""Mutated files: the reader answers with a graph or a ModelError, soon, and nothing else.

TFLSPLIT_FUZZ sets the number of mutations per model (default 60), TFLSPLIT_FUZZ_SEED the seed.
A graph that the reader accepts must also be written again, and read again.
"""

import os
import random
import struct
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from models.tiny import NETWORKS
from tests.tflite.raw import dense_model
from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, Node, Value
from tflsplit.ir.printer import graph_text
from tflsplit.tflite import check_quantized, read_model, write_model

MUTATIONS = int(os.environ.get("TFLSPLIT_FUZZ", "60"))
SEED = int(os.environ.get("TFLSPLIT_FUZZ_SEED", "1"))
# Generous: an ordinary answer takes milliseconds, but the machine may be busy.
LIMIT_SECONDS = 10.0
LIMIT_BYTES_PER_FILE_BYTE = 40
LIMIT_BYTES = 20_000_000
REAL = ["mlperf_kws_dscnn", "gen_tcn_dilated_2in2out_int8", "tflm_person_detect", "mlperf_resnet8"]

INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    127,
    128,
    255,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 4,
    2**32 - 1,
)


def mutate(data: bytes, rng: random.Random, structure: list[int]) -> bytes:
    """One to four damages, most of them where the file is structure rather than weights."""
    mutant = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        position = rng.choice(structure) if rng.random() < 0.9 else rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            mutant[position] ^= 1 << rng.randrange(8)
        elif kind == 1:
            mutant[position] = rng.randrange(256)
        elif kind in (2, 3):
            word = position // 4 * 4
            value = rng.choice(INTERESTING) if kind == 2 else rng.randrange(2**32)
            mutant[word : word + 4] = struct.pack("<I", value)
        elif kind == 4:
            source = rng.choice(structure) // 4 * 4
            word = position // 4 * 4
            mutant[word : word + 4] = mutant[source : source + 4]
        elif rng.random() < 0.2:
            return bytes(mutant[: rng.randrange(8, len(mutant))])
    return bytes(mutant)


def structure_of(data: bytes) -> list[int]:
    """Positions of the file that are not contents of constants."""
    weights: set[int] = set()
    for value in read_model(data).constants():
        assert value.data is not None
        blob = value.data.tobytes()
        if len(blob) > 16:
            start = data.find(blob)
            weights.update(range(start, start + len(blob)))
    return [position for position in range(8, len(data) - 4) if position not in weights]


def outcome(mutant: bytes) -> str:
    """What became of a mutant; whatever but ModelError is raised passes through and fails."""
    try:
        graph = read_model(mutant)
    except ModelError as error:
        return "refused" if str(error).isprintable() else f"unprintable {error!r}"
    again = read_model(write_model(graph))
    assert len(again.nodes) == len(graph.nodes)
    graph_text(graph)
    try:
        check_quantized(graph)
    except ModelError:
        return "not splittable"
    return "accepted"


def fuzz(data: bytes, count: int, seed: int) -> Counter[str]:
    """How many of ``count`` mutants of a file came to what."""
    rng = random.Random(seed)
    structure = structure_of(data)
    outcomes: Counter[str] = Counter()
    for number in range(count):
        mutant = mutate(data, rng, structure)
        start = time.process_time()
        try:
            outcomes[outcome(mutant)] += 1
        except Exception as error:
            raise AssertionError(f"mutant {number} of seed {seed}: {error!r}") from error
        assert time.process_time() - start < LIMIT_SECONDS, f"mutant {number} of seed {seed}"
    return outcomes


def assert_telling(outcomes: Counter[str]) -> None:
    """Mutants of both fates: otherwise the fuzz tests only one half of the program."""
    assert set(outcomes) <= {"refused", "not splittable", "accepted"}
    assert outcomes["refused"] > 0
    assert outcomes["accepted"] + outcomes["not splittable"] > 0


def device_model() -> bytes:
    """The small model with a SEND and a RECV, whose options are FlexBuffers."""
    graph = read_model(dense_model())
    hidden = graph.nodes[0].output
    options = Attrs(box=(0, 1, 0, 300), channel=70_000, tensor="h", to=(1, 2), v=1)
    send = Node("TFLSPLIT_SEND", (hidden,), (), options, name="send", is_custom=True)
    again = Value("again", hidden.shape, hidden.dtype, hidden.quantization)
    pieces = Attrs(boxes=(0, 1, 0, 3), local=(), v=1)
    receive = Node("TFLSPLIT_RECV", (hidden,), (again,), pieces, is_custom=True)
    graph.nodes[1].inputs = (again,)
    graph.nodes[1:1] = [send, receive]
    return write_model(graph)


def own_model(name: str) -> bytes:
    made_here = {"dense": dense_model, "device": device_model}
    return made_here[name]() if name in made_here else write_model(NETWORKS[name]())


@pytest.mark.parametrize("name", [*NETWORKS, "dense", "device"])
def test_mutants_of_own_models(name: str):
    data = own_model(name)
    assert_telling(fuzz(data, MUTATIONS, SEED))


@pytest.mark.parametrize("name", REAL)
def test_mutants_of_real_models(shared_models: Path, name: str):
    data = (shared_models / f"{name}.tflite").read_bytes()
    assert_telling(fuzz(data, MUTATIONS, SEED))


@pytest.mark.parametrize("size", [0, 8, 64, 4096])
def test_garbage_with_the_right_identifier(size: int):
    rng = random.Random(SEED)
    for _ in range(MUTATIONS):
        data = rng.randbytes(4) + b"TFL3" + rng.randbytes(size)
        with pytest.raises(ModelError):
            read_model(data)


def test_a_file_whose_parts_overlap_takes_no_memory():
    """Thousands of tables may all point at one: what they cost must follow from the file's size."""
    data = bytearray(write_model(NETWORKS["mobilenet"]()))
    tracemalloc.start()
    rng = random.Random(SEED)
    for _ in range(MUTATIONS // 2):
        mutant = mutate(bytes(data), rng, list(range(8, 20_000)))
        try:
            read_model(mutant)
        except ModelError:
            continue
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LIMIT_BYTES + LIMIT_BYTES_PER_FILE_BYTE * len(data)
