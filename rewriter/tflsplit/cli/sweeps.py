# SPDX-License-Identifier: Apache-2.0
"""``--sweep KEY=VALUES``: the same simulation again with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tflsplit.cli.parsing import meant
from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError

MOST_POINTS = 256


@dataclass(frozen=True)
class Setting:
    """What one simulation is made with."""

    cluster: Cluster
    inputs: int = 1
    in_flight: int = 1
    error_rate: float = 0.0
    seed: int = 0


Change = Callable[[Setting, float], Setting]


def _devices(setting: Setting, value: float) -> Setting:
    cluster = setting.cluster
    if len({replace(device, name="") for device in cluster.devices}) > 1:
        raise ClusterError("--sweep n=… needs a cluster of equal devices")
    if not 1 <= value <= 64:
        raise ClusterError(f"--sweep n={value:g}: the number of devices must be 1 to 64")
    devices = (cluster.devices[0],) * int(value)
    return replace(setting, cluster=replace(cluster, devices=devices, wires=()))


def _bit_rate(setting: Setting, value: float) -> Setting:
    if value < 1000:
        raise ClusterError(f"--sweep: {value:g} bits a second are too few")
    link = replace(setting.cluster.link, bit_rate=int(value))
    return replace(setting, cluster=replace(setting.cluster, link=link))


def _mtu(setting: Setting, value: float) -> Setting:
    return replace(setting, cluster=replace(setting.cluster, mtu_bytes=int(value)))


def _background(setting: Setting, value: float) -> Setting:
    return replace(setting, cluster=replace(setting.cluster, background_poll_us=value))


def _error_rate(setting: Setting, value: float) -> Setting:
    return replace(setting, error_rate=value)


def _in_flight(setting: Setting, value: float) -> Setting:
    return replace(setting, in_flight=int(value), inputs=max(setting.inputs, int(value)))


KEYS: dict[str, Change] = {
    "n": _devices,
    "bit_rate": _bit_rate,
    "baud": _bit_rate,
    "clock_hz": _bit_rate,
    "mtu_bytes": _mtu,
    "error_rate": _error_rate,
    "in_flight": _in_flight,
    "background_poll_us": _background,
}
"""What can be swept; ``baud`` and ``clock_hz`` are other words for the link's ``bit_rate``."""

_WHOLE = {"n", "mtu_bytes", "in_flight"}


def parse_sweep(text: str) -> tuple[str, list[float]]:
    """``n=1..16``, ``baud=1e6,3e6,6e6``: the key and its values, or ClusterError."""
    key, _, values = text.partition("=")
    if key not in KEYS:
        raise ClusterError(
            f"--sweep {text!r}: no such key{meant(key, KEYS)}; known are: {', '.join(KEYS)}"
        )
    numbers = [number for part in values.split(",") for number in _numbers(part, text)]
    if key in _WHOLE and any(number != int(number) for number in numbers):
        raise ClusterError(f"--sweep {text!r}: {key} takes whole numbers")
    return key, numbers


def _numbers(part: str, text: str) -> list[float]:
    first, dots, last = part.partition("..")
    try:
        if not dots:
            return [float(part)]
        low, high = int(first), int(last)
    except ValueError:
        raise ClusterError(
            f"--sweep {text!r}: {part!r} is neither a number nor a range such as 1..16"
        ) from None
    if not low <= high < low + MOST_POINTS:
        raise ClusterError(f"--sweep {text!r}: a range goes up, by {MOST_POINTS} steps at most")
    return [float(number) for number in range(low, high + 1)]
