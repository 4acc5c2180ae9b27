# SPDX-License-Identifier: Apache-2.0
"""Reads a .tflite file into a ``Graph``.

Everything that the file says is kept, most of it in ``file_extra`` for the writer.  What is not:
the numbers of buffers and operator codes, buffers and codes that nothing refers to, and the
differences between absent and empty or default.  Further subgraphs (bodies of IF, WHILE, CALL_ONCE
or further signatures) are carried in ``file_extra["subgraphs"]``, as graphs of their own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, AttrValue, Graph, Node, Value, check_graph
from tflsplit.tflite import schema, validate
from tflsplit.tflite.decode import Decoder, Record
from tflsplit.tflite.extras import (
    APPENDED_ZIP,
    METADATA_BUFFERS,
    REPEATED_METADATA,
    SIGNATURES,
    SUBGRAPH_PREFIX,
    SUBGRAPHS,
    UNUSED_TENSORS,
    appended_zip,
    read_signature,
)
from tflsplit.tflite.freeze import freeze, leftovers
from tflsplit.tflite.operators import OpCode, pick, read_node
from tflsplit.tflite.support import is_foreign
from tflsplit.tflite.tensors import read_value
from tflsplit.untrusted import reason

MAX_FILE_BYTES = 2**31 - 1

_COMPRESSION = "COMPRESSION_METADATA"


def read_model(source: str | os.PathLike[str] | bytes, name: str = "") -> Graph:
    """The graph of a .tflite file.

    source: a path, or the file's bytes.  Constants are views of those bytes, never copies.
    name: what messages call the model; the path's last part by default.
    Raises ModelError for a file that is missing, damaged, or cannot be represented, with one
    message that names the file, the thing and the way out.
    """
    try:
        if isinstance(source, (bytes, bytearray, memoryview)):
            name = name or "the model"
            return _read(bytes(source))
        name = name or Path(source).name or str(source)
        return _read(_file_bytes(Path(source)))
    except ModelError as error:
        raise ModelError(_printable(f"{name}: {error}")) from None


def _printable(message: str) -> str:
    """The message on one line, without the control codes that a damaged name may contain."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in message)


def load(path: str | os.PathLike[str]) -> Graph:
    """``read_model`` of a file, by path."""
    return read_model(path)


def _file_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            raise ModelError("is not a file; name a .tflite file")
        if status.st_size > MAX_FILE_BYTES:
            size = status.st_size
            raise ModelError(f"is {size} bytes large; .tflite files end at {MAX_FILE_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(reason(error)) from None


def _read(data: bytes) -> Graph:
    decoder = Decoder(data)
    try:
        model = decoder.root()
    except ModelError as error:
        raise ModelError(_with_way_out(str(error))) from None
    if model["version"] != schema.SCHEMA_VERSION:
        raise ModelError(
            f"has schema version {model['version']}, not {schema.SCHEMA_VERSION}; "
            "convert the model with TensorFlow 2"
        )
    return _Reader(decoder, model).graph()


def _with_way_out(message: str) -> str:
    return message if ";" in message or "TFL3" in message else f"{message}; {validate.DAMAGED}"


class _Reader:
    def __init__(self, decoder: Decoder, model: Record) -> None:
        self._decoder = decoder
        self._model = model
        self._buffers = [
            self._buffer(number, record) for number, record in enumerate(model.get("buffers", []))
        ]
        self._codes = [OpCode.read(record) for record in model.get("operator_codes", [])]

    def graph(self) -> Graph:
        records = self._model.get("subgraphs", [])
        if not records:
            raise ModelError(f"holds no graph; {validate.DAMAGED}")
        metadata = [self._metadata(record) for record in self._model.get("metadata", [])]
        if _COMPRESSION in dict(metadata):
            raise ModelError(
                "holds weights that TFLM's compression tools packed; split the model from before"
            )
        tensors = [self._tensors(record) for record in records]
        main, *others = map(self._subgraph, records, tensors)
        for name, blob in metadata:
            main.metadata.setdefault(name, blob)
        main.file_extra = Attrs(
            {
                **main.file_extra,
                **leftovers(self._model, "Model", _READ_OF_MODEL),
                **self._rest(metadata, tensors, others),
            }
        )
        return main

    def _rest(
        self,
        metadata: Sequence[tuple[str, bytes]],
        tensors: Sequence[Sequence[Value]],
        others: Sequence[Graph],
    ) -> dict[str, AttrValue]:
        """What only some files have, under the keys above."""
        first = {name: index for index, (name, _) in reversed(list(enumerate(metadata)))}
        rest: dict[str, AttrValue] = {
            SUBGRAPHS: tuple(others),
            SIGNATURES: tuple(
                read_signature(record, tensors) for record in self._model.get("signature_defs", [])
            ),
            METADATA_BUFFERS: tuple(
                self._bytes(number) for number in freeze(self._model.get("metadata_buffer", ()))
            ),
            REPEATED_METADATA: tuple(
                item for index, item in enumerate(metadata) if first[item[0]] != index
            ),
            APPENDED_ZIP: appended_zip(self._decoder.data),
        }
        return {key: value for key, value in rest.items() if value}

    def _buffer(self, number: int, record: Record) -> NDArray[np.uint8]:
        if len(record) > len(_BUFFER_FIELDS & record.keys()):
            raise ModelError(f"buffer {number} has fields of a newer schema; update 'tflite'")
        if record["offset"] > 1:
            what = f"buffer {number}"
            return self._decoder.external(record["offset"], record["size"], what)
        return cast("NDArray[np.uint8]", record.get("data", _NO_BYTES))

    def _contents(self, number: int, what: str) -> NDArray[np.uint8]:
        if not 0 <= number < len(self._buffers):
            raise ModelError(
                f"{what}: there is no buffer {number} among {len(self._buffers)}; "
                f"{validate.DAMAGED}"
            )
        return self._buffers[number]

    def _bytes(self, number: int) -> bytes:
        return self._contents(number, "metadata").tobytes()

    def _metadata(self, record: Record) -> tuple[str, bytes]:
        return record.get("name", ""), self._bytes(record["buffer"])

    def _tensors(self, subgraph: Record) -> list[Value]:
        return [
            read_value(index, record, self._contents(record["buffer"], f"tensor {index}"))
            for index, record in enumerate(subgraph.get("tensors", []))
        ]

    def _subgraph(self, record: Record, values: Sequence[Value]) -> Graph:
        inputs = pick("graph inputs", record.get("inputs", ()), values)
        outputs = pick("graph outputs", record.get("outputs", ()), values)
        nodes = [
            read_node(index, operator, self._codes, values, self._decoder)
            for index, operator in enumerate(record.get("operators", []))
        ]
        graph = Graph(record.get("name", ""), present(inputs), present(outputs), nodes)
        _name_nodes(nodes)
        _check(graph)
        extra = leftovers(record, "SubGraph", _READ_OF_SUBGRAPH)
        graph.file_extra = Attrs({SUBGRAPH_PREFIX + key: item for key, item in extra.items()})
        mentioned = set(graph.values())
        unused = tuple(value for value in values if value not in mentioned)
        if unused:
            graph.file_extra = graph.file_extra.replace(**{UNUSED_TENSORS: unused})
        return graph


_NO_BYTES: NDArray[np.uint8] = np.zeros(0, np.uint8)
_BUFFER_FIELDS = {"data", "offset", "size"}
_READ_OF_MODEL = (
    "version", "operator_codes", "subgraphs", "buffers", "metadata_buffer", "metadata",
    "signature_defs",
)  # fmt: skip
_READ_OF_SUBGRAPH = ("tensors", "inputs", "outputs", "operators", "name")


def present(values: Sequence[Value | None]) -> tuple[Value, ...]:
    """The values that are there."""
    return tuple(value for value in values if value is not None)


def _name_nodes(nodes: Sequence[Node]) -> None:
    """Makes the names unique: files repeat tensor names, and some operators have no output."""
    taken: set[str] = set()
    for index, node in enumerate(nodes):
        name = node.name or f"{node.op}_{index}"
        node.name = name if name not in taken else f"{name}#{index}"
        taken.add(node.name)


def _check(graph: Graph) -> None:
    _fill_empty_constants(graph)
    written = set(graph.inputs).union(*(node.outputs for node in graph.nodes))
    constants = [value for value in written if value.is_constant]
    if constants:
        raise ModelError(f"{constants[0]!r} is both constant and computed; {validate.DAMAGED}")
    if len(set(graph.inputs)) != len(graph.inputs):
        raise ModelError(f"a tensor is an input twice; {validate.DAMAGED}")
    problems = check_graph(_with_scratch(graph, written))
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise ModelError(f"{problems[0]}{more}; {validate.DAMAGED}")
    for value in written:
        if value.dtype.itemsize:
            validate.check_size(repr(value), value.size_bytes)


def _with_scratch(graph: Graph, written: Collection[Value]) -> Graph:
    """The graph, memory that custom operators of others work in counted as there from the start.

    Compilers for accelerators list such tensors as operands.  The model cannot be split, but it is
    not damaged, and can be looked at.
    """
    scratch = dict.fromkeys(
        value
        for node in graph.nodes
        if is_foreign(node)
        for value in node.operands
        if value not in written and value.is_computed
    )
    return replace(graph, inputs=(*graph.inputs, *scratch)) if scratch else graph


def _fill_empty_constants(graph: Graph) -> None:
    """A constant without elements (the new shape of a scalar) has no bytes to know it by."""
    written = set(graph.inputs).union(*(node.outputs for node in graph.nodes))
    for value in graph.values():
        is_source = value not in written and not value.is_constant and not value.is_variable
        if is_source and value.size == 0 and value.dtype.itemsize:
            value.data = np.zeros(value.shape, value.dtype.numpy)
