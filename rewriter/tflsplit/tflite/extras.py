# SPDX-License-Identifier: Apache-2.0
"""The parts of a file that only some files have: where ``Graph.file_extra`` keeps them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, Value
from tflsplit.tflite import validate
from tflsplit.tflite.decode import Record
from tflsplit.tflite.operators import pick

# Keys of Graph.file_extra.
# Further graphs of the file: bodies of IF, WHILE and CALL_ONCE, or those of other signatures.
SUBGRAPHS = "subgraphs"
# Values that no operator mentions.
UNUSED_TENSORS = "unused_tensors"
# Attrs with signature_key, subgraph_index, and inputs and outputs as tuples of (name, Value).
SIGNATURES = "signature_defs"
# Contents of the buffers that the oldest files listed as metadata, without names.
METADATA_BUFFERS = "metadata_buffer"
# (name, contents) of metadata under a name that was there before.
REPEATED_METADATA = "repeated_metadata"
# The bytes behind the flatbuffer.
APPENDED_ZIP = "appended_zip"
# Before the names of the subgraph's own fields, the model's having none.
SUBGRAPH_PREFIX = "subgraph."

_END_OF_ZIP = b"PK\x05\x06"
# The end record is the last thing in an archive, but for a comment of at most this length.
_ZIP_COMMENT_BYTES = 1 << 16


def read_signature(record: Record, tensors: Sequence[Sequence[Value]]) -> Attrs:
    """A signature with the values it names; tensors: of each subgraph, by number.

    Raises ModelError where it names what is not there.
    """
    subgraph = record["subgraph_index"]
    if subgraph >= len(tensors):
        raise ModelError(f"a signature names subgraph {subgraph}; {validate.DAMAGED}")
    ends: dict[str, Any] = {
        end: tuple(
            (item.get("name", ""), *pick("signature", [item["tensor_index"]], tensors[subgraph]))
            for item in record.get(end, [])
        )
        for end in ("inputs", "outputs")
    }
    key = record.get("signature_key", "")
    return Attrs({"signature_key": key, "subgraph_index": subgraph, **ends})


def appended_zip(data: bytes) -> bytes:
    """TFLite Metadata's associated files (labels), a zip archive behind the flatbuffer."""
    if _END_OF_ZIP not in data[-_ZIP_COMMENT_BYTES:]:
        return b""
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
        return data[min(entry.header_offset for entry in entries) :]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error):
        return b""
