# SPDX-License-Identifier: Apache-2.0
"""``benchmarks.survive_desk`` for tests: what comes out must be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from benchmarks import survive_desk
from benchmarks.survive_desk import Questions, blank_devices, blank_ring, questions
from tests.bundles import bundle_of
from tflsplit.emulate.blank import Port, blank_cluster, blank_wires
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.serving import Served, ServeOptions, Service

PATIENT = ServeOptions(patience_seconds=2.0, look_seconds=0.5, objective="ram")
"""Boards that a loaded machine keeps from answering are not lost at once."""


def folder_of(to: Path, name: str, world_size: int) -> Path:
    """A plan for boards that are this computer's."""
    folder = bundle_of(to, name, world_size)
    write_firmware(folder, FirmwareOptions(boards=("host",)))
    return folder


@cache
def _questions(folder: Path) -> Questions:
    return questions(folder)


class Desk(survive_desk.Desk):
    """Some boards."""

    def serve(
        self, folder: Path, options: ServeOptions = PATIENT, ports: Sequence[str] = ()
    ) -> Service:
        return super().serve(folder, options, ports)

    def right(self, service: Service, folder: Path, timeout_seconds: float = 60.0) -> Served:
        """One inference, whose outputs must be the unsplit model's."""
        served, is_right = self.infer(service, _questions(folder), timeout_seconds)
        assert is_right
        return served

    def kill_in_inference(self, rank: int, after_bytes: int) -> None:
        """Rank's power fails when so much has left by one of its ports."""
        self.kill_after(self.plugs_of(rank)[0], after_bytes, rank)


@contextmanager
def direct_desk(folder: Path, count: int) -> Iterator[tuple[Desk, list[str]]]:
    """So many blank boards in a ring, each with a port of its own."""
    wires = blank_wires(count, "ring", direct=True)
    boards = blank_devices(HOST_BOARD, count, folder)
    with blank_cluster(boards, "ring", wires, pluggable=True) as cluster, ExitStack() as stack:
        urls = [stack.enter_context(Port(end)).url for end in cluster.host_sockets]
        yield Desk(cluster, urls[0]), urls


@contextmanager
def desk(folder: Path, count: int, **more: int) -> Iterator[Desk]:
    """So many blank boards in a ring."""
    with blank_ring(blank_devices(HOST_BOARD, count, folder, **more)) as (cluster, url):
        yield Desk(cluster, url)
