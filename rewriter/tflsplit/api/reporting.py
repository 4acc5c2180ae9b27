# SPDX-License-Identifier: Apache-2.0
"""The page of a split model: gathered, written, and what it says in short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from tflsplit.bundle import Bundle
from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph
from tflsplit.report.figures import kib
from tflsplit.report.page import render, require_jinja, write_page
from tflsplit.rewriting.chooser import split_anew
from tflsplit.split.devices import DeviceGraph

if TYPE_CHECKING:
    from tflsplit.report.content import Content


@dataclass(frozen=True, repr=False)
class Page:
    """A page that was written.

    content: all that it shows.
    """

    path: Path
    size_bytes: int
    content: Content

    @property
    def fits(self) -> bool:
        """Whether every device has room for its part."""
        return self.content.fits

    @property
    def latency_ms(self) -> float:
        """Of an inference, simulated."""
        return self.content.simulation.latency_us / 1000

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        fits = "everything fits" if self.fits else "NOT everything fits"
        return (
            f"{self.path} ({kib(self.size_bytes)}): {fits}, "
            f"{self.latency_ms:.1f} ms an inference, simulated"
        )

    def _repr_html_(self) -> str:
        return f'<p><a href="{escape(self.path.as_posix())}">{escape(repr(self))}</a></p>'


def written_page(
    bundle: Bundle,
    cluster: Cluster,
    path: Path,
    beside: Sequence[int],
    progress: Callable[[str], None],
) -> Page:
    """Write the page of a bundle on a cluster; see ``SplitModel.report``."""
    require_jinja()
    from tflsplit.report.content import gather  # needs Jinja2's MarkupSafe

    content = gather(bundle, cluster, beside, partial(_divide, cluster), progress)
    progress("writing")
    text = render(content)
    write_page(path, text)
    return Page(path, len(text.encode()), content)


def _divide(
    cluster: Cluster, model: Graph, world_size: int
) -> tuple[Sequence[DeviceGraph], Cluster]:
    """As ``tflsplit rewrite`` without further options, on another number of the same devices."""
    kinds = {replace(device, name="") for device in cluster.devices}
    if len(kinds) > 1 or cluster.wires:
        raise ClusterError("devices or wires differ, so there is no other number of the same")
    other = replace(cluster, devices=tuple(kinds) * world_size, input_rank=0, output_rank=0)
    return split_anew(model, other)
