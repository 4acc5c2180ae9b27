# SPDX-License-Identifier: Apache-2.0
"""Reports of small networks, made once, and a reader of their elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

from tests.bundles import bundle_of
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.ir import Graph
from tflsplit.plan.wishes import Wishes
from tflsplit.report.content import Content, gather
from tflsplit.rewriting.rewrite import split_model
from tflsplit.split.devices import DeviceGraph


@cache
def bundle_in(folder: Path, name: str, world_size: int) -> Bundle:
    return read_bundle(bundle_of(folder / f"{name}-{world_size}", name, world_size))


def content_of(
    bundle: Bundle, sizes: tuple[int, ...] = (), cluster: Cluster | None = None
) -> Content:
    cluster = cluster or default_cluster(bundle.document["world_size"])
    return gather(bundle, cluster, sizes, divide)


def divide(model: Graph, world_size: int) -> tuple[Sequence[DeviceGraph], Cluster]:
    return split_model(model, Wishes(world_size)).devices, default_cluster(world_size)


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    inner: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all(self, tag: str, **wanted: str) -> Iterator[Element]:
        """Elements inside, by tag and attributes (``data_rank="0"``)."""
        for element in self.inner:
            found = all(
                element.attributes.get(key.replace("_", "-")) == value
                for key, value in wanted.items()
            )
            if element.tag == tag and found:
                yield element
            yield from element.all(tag, **wanted)

    @property
    def text(self) -> str:
        return " ".join("".join([*self.texts, *(e.text for e in self.inner)]).split())


class _Reader(HTMLParser):
    VOID = ("meta", "link", "br", "path", "line", "hr", "img", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self.open[-1].inner.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inner.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].texts.append(data)


def parse(page: str) -> Element:
    """The page's elements; fails where one is not closed, or closed twice."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]
