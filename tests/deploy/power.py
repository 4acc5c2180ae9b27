# SPDX-License-Identifier: Apache-2.0
"""Boards that lose their power during a deployment: each holds the old plan or the new one, whole.

    python -m tests.deploy.power            every board at every frame that passes the host's port
    python -m tests.deploy.power --step 10  at every tenth

Programs of this computer with the generic firmware in a ring of three, which hold one plan, are
given another. At a frame of it a board is killed; the host stops, too, a little later. Then every
store is read: its active image must be the old one or the new one, byte for byte; and where a board
holds the new one, all others must have it, too, committed or prepared, so that the same deployment
again completes it. Every so often it is deployed again, and runs.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import struct
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bundles import bundle_of
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli.deploy_model import compare
from tflsplit.deploy.deploying import Prepared, deploy_images, prepare_images
from tflsplit.deploy.explore import explore
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.emulate.blank import Port, blank_boards, blank_cluster
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.native_build import build_generic
from tflsplit.errors import LinkError
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.host import open_port
from tflsplit.host.ports import Stream

BOARDS = 3
OPTIONS = FirmwareOptions(boards=("host",))
STORE_BYTES = 64 * 1024
RECORDS_BYTES, RECORD_BYTES = 192, 96
OTHERS_GO_ON_SECONDS = 0.05
PREPARED, COMMITTED = 1, 2


class GaveUpError(Exception):
    """The host has stopped in the middle of it."""


@dataclass(frozen=True)
class Slot:
    """What a slot of a store holds: an image whose digest is right, and its state."""

    image: bytes
    state: int
    sequence: int


def slots_of(store: bytes) -> list[Slot]:
    """By ``docs/deployment.md``, "The store", without the firmware's help."""
    half = len(store) // 2
    found = []
    for slot in (store[:half], store[half:]):
        first, second = slot[-RECORDS_BYTES:-RECORD_BYTES], slot[-RECORD_BYTES:]
        record = second if second != b"\xff" * RECORD_BYTES else first
        is_sealed = zlib.crc32(record[:92]) == struct.unpack_from("<I", record, 92)[0]
        if record[:4] == b"TFSR" and is_sealed:
            state, sequence, size = struct.unpack_from("<HII", record, 6)
            image = slot[:size]
            if hashlib.sha256(image).digest() == record[32:64]:
                found.append(Slot(image, state, sequence))
    return found


def active_of(store: bytes) -> bytes | None:
    """The image that the board runs after a reset."""
    committed = [slot for slot in slots_of(store) if slot.state == COMMITTED]
    return max(committed, key=lambda slot: slot.sequence).image if committed else None


class Watched:
    """A stream that counts the ends of frames that pass, both ways, and acts at one of them."""

    def __init__(self, inner: Stream) -> None:
        self._inner = inner
        self.name = inner.name
        self.frames = 0
        self.kill_at = -1
        self.kill: Callable[[], None] = lambda: None
        self._stops = float("inf")

    def begin(self, kill_at: int = -1) -> None:
        """Counts anew."""
        self.frames, self.kill_at, self._stops = 0, kill_at, float("inf")

    def _pass(self, data: bytes) -> None:
        self.frames += data.count(0)
        if 0 <= self.kill_at <= self.frames and self._stops == float("inf"):
            self.kill()
            self._stops = time.monotonic() + OTHERS_GO_ON_SECONDS
        if time.monotonic() > self._stops:
            raise GaveUpError

    def send(self, data: bytes) -> None:
        """Passes on."""
        self._pass(data)
        self._inner.send(data)

    def receive(self, timeout_seconds: float) -> bytes:
        """Passes on."""
        data = self._inner.receive(timeout_seconds)
        self._pass(data)
        return data

    def close(self) -> None:
        """Passes on."""
        self._inner.close()

    def waits_on(self) -> tuple[int, bool] | None:
        """Passes on."""
        return self._inner.waits_on()


class Bench:
    """Three boards that hold the old plan, and everything that the new one takes."""

    def __init__(self, cluster: Cluster, stream: Stream, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.stream = Watched(stream)
        surveyor, self.wiring = explore([self.stream])
        self.old, _ = self._prepared("ds_cnn", "old")
        self.new, self.bundle = self._prepared("resnet", "new")
        deploy_images(self.old, surveyor, [self.stream], self.wiring)
        self.template = [self.store(board).read_bytes() for board in range(BOARDS)]
        assert [active_of(one) for one in self.template] == list(self.old.images)
        self.stream.begin()
        self.restore()
        self.deploy()
        self.frames = self.stream.frames
        """That pass in a deployment which nothing disturbs."""

    def _prepared(self, model: str, name: str) -> tuple[Prepared, Bundle]:
        folder = bundle_of(self.folder / name, model, BOARDS)
        write_firmware(folder, OPTIONS)
        bundle = read_bundle(folder)
        return prepare_images(bundle, OPTIONS, self.wiring), bundle

    def store(self, board: int) -> Path:
        return self.folder / f"board{board}.store"

    def restore(self) -> None:
        """All begin anew with the old plan, and with nothing in the other slot."""
        for board in range(BOARDS):
            self.cluster.kill(board)
            self.store(board).write_bytes(self.template[board])
            self.cluster.restart(board)

    def deploy(self) -> None:
        deploy_images(self.new, Surveyor([self.stream]), [self.stream], self.wiring)

    def lose(self, victim: int, frame: int) -> str:
        """The board's power fails at a frame; what all hold then, in a word."""
        self.restore()
        self.stream.begin(frame)
        self.stream.kill = lambda: self.cluster.kill(victim)
        with suppress(GaveUpError, LinkError):
            self.deploy()
        stores = [self.store(board).read_bytes() for board in range(BOARDS)]
        active = [active_of(store) for store in stores]
        have_new = [
            any(slot.image == new for slot in slots_of(store))
            for store, new in zip(stores, self.new.images, strict=True)
        ]
        is_new = [one == new for one, new in zip(active, self.new.images, strict=True)]
        for board, (one, old) in enumerate(zip(active, self.old.images, strict=True)):
            assert is_new[board] or one == old, f"board {board} holds neither, at frame {frame}"
        assert not any(is_new) or all(have_new), f"half a plan at frame {frame}: {have_new}"
        return "new" if all(is_new) else "some new, all have it" if any(is_new) else "old"

    def completes(self) -> None:
        """All have power again, the same is deployed again, and computes the right bits."""
        for board in range(BOARDS):
            self.cluster.restart(board)
        self.stream.begin()
        self.deploy()
        assert compare(self.bundle, [[self.stream]], 1).differing == 0


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """In a folder that holds the stores."""
    boards = blank_boards(build_generic(), BOARDS, folder, STORE_BYTES)
    with (
        blank_cluster(boards, "ring", pluggable=True) as cluster,
        Port(cluster.host_sockets[0]) as port,
    ):
        stream = open_port(port.url)
        try:
            yield Bench(cluster, stream, folder)
        finally:
            stream.close()


def main() -> None:
    """Every board at every frame."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="frames between two losses (1)")
    parser.add_argument("--complete", type=int, default=25, help="deploy again after so many (25)")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tflsplit-power-"))
    found: Counter[str] = Counter()
    try:
        with bench(folder) as here:
            print(f"{here.frames} frames pass the host's port", flush=True)
            for victim in range(BOARDS):
                for frame in range(0, here.frames + 1, arguments.step):
                    found[here.lose(victim, frame)] += 1
                    if found.total() % arguments.complete == 0:
                        here.completes()
                        found["completed"] += 1
                print(f"board {victim}: {dict(found)}", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
