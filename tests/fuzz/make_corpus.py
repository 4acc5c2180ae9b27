# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the fuzz harnesses, tests/fuzz/corpus/*/seed-*: sound inputs to begin with.

    python -m tests.fuzz.make_corpus

Beside them lie inputs that once broke something, ``found-*``; those stay.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tflsplit.ir import Attrs
from tflsplit.tflite.flexmap import encode_map
from tflsplit.wire.custom_ops import (
    BLOCK_VERSION,
    PACKED_VERSION,
    RECV_VERSION,
    SEND_VERSION,
    VERSION,
)

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
WIRE = json.loads((HERE.parent / "wire_vectors.json").read_text())
DEPLOY = json.loads((HERE.parent / "deploy_vectors.json").read_text())
ETHERNET = json.loads((HERE.parent / "ethernet_vectors.json").read_text())
CONTROL = json.loads((HERE.parent / "control_vectors.json").read_text())

Seeds = Mapping[str, bytes]


# ---- Frames: MTU code, pattern, bytes of a wire ----


def frame_seeds() -> Seeds:
    """Every vector of the wire format, and the same frames torn, doubled and glued together."""
    frames = {entry["name"]: bytes.fromhex(entry["wire_hex"]) for entry in WIRE["frames"]}
    seeds = {name: b"\x40\x00" + wire for name, wire in frames.items() if len(wire) < 300}
    for entry in WIRE["streams"]:
        seeds[f"stream-{entry['name']}"] = b"\x40\x07" + bytes.fromhex(entry["stream_hex"])
    some = list(frames.values())[:4]
    seeds["glued"] = b"\x00\x01" + b"".join(wire.strip(b"\0") for wire in some)
    seeds["torn"] = b"\x00\x05" + b"".join(wire[: len(wire) // 2] for wire in some)
    return seeds


# ---- Control: any bytes ----


def control_seeds() -> Seeds:
    """The vectors of the cluster protocol, SPI blocks, arguments and names."""
    seeds = {entry["name"]: bytes.fromhex(entry["payload"]) for entry in CONTROL["messages"]}
    for count in (0, 5, 125, 126):
        block = bytes([0xB5, count, 0xB5 ^ (~count & 0xFF)])
        seeds[f"spi-{count}"] = block + bytes(range(125))
    words = {"argument": b"rank=7", "number": b"-2147483647", "large": b"2147483648"}
    seeds |= words | {"name": "a/b;c\x1b[2J\u00e9".encode() * 8}
    return seeds


# ---- Options: form, item sizes, dimensions of x and of y, a FlexBuffer ----

ITEM_CODES = {0: 0, 1: 1, 2: 2, 4: 3, 8: 4}


def options_input(
    options: Mapping[str, Any], x: Iterable[int] = (2, 3), y: Iterable[int] = (2, 3), item: int = 1
) -> bytes:
    """Options beside two tensors of one rank, or of 6 together."""
    x, y = bytes(x), bytes(y)
    forms = range(64, 128) if len(x) != len(y) else range(7)
    form = next(form for form in forms if form % 7 == len(x))
    head = bytes([form, ITEM_CODES[item] * 6])
    return head + x + y + encode_map(Attrs({"v": VERSION, **options}))


def option_seeds() -> Seeds:
    """What every operator takes; SENDs and RECVs that fit their tensors, and some that do not."""
    send = {
        "channel": 1, "to": (1,), "tensor": "t", "boxes": (0, 2, 0, 3), "origin": (0, 0),
        "v": SEND_VERSION,
    }  # fmt: skip
    recv = {
        "tensor": "t", "origin": (0, 0), "local": (0, 1, 0, 3), "local_origin": (0, 0),
        "channels": (5,), "from": (1,), "boxes": (1, 2, 0, 3), "sum": 0,
        "early": 0, "v": RECV_VERSION,
    }  # fmt: skip
    tiles = {
        "channels": (5, 6, 7, 8), "from": (1, 2, 1, 2), "local": (), "local_origin": (),
        "boxes": (0, 1, 0, 2, 0, 1, 2, 3, 1, 2, 0, 1, 1, 2, 1, 3),
    }  # fmt: skip
    scatter = {"to": (0, 2), "boxes": (0, 1, 0, 3, 1, 2, 0, 3)}
    far = {"boxes": (70000, 70002, 3, 6), "origin": (70000, 3)}
    window = {
        "v": PACKED_VERSION, "kernel": (3, 1), "stride": (1, 2), "dilation": (1, 9),
        "pads": (0, 1, 2, 300),
    }  # fmt: skip
    fused = {
        "v": BLOCK_VERSION, "expand": tuple(range(16)), "depthwise": (1,) * 15 + (2**30,),
        "activation": (0, 1), "rounding": 1, "sum": 0, "tile_columns": 3, "add": (),
        "first_expand": (), "first_depthwise": (), "first_project": (), "window_columns": 0,
    }  # fmt: skip
    chain = {"units": (1,) * 120, "window_columns": 4, "tile_columns": 2, "rolling": (8, 8, 2)}
    five = {"boxes": (0, 1) * 3 + (0, 2, 0, 3), "origin": (0,) * 5}
    ask = {"tensor": "t", "channels": (5, 6), "from": (1, 2), "bytes": (3, 4)}
    return {
        "ask": options_input(ask, (7,), (7,)),
        "ask-too-much": options_input({**ask, "bytes": (3, 2**31 - 1)}, (7,), (7,)),
        "ask-twice": options_input({**ask, "channels": (5, 5), "from": (1, 1)}, (7,), (7,)),
        "send": options_input(send),
        "send-multicast": options_input({**send, "to": (0, 2, 4)}),
        "send-scatter": options_input({**send, **scatter}),
        "send-copy": options_input({**send, **five}, (1, 1, 1, 2, 3), (6,)),
        "send-far": options_input({**send, **far}),
        "send-outside": options_input({**send, "boxes": (0, 3, 0, 3)}),
        "send-int64": options_input({**send, "boxes": (0, 1, 1, 2)}, item=8),
        "send-scalar": options_input({**send, "boxes": (), "origin": ()}, (), ()),
        "recv": options_input(recv, (1, 3)),
        "recv-columns": options_input(
            {**recv, "local": (0, 2, 0, 2), "boxes": (0, 2, 2, 3)}, (2, 2)
        ),
        "recv-tiles": options_input({**recv, **tiles}),
        "recv-early": options_input({**recv, **tiles, "early": 1}),
        "recv-rolling": options_input({**recv, **tiles, "early": 2}),
        "recv-sum": options_input({**recv, "boxes": (0, 2, 0, 3), "sum": 1}, (1, 3), item=4),
        "recv-twice": options_input({**recv, "boxes": (0, 1, 0, 3)}, (1, 3)),
        "recv-nothing": options_input({**recv, "channels": (), "from": (), "boxes": ()}, (1, 3)),
        "window": options_input(window),
        "window-activation": options_input(
            {**window, "activation": (-128, 5), "rounding": 2, "groups": 1}
        ),
        "activation": options_input({"v": PACKED_VERSION, "activation": (-3, 127), "rounding": 0}),
        "none": options_input({"v": PACKED_VERSION}),
        "fused": options_input(fused),
        "chain": options_input(chain),
    }


# ---- Kernels: operator, parameters, values ----

CONV, DEPTHWISE, PARTIAL, FULLY_CONNECTED, REQUANTIZE, BLOCK = range(6)


def number(value: int) -> bytes:
    """As ``number`` of kernels_fuzz.cc reads it."""
    if 0 <= value < 13:
        return bytes([value])
    return bytes([187 + value]) if 13 <= value < 43 else b"\xe6" + struct.pack("<i", value)


def window(
    x: Iterable[int],
    kernel: tuple[int, int, int],
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> bytes:
    """A WindowParams: x [N, H, W, C], kernel rows, columns and input channels, output channels."""
    fields = (*x, *kernel, channels, stride, stride, dilation, dilation, *pads)
    return b"".join(map(number, fields)) + b"\x03\x00"


def finish(channels: int) -> bytes:
    """A Requantization of so many channels."""
    table = struct.pack("<iiB", 100, 2**30 + 12345, 31 - 6) * channels
    return b"\x01\xfb\x80\x7f" + table


def kernel_seeds() -> Seeds:
    """Each operator with windows that take its different loops."""
    same = (1, 1, 1, 1)
    conv = {
        "1x1": window((1, 4, 5, 6), (1, 1, 6), 7),
        "3x3": window((1, 5, 6, 3), (3, 3, 3), 9, 2, 1, (0, 1, 0, 1)),
        "dilated": window((2, 7, 7, 2), (3, 2, 2), 5, 1, 2, same),
        "grouped": window((1, 4, 4, 8), (2, 2, 4), 6, 1, 1, same),
        "single-tap": window((1, 3, 3, 2), (1, 1, 2), 2, 1, 2**31 - 1, same),
        "far-padding": window((1, 2, 2, 1), (2, 2, 1), 4, 9, 1, (40, 40, 3, 30)),
    }
    seeds = {
        f"conv-{name}": bytes([CONV]) + p + finish(p[7] if p[7] < 13 else 0)
        for name, p in conv.items()
    }
    seeds |= {f"partial-{name}": bytes([PARTIAL]) + p for name, p in conv.items()}
    for name, x, channels in (("plain", (1, 5, 5, 6), 6), ("multiplier", (1, 4, 5, 3), 6)):
        p = window(x, (3, 3, 0), channels, 1, 1, same)
        seeds[f"depthwise-{name}"] = bytes([DEPTHWISE]) + p + finish(channels)
    seeds["fully-connected"] = bytes([FULLY_CONNECTED, 3, 12, 7, 5])
    seeds["requantize"] = bytes([REQUANTIZE, 4, 4]) + finish(5) + bytes(range(100))
    depthwise = window((1, 6, 7, 8), (3, 3, 0), 8, 1, 1, same)
    expand = window((1, 6, 7, 3), (1, 1, 3), 8)
    stem = window((1, 9, 9, 2), (3, 3, 2), 8, 2, 1, same)
    for tile in (0, 3):
        for name, first in (("expand", expand), ("stem", stem)):
            head = bytes([BLOCK, tile & 1, 1, tile])
            tail = b"\x03" + finish(8) * 2 + finish(4)
            seeds[f"block-{name}-{tile}"] = head + first + depthwise + tail
        seeds[f"block-{tile}"] = (
            bytes([BLOCK, 0, 0, tile]) + depthwise + b"\x02" + finish(8) + finish(3)
        )
    return seeds


# ---- Device: options, epoch, then events and attacks ----


def device_seeds() -> Seeds:
    """Honest runs; each attack and event, which share their numbers, early and late; a mixture."""
    seeds = {f"honest-{form:02x}": bytes([form, 5, 0]) + bytes(120) for form in (0, 9, 6, 128)}
    for kind in range(10):
        for at in (4, 45):
            body = bytearray(110)
            for where in range(at, at + 40, 13):
                body[where : where + 3] = kind, 7, 3
            seeds[f"kind-{kind}-{at}"] = bytes([8 * (at & 1), 1, 0]) + bytes(body)
    draw = random.Random(10)
    for index in range(6):
        some = (draw.choice((0, 0, draw.randrange(10), draw.randrange(256))) for _ in range(200))
        seeds[f"mixed-{index}"] = bytes([draw.randrange(16), 0xFE, 0xFF, *some])
    return seeds


# ---- Surveys: state, ports, slices, memory; then port, length (+128: a payload), bytes ----


def survey_input(
    *pieces: tuple[int, bytes], state: int = 0, ports: int = 2, slices: int = 2
) -> bytes:
    """A device with 64 KB of memory, and payloads that come by its ports; the last: the host."""
    head = struct.pack("<BBBH", state, ports, slices, 4096)
    return head + b"".join(bytes([port, 128 + len(body)]) + body for port, body in pieces)


def survey_seeds() -> Seeds:
    """Requests that are forwarded, answered and refused, and an answer on its way."""

    def request(kind: int, out: bytes = b"", hop: int = 0, body: bytes = b"") -> bytes:
        return bytes([1, kind, len(out), hop]) + b"seed" + out + bytes(len(out)) + body

    session = bytes(range(16)) + struct.pack("<BBBBHBBII", 0, 1, 2, 1, 256, 4, 4, 20_000, 2_000_000)
    adopt = session + struct.pack("<BBBQ", 255, 1, 255, 2)
    asks = {"identify": (1, b""), "adopt": (2, adopt), "run": (3, b"\1"), "echo": (4, b"")}
    seeds = {
        name: survey_input((2, request(kind, body=body))) for name, (kind, body) in asks.items()
    }
    seeds |= {
        "fixed": survey_input((2, request(2, body=adopt)), state=2),
        "broken": survey_input((2, request(3, body=b"\xff")), state=3),
        "unknown": survey_input((2, request(99))),
        "forward": survey_input((2, request(1, b"\1\0")), (0, request(1, b"\0\1\1", 1))),
        "arrived": survey_input((1, request(1, b"\0\1", 2))),
        "answer": survey_input(
            (1, request(129, b"\1\0", 1, bytes(94))), (0, request(129, b"\1", 1))
        ),
        "full": survey_input(*[(2, request(1))] * 7),
        "garbage": struct.pack("<BBBH", 0, 1, 0, 0) + b"\0\5\0\1\0\3\xff",
    }
    return seeds


# ---- Images: KB of work memory, then an image or a message ----


def image_seeds() -> Seeds:
    """The vectors: sound images, each that is not, and the messages of a session."""
    images = {
        name: bytes.fromhex(DEPLOY["images"][name]["image_hex"]) for name in ("good", "single")
    }
    for number, change in enumerate(DEPLOY["images"]["bad"]):
        patch, at = bytes.fromhex(change["bytes_hex"]), change["at"]
        whole = images["single"]
        images[f"bad-{number}"] = whole[:at] + patch + whole[at + len(patch) :]
    for entry in DEPLOY["session"]:
        images[f"message-{entry['name']}"] = bytes.fromhex(entry["payload_hex"])
    return {name: struct.pack("<H", 900) + content for name, content in images.items()}


# ---- Ethernet: devices, rank, host, MTU; then how, length, bytes of a frame ----


def ethernet_seeds() -> Seeds:
    """Every vector at each rank that opens it; a frame that the harness makes this plan's."""
    seeds = {}
    for number, case in enumerate(ETHERNET):
        frames = b"".join(
            struct.pack("<BH", 0, len(frame)) + frame
            for frame in map(bytes.fromhex, case["ethernet_hex"])
        )
        for rank in sorted({one["rank"] for one in case["opened"]}):
            head = bytes([case["world_size"] - 2, rank, 1, 64])
            seeds[f"{number:02}-at-{rank}"] = head + frames
    shared = bytes(16) + bytes([2, 0, 28, 0]) + bytes(28) + bytes([1, 1, 2, 3, 0, 4, 5, 6])
    seeds["shared"] = bytes([1, 0, 0, 0]) + struct.pack("<BH", 0x17, 60) + shared + bytes(4)
    return seeds


def all_seeds() -> Iterator[tuple[Path, bytes]]:
    """Every seed and its file."""
    for harness, seeds in (
        ("frame", frame_seeds()),
        ("control", control_seeds()),
        ("options", option_seeds()),
        ("kernels", kernel_seeds()),
        ("device", device_seeds()),
        ("survey", survey_seeds()),
        ("image", image_seeds()),
        ("ethernet", ethernet_seeds()),
    ):
        for name, content in seeds.items():
            yield CORPUS / harness / f"seed-{name}", content


def main() -> None:
    """Replaces the seeds."""
    for old in CORPUS.glob("*/seed-*"):
        old.unlink()
    for path, content in all_seeds():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
