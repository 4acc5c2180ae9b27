# SPDX-License-Identifier: Apache-2.0
"""What a file is that is no .tflite model, by its first bytes, and the way to one."""

from __future__ import annotations

from tflsplit.tflite.schema import FILE_IDENTIFIER

_CONVERT = "convert it to .tflite first (tf.lite.TFLiteConverter)"
_DOWNLOAD = "download the file itself"

# The first bytes, what such a file is, and the way out.
_KINDS = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file", "run `git lfs pull`"),
    (b"\x89HDF\r\n\x1a\n", "is a HDF5 file, such as Keras writes", _CONVERT),
    (b"PK\3\4", "is a zip archive, such as a .keras file", f"unpack it, or {_CONVERT}"),
    (b"\x1f\x8b", "is compressed with gzip", "unpack it"),
    (b"<", "is a page of HTML or XML", _DOWNLOAD),
)


def not_tflite(data: bytes) -> str:
    """Why ``data``, which has not the identifier of a .tflite model at bytes 4 to 7, is none."""
    if not data:
        return "is empty; download or convert it again"
    if data[8:12] == FILE_IDENTIFIER:
        return "begins with its size (a size-prefixed flatbuffer); leave out its first four bytes"
    for start, kind, way_out in _KINDS:
        if data.startswith(start):
            return f"{kind}; {way_out}"
    if data[:1] == b"\x08" and data[2:3] == b"\x12":  # a version, then a text
        return (
            f"looks like an ONNX model or a saved_model.pb; {_CONVERT.replace(')', ', onnx2tf)')}"
        )
    return "is not a .tflite model (the identifier TFL3 is missing); download or convert it again"
