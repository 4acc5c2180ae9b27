# SPDX-License-Identifier: Apache-2.0
"""Writes a ``Graph`` as a .tflite file.

Equal graphs give equal bytes.  Nodes keep their order, values their names.  Weights are written
once: values whose arrays are the same memory share one buffer.  Contents are never compared, so
two equal arrays stay two buffers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Attrs, Graph, Value
from tflsplit.tflite import schema
from tflsplit.tflite.encode import encode
from tflsplit.tflite.extras import (
    APPENDED_ZIP,
    METADATA_BUFFERS,
    REPEATED_METADATA,
    SIGNATURES,
    SUBGRAPH_PREFIX,
    SUBGRAPHS,
    UNUSED_TENSORS,
)
from tflsplit.tflite.operators import INTERMEDIATES, OpCode, write_node
from tflsplit.tflite.tensors import INDEX, raw_bytes, write_value

_OWN_KEYS = (
    SUBGRAPHS, UNUSED_TENSORS, SIGNATURES, METADATA_BUFFERS, REPEATED_METADATA, APPENDED_ZIP,
)  # fmt: skip
_RECORD_BYTES = 512


def write_model(graph: Graph) -> bytes:
    """The .tflite file of ``graph``: version 3, identifier TFL3, buffers aligned to 16 bytes.

    A node's options table follows from its operator's name.  A signature in ``file_extra`` that
    names a value which is not in the graph any more is left out.
    Raises InternalError for a graph that the schema cannot hold.
    """
    writer = _Writer()
    record = writer.model(graph)
    size = sum(buffer.size for buffer in writer.buffers) + _RECORD_BYTES * writer.records
    kept: Any = graph.file_extra
    appended: bytes = kept.get(APPENDED_ZIP, b"")
    return encode(record, size + 1024) + appended


class _Writer:
    def __init__(self) -> None:
        # Buffer 0 is empty by convention: what has no contents refers to it.
        self.buffers: list[NDArray[np.uint8]] = [np.zeros(0, np.uint8)]
        self.records = 0
        self._numbers: dict[tuple[int, int], int] = {}
        self._arrays: dict[int, int] = {}
        self._codes: dict[OpCode, int] = {}

    def model(self, graph: Graph) -> dict[str, Any]:
        kept: Any = graph.file_extra
        graphs = [graph, *kept.get(SUBGRAPHS, ())]
        tensors = [_Tensors(part) for part in graphs]
        subgraphs = [self._subgraph(*pair) for pair in zip(graphs, tensors, strict=True)]
        blobs = [*graph.metadata.items(), *kept.get(REPEATED_METADATA, ())]
        metadata = [{"name": name, "buffer": self._blob(blob)} for name, blob in blobs]
        old = [self._blob(blob) for blob in kept.get(METADATA_BUFFERS, ())]
        extra = {
            key: value
            for key, value in graph.file_extra.items()
            if key not in _OWN_KEYS and not key.startswith(SUBGRAPH_PREFIX)
        }
        record = {
            **extra,
            "version": schema.SCHEMA_VERSION,
            "operator_codes": [code.record() for code in self._codes],
            "subgraphs": subgraphs,
            "buffers": [{"data": data} if data.size else {} for data in self.buffers],
            "metadata": metadata,
            "metadata_buffer": old,
            "signature_defs": _signatures(graph, tensors),
        }
        return {key: value for key, value in record.items() if not _is_empty(value)}

    def _subgraph(self, graph: Graph, tensors: _Tensors) -> dict[str, Any]:
        extra = {
            key.removeprefix(SUBGRAPH_PREFIX): value
            for key, value in graph.file_extra.items()
            if key.startswith(SUBGRAPH_PREFIX)
        }
        self.records += 2 * len(tensors.order) + len(graph.nodes)
        return {
            "name": graph.name,
            "tensors": [write_value(value, self._buffer(value)) for value in tensors.order],
            "inputs": [tensors.index(value) for value in graph.inputs],
            "outputs": [tensors.index(value) for value in graph.outputs],
            "operators": [
                write_node(node, self._code(OpCode.of(node)), tensors.index) for node in graph.nodes
            ],
            **extra,
        }

    def _code(self, code: OpCode) -> int:
        return self._codes.setdefault(code, len(self._codes))

    def _blob(self, blob: bytes) -> int:
        self.buffers.append(np.frombuffer(blob, np.uint8))
        return len(self.buffers) - 1

    def _buffer(self, value: Value) -> int:
        """The number of the buffer with the value's contents, the same for the same memory."""
        if value.data is None or value.data.size == 0:
            return 0
        if id(value.data) not in self._arrays:
            self._arrays[id(value.data)] = self._memory(raw_bytes(value))
        return self._arrays[id(value.data)]

    def _memory(self, raw: NDArray[np.uint8]) -> int:
        # The list of buffers keeps the array alive, so that its address stays its own.
        key = (raw.__array_interface__["data"][0], raw.size)
        if key not in self._numbers:
            self.buffers.append(raw)
            self._numbers[key] = len(self.buffers) - 1
        return self._numbers[key]


class _Tensors:
    """The numbers of a graph's tensors.

    They are the file's where every value still has its own (``OfflineMemoryAllocation`` counts
    on them), otherwise they follow the order of first mention.
    """

    def __init__(self, graph: Graph) -> None:
        self.order = list(dict.fromkeys(_all_values(graph)))
        hints = [value.file_extra.get(INDEX) for value in self.order]
        if None not in hints and len(set(hints)) == len(hints):
            self.order.sort(key=lambda value: value.file_extra.integer(INDEX))
        self._index = {value: index for index, value in enumerate(self.order)}

    def index(self, value: Value) -> int:
        return self._index[value]

    def __contains__(self, value: object) -> bool:
        return value in self._index


def _all_values(graph: Graph) -> Iterator[Value]:
    yield from graph.values()
    for node in graph.nodes:
        yield from _present(node.file_extra.get(INTERMEDIATES, ()))
    yield from _present(graph.file_extra.get(UNUSED_TENSORS, ()))


def _present(values: Any) -> Iterator[Value]:
    return (value for value in values if value is not None)


def _signatures(graph: Graph, tensors: Sequence[_Tensors]) -> list[dict[str, Any]]:
    signatures: Any = graph.file_extra.get(SIGNATURES, ())
    return [
        _signature(signature, tensors[signature["subgraph_index"]])
        for signature in signatures
        if _names_only(signature, tensors)
    ]


def _names_only(signature: Attrs, tensors: Sequence[_Tensors]) -> bool:
    subgraph = signature.integer("subgraph_index")
    ends: Any = (signature["inputs"], signature["outputs"])
    return subgraph < len(tensors) and all(
        value in tensors[subgraph] for end in ends for _, value in end
    )


def _signature(signature: Attrs, tensors: _Tensors) -> dict[str, Any]:
    ends: Any = {"inputs": signature["inputs"], "outputs": signature["outputs"]}
    maps = {
        end: [{"name": name, "tensor_index": tensors.index(value)} for name, value in pairs]
        for end, pairs in ends.items()
    }
    return {**signature, **maps}


def _is_empty(value: Any) -> bool:
    return isinstance(value, list) and not value
