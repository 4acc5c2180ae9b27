# SPDX-License-Identifier: Apache-2.0
"""The few shapes that the page's charts are made of; colours come from its style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".removesuffix(".0")


def steps_path(values: Sequence[float], x0: float, width: float) -> str:
    """A step function as the upper edge of an area, from left to right; ``values`` are heights y.

    Runs of equal values are one segment.
    """
    parts = [f"M{number(x0)} {number(values[0])}"]
    for index, (before, after) in enumerate(pairwise(values), 1):
        if before != after:
            parts.append(f"H{number(x0 + width * index)}V{number(after)}")
    parts.append(f"H{number(x0 + width * len(values))}")
    return "".join(parts)


def boxes_path(boxes: Sequence[tuple[float, float]], y: float, height: float) -> str:
    """Boxes ``(start, end)`` of one row as one path."""
    return "".join(
        f"M{number(start)} {number(y)}h{number(max(end - start, 0.3))}v{number(height)}"
        f"H{number(start)}z"
        for start, end in boxes
    )


def path(outline: str, kind: str) -> Markup:
    """A path of a class."""
    return Markup('<path class="{}" d="{}"/>').format(kind, outline)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line of a class."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        kind, *map(number, (x1, y1, x2, y2))
    )


def text(x: float, y: float, content: str, kind: str = "label", anchor: str = "start") -> Markup:
    """A text; ``content`` is escaped."""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, number(x), number(y), anchor, content
    )


def picture(
    width: float, height: float, title: str, parts: Sequence[Markup], chart: str, rank: int | None
) -> Markup:
    """A whole chart, scaled to its place; ``title`` is what a screen reader says."""
    owner = Markup(' data-rank="{}"').format(rank) if rank is not None else Markup("")
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" data-chart="{}"{}>{}</svg>'
    ).format(number(width), number(height), escape(title), chart, owner, Markup("").join(parts))
