# SPDX-License-Identifier: Apache-2.0
"""Which port leads to which device, where every device has a port to this computer.

    /dev/ttyACM0 ── HELLO ──► ◄── HELLO "rank 2"        and so rank 2's input goes there

Nobody can know: the operating system numbers USB ports as it finds them.  The handshake tells.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

from tflsplit.errors import LinkError
from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.host.gateway import TURN_SECONDS, host_identity, silence
from tflsplit.host.ports import Stream, wait_for_any
from tflsplit.wire.handshake import ErrorCode, describe
from tflsplit.wire.link import Link
from tflsplit.wire.link_state import LinkState


def ranks_of_ports(
    streams: Sequence[Stream], setup: FirmwareSetup, timeout_seconds: float, strict: bool = True
) -> dict[int, Stream]:
    """The streams by the rank of the device at their other end.

    strict: each of them must lead to a device of this plan; else those that do not are left out.
    Raises LinkError that names what is missing, and the ports that were looked at.
    """
    links = [_probe(setup) for _ in streams]
    _shake_hands(streams, links, timeout_seconds)
    found: dict[int, Stream] = {}
    said = []
    for stream, link in zip(streams, links, strict=True):
        rank, words = _judge(stream, link, setup, timeout_seconds)
        said.append(words)
        if rank is not None and rank not in found:
            found[rank] = stream
        elif rank is not None:
            raise LinkError(f"{found[rank].name} and {stream.name} both lead to rank {rank}")
        elif strict:
            raise LinkError(words)
    _check_complete(found, setup, said)
    return {rank: found[rank] for rank in setup.gateways}


def _probe(setup: FirmwareSetup) -> Link:
    return Link(
        host_identity(setup), setup.gateways[0], secrets.randbits(32),
        lambda frame: None, lambda code, rank: None, setup.timing,
    )  # fmt: skip


def _shake_hands(streams: Sequence[Stream], links: Sequence[Link], timeout_seconds: float) -> None:
    """Until each has said who is there, or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not all(map(_has_answered, links)) and time.monotonic() < deadline:
        wait_for_any(streams, TURN_SECONDS)
        for stream, link in zip(streams, links, strict=True):
            now_us = time.monotonic_ns() // 1000
            if data := stream.receive(0.0):
                link.receive(data, now_us)
            if due := link.poll(now_us):
                stream.send(due)


def _has_answered(link: Link) -> bool:
    return link.is_up or link.state is LinkState.REFUSED


def _judge(
    stream: Stream, link: Link, setup: FirmwareSetup, timeout_seconds: float
) -> tuple[int | None, str]:
    """The rank behind a port, None if it is no device of this plan; and what there is to say."""
    if link.is_up:
        rank: int | None = link.peer_rank
    elif link.error is ErrorCode.RANK_MISMATCH and link.claimed_rank in setup.gateways:
        rank = link.claimed_rank
    elif link.state is LinkState.REFUSED:
        claimed = link.peer_rank if link.claimed_rank is None else link.claimed_rank
        return None, f"{stream.name}: {describe(link.error, claimed)}"
    else:
        return None, f"{stream.name}: {silence(link, stream, timeout_seconds)}"
    return rank, f"{stream.name} leads to rank {rank}"


def _check_complete(found: Mapping[int, Stream], setup: FirmwareSetup, said: Sequence[str]) -> None:
    missing = [rank for rank in setup.gateways if rank not in found]
    if not missing:
        return
    who = f"rank {missing[0]} has" if len(missing) == 1 else f"ranks {_listed(missing)} have"
    raise LinkError(
        f"{who} no port here: this firmware takes each device's input over its own USB. Connect "
        "them all to this computer and name every port with --port, or generate the firmware "
        f"without direct input ({'; '.join(said) or 'no port was found'})"
    )


def _listed(ranks: Sequence[int]) -> str:
    return ", ".join(map(str, ranks))
