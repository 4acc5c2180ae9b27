# SPDX-License-Identifier: Apache-2.0
"""Building blocks of local operators: constants, temporaries, copies and padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflsplit.ir import Attrs, DType, Node, Value

Pads = Sequence[tuple[int, int]]


def int32_constant(name: str, numbers: Sequence[int] | Sequence[Sequence[int]]) -> Value:
    """A constant of integers, as operators take their axes, shapes and paddings."""
    data = np.asarray(numbers, np.int32)
    return Value(name, data.shape, DType.INT32, data=data)


def temporary(output: Value, suffix: str, shape: Sequence[int], like: Value) -> Value:
    """A fresh computed value on the way to ``output``, with the type and scale of ``like``."""
    return Value(f"{output.name}/{suffix}", tuple(shape), like.dtype, like.quantization)


def copied(x: Value, output: Value) -> Node:
    """The elements of ``x`` in the shape of ``output``; a RESHAPE, so that any type will do."""
    shape = int32_constant(f"{output.name}/shape", output.shape)
    attrs = Attrs(new_shape=tuple(output.shape))
    return Node("RESHAPE", (x, shape), (output,), attrs, output.name)


def filled(stored: int | float, output: Value) -> Node:
    """Every element of ``output`` is ``stored``: a copied constant, since FILL lacks int16."""
    data = np.full(output.shape, stored, output.dtype.numpy)
    name = f"{output.name}/fill"
    return copied(Value(name, data.shape, output.dtype, output.quantization, data), output)


def padded(x: Value, pads: Pads, output: Value, stored: int | None = None) -> Node:
    """``x`` with ``pads`` (before, after) in every dimension, of zeros or of ``stored``."""
    paddings = int32_constant(f"{output.name}/paddings", [list(pair) for pair in pads])
    if stored is None:
        return Node("PAD", (x, paddings), (output,), name=output.name)
    data = np.array(stored, x.dtype.numpy)
    # One element, in a vector: scalars are not written alike by all converters.
    constant = Value(f"{output.name}/value", (1,), x.dtype, x.quantization, data.reshape(1))
    return Node("PADV2", (x, paddings, constant), (output,), name=output.name)


def padded_shape(shape: Sequence[int], pads: Pads) -> tuple[int, ...]:
    """``shape`` with ``pads`` around it."""
    return tuple(
        extent + before + after for extent, (before, after) in zip(shape, pads, strict=True)
    )


def sliced(x: Value, begin: Sequence[int], output: Value) -> Node:
    """The part of ``x`` from ``begin`` that has the shape of ``output``."""
    return Node(
        "SLICE",
        (
            x,
            int32_constant(f"{output.name}/begin", begin),
            int32_constant(f"{output.name}/size", output.shape),
        ),
        (output,),
        name=output.name,
    )
