# SPDX-License-Identifier: Apache-2.0
"""Records of the file as frozen attributes, which the encoder takes as they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from tflsplit.ir import Attrs, AttrValue
from tflsplit.tflite.decode import Record
from tflsplit.tflite.schema import SCALAR, table_schema


def freeze(value: Any) -> Any:
    """Tables as ``Attrs``, byte vectors as bytes, other vectors as tuples."""
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype == np.uint8 else tuple(value.tolist())
    if isinstance(value, dict):
        return Attrs({key: freeze(item) for key, item in value.items()})
    return tuple(freeze(item) for item in value) if isinstance(value, list) else value


def leftovers(record: Record, table: str, known: Collection[str]) -> dict[str, AttrValue]:
    """What a record says beyond the ``known`` fields, scalars only where not their default."""
    defaults = {field.name: field.default for field in table_schema(table).fields
                if field.kind == SCALAR}  # fmt: skip
    return {
        key: freeze(value)
        for key, value in record.items()
        if key not in known and (key not in defaults or value != defaults[key])
    }
