# SPDX-License-Identifier: Apache-2.0
"""The few shapes that the page's charts are made of; colours come from its style sheet.

A chart is shapes that stretch to the width of the page, and words that do not::

    <div class="chart">                             as wide as its place
      <svg viewBox="0 0 1000 H" …>shapes</svg>      stretched, H pixels high
      <span style="left:40%;top:3px">80 ms</span>   of the same size on a phone
    </div>
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

WIDTH = 1000.0
"""Of every chart, in its own units."""


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


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
        f"M{number(start)} {number(y)}h{number(max(end - start, 0.05))}v{number(height)}"
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
    """A text inside of a picture; ``content`` is escaped."""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, number(x), number(y), anchor, content
    )


def label(x: float, y: float, content: str, kind: str = "") -> Markup:
    """Words in a chart: ``x`` in its units, ``y`` in pixels; ``content`` is escaped."""
    return Markup('<span class="t {}" style="left:{}%;top:{}px">{}</span>').format(
        kind, number(100 * x / WIDTH), number(y), content
    )


def chart(
    height: float,
    title: str,
    shapes: Sequence[Markup],
    labels: Sequence[Markup],
    kind: str,
    rank: int | None = None,
) -> Markup:
    """A chart as wide as its place and ``height`` pixels high.

    title: what a screen reader says; kind, rank: by which the page's script knows it.
    """
    owner = Markup(' data-rank="{}"').format(rank) if rank is not None else Markup("")
    return Markup(
        '<div class="chart" data-chart="{}"{}><svg viewBox="0 0 {} {}" preserveAspectRatio="none" '
        'style="height:{}px" role="img" aria-label="{}">{}</svg>{}</div>'
    ).format(
        kind, owner, number(WIDTH), number(height), number(height), escape(title),
        Markup("").join(shapes), Markup("").join(labels),
    )  # fmt: skip


def picture(width: float, height: float, title: str, parts: Sequence[Markup], kind: str) -> Markup:
    """A drawing of a fixed size; ``title`` is what a screen reader says."""
    return Markup(
        '<svg class="{}" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        "{}</svg>"
    ).format(
        kind, number(width), number(height), number(width), number(height), escape(title),
        Markup("").join(parts),
    )  # fmt: skip
