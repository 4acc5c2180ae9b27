# SPDX-License-Identifier: Apache-2.0
"""Shares of the first layers where the input takes its time to arrive.

The host's bytes reach the gateway first and the farthest devices last (``plan.cost.arrival``).
With equal shares the farthest device begins last and all wait for its halos.  So near ones get
more rows of the first layers, as many as make everybody finish at the same time T::

    rank 0    |###########            w(r): share of the rows, which is its share of the input too
    rank 1    |-->#######             arrival(r) + w(r) * work(r) = T,    sum of w = 1
    rank 2    |------>###

This is a balance for one stretch of layers; how long that stretch should be (behind it, the map
must be cut anew, which moves rows) is found out by trying.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.cluster import Cluster
from tflsplit.plan.cost import arrivals_us
from tflsplit.planner.ways.shares import Shares, normalized

_ROUNDS = 60
"""Of the iteration, which is damped by half; shares near 0 may keep it from settling."""
_SETTLED = 1e-6
"""Shares that move no further make no other cut of a map of less than a million rows."""


def balanced_shares(cluster: Cluster, input_bytes: int, work_us: Sequence[float]) -> Shares:
    """Shares with which all ranks finish together, or the earliest that the iteration comes by.

    work_us: by rank, what it would take for the whole stretch of layers alone.
    """
    shares = normalized([1 / us if us > 0 else 0.0 for us in work_us])
    found: list[tuple[float, Shares]] = []
    for _ in range(_ROUNDS):
        arrivals = _arrivals(cluster, input_bytes, shares)
        end_us = max(a + s * us for a, s, us in zip(arrivals, shares, work_us, strict=True))
        found.append((end_us, shares))
        balanced = _finishing_together(arrivals, work_us)
        before = shares
        shares = normalized([(a + b) / 2 for a, b in zip(shares, balanced, strict=True)])
        if all(abs(a - b) < _SETTLED for a, b in zip(shares, before, strict=True)):
            break
    return min(found)[1]


def ready_us(cluster: Cluster, input_bytes: int, work_us: Sequence[float], shares: Shares) -> float:
    """When the last rank is ready with its share of the work, having waited for its input only."""
    arrivals = _arrivals(cluster, input_bytes, shares)
    return max(a + s * us for a, s, us in zip(arrivals, shares, work_us, strict=True))


def _arrivals(cluster: Cluster, input_bytes: int, shares: Shares) -> list[float]:
    host = cluster.host_rank
    parts = enumerate(shares)
    return arrivals_us(
        cluster, [(host, 1 << rank, int(each * input_bytes)) for rank, each in parts]
    )


def _finishing_together(arrivals: Sequence[float], work_us: Sequence[float]) -> Shares:
    """Shares for the least T by which sum over ranks of (T - arrival) / work reaches 1."""
    done = 0.0  # shares finished at T, and how fast they grow with T
    rate = 0.0
    now = 0.0
    for arrival, us in sorted(zip(arrivals, work_us, strict=True)):
        if us <= 0:
            continue
        if rate and done + (arrival - now) * rate >= 1:
            break
        done += (arrival - now) * rate
        now = arrival
        rate += 1 / us
    end = now + (1 - done) / rate
    return tuple(
        max(0.0, end - arrival) / us if us > 0 else 0.0
        for arrival, us in zip(arrivals, work_us, strict=True)
    )
