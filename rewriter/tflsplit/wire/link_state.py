# SPDX-License-Identifier: Apache-2.0
"""How a link is, and what happened on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LinkState(Enum):
    """Of our session towards the peer."""

    CONNECTING = "connecting"
    OPEN = "open"
    LOST = "lost"
    REFUSED = "refused"


@dataclass
class LinkCounters:
    """What happened on this link since it was made."""

    frames_sent: int = 0
    frames_resent: int = 0
    frames_received: int = 0
    duplicates: int = 0
    gaps: int = 0
    bad_headers: int = 0
    bad_acks: int = 0
    dropped: int = 0
    polls: int = 0
    sessions: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
