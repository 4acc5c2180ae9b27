# SPDX-License-Identifier: Apache-2.0
"""Files with one thing changed: decoded to records, edited, encoded again."""

from collections.abc import Callable
from typing import Any

from tflsplit.tflite.decode import Decoder
from tflsplit.tflite.encode import encode

Record = dict[str, Any]


def edited(data: bytes, edit: Callable[[Record], object]) -> bytes:
    """The file after ``edit`` has changed the record of its model in place."""
    model = Decoder(data).root()
    edit(model)
    return encode(model)


def tensor(model: Record, index: int) -> Record:
    found: Record = model["subgraphs"][0]["tensors"][index]
    return found


def operator(model: Record, index: int) -> Record:
    found: Record = model["subgraphs"][0]["operators"][index]
    return found
