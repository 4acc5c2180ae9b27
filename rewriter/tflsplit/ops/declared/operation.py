# SPDX-License-Identifier: Apache-2.0
"""One operator as a file declares it, and the words in which a declaration is refused.

A check is a function of an ``Operation``, registered for its operators; it states what TFLM's
kernel takes for granted, in the order in which a reader would ask: how many operands, of which
types and shapes, which options, and what shape the result has.  The first thing that does not hold
raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tflsplit.errors import ModelError
from tflsplit.ir import DType, Node, Value
from tflsplit.ops.dims import constant_integers, normal_axis

MAX_RANK = 6
"""TFLM's RuntimeShape holds that many dimensions, and writes behind its end if there are more."""

MAX_STEP = 2**15 - 1
"""Largest stride, dilation, window or block: sums of a few of their products stay in 32 bits."""

LARGEST_MULTIPLIER = 2.0**30
"""MultiplyByQuantizedMultiplier shifts to the left by at most 30 bits."""

INDICES = (DType.INT32, DType.INT64)
QUANTIZED = (DType.INT8, DType.INT16)
WAY_OUT = "the file is damaged, or was written by a faulty tool: convert the model again"
OTHER_TYPE = (
    "where the converter chose that type, TFLM cannot run the model: before you convert the model "
    "again, make that layer of other operators"
)
FEWER_DIMENSIONS = (
    "before you convert the model again, reshape what that layer reads, or split it up"
)
FIX_THE_SHAPE = (
    "the file leaves a dimension of it open, which TFLM takes as declared: convert the model with "
    "a fixed input shape, like keras.Input(shape, batch_size=1)"
)


class OpenShapeError(ModelError):
    """A tensor that the file leaves open has not the shape that the operator makes or takes.

    value: the tensor; shape: what the shape must be, None if its size alone is known.
    """

    def __init__(self, message: str, value: Value, shape: tuple[int, ...] | None) -> None:
        super().__init__(message)
        self.value, self.shape = value, shape


Check = Callable[["Operation"], None]
_CHECKS: dict[str, Check] = {}


def declares(*ops: str) -> Callable[[Check], Check]:
    """Decorator: what must hold of these operators."""

    def register(check: Check) -> Check:
        for op in ops:
            _CHECKS[op] = check
        return check

    return register


def check_of(op: str) -> Check | None:
    """The check of a builtin operator; None where nothing is known of it."""
    return _CHECKS.get(op)


def declared_ops() -> tuple[str, ...]:
    """Every operator that has a check, sorted."""
    return tuple(sorted(_CHECKS))


class Operation:
    """A node whose operands, results and options are asked for one by one.

    Every method raises ModelError, naming the operator and the tensor, where the node does not
    have what it is asked for.
    """

    def __init__(self, node: Node, types: bool = True) -> None:
        """``types``: whether element types, and the scales that go with them, are looked at."""
        self.node = node
        self.what = f"{node.op} {node.name!r}"
        self.types = types

    def need(self, holds: bool, what: Value | str, text: str, way_out: str = WAY_OUT) -> None:
        """Refuse the node unless ``holds``; ``what`` is the tensor or option that is wrong."""
        if not holds:
            name = what if isinstance(what, str) else repr(what)
            raise ModelError(f"{self.what}: {name} {text}; {way_out}")

    def _shaped(self, holds: bool, value: Value, text: str, wanted: tuple[int, ...] | None) -> None:
        """Refuse the node unless ``holds``, for the shape of ``value``, which is not ``wanted``.

        Converters fill an open dimension with 1, although a block of a batch may make 4 of it.
        """
        if not holds and -1 in value.file_extra.integers("shape_signature"):
            raise OpenShapeError(f"{self.what}: {value!r} {text}; {FIX_THE_SHAPE}", value, wanted)
        self.need(holds, value, text)

    def count(self, least: int, most: int | None = None, results: int = 1) -> None:
        """As many operands (those left out counted) and results as the operator has."""
        most = least if most is None else most
        inputs, outputs = len(self.node.inputs), len(self.node.outputs)
        wanted = str(least) if most == least else f"{least} to {most}"
        holds = least <= inputs <= most and outputs == results
        self.need(
            holds,
            f"{inputs} operands and {outputs} results",
            f"where the operator has {wanted} and {results}",
        )

    def x(self, index: int = 0) -> Value:
        """An operand that must be there."""
        value = self.optional(index)
        if value is None:
            raise ModelError(f"{self.what}: operand {index} is missing; {WAY_OUT}")
        return value

    def optional(self, index: int) -> Value | None:
        """An operand, or None where it is left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def every(self) -> list[Value]:
        """All operands, none of which may be left out."""
        return [self.x(index) for index in range(len(self.node.inputs))]

    def y(self, index: int = 0) -> Value:
        """A result; its number was ``count``ed."""
        return self.node.outputs[index]

    def dtype(self, value: Value, *allowed: DType) -> None:
        """The element type is one that the kernel has a case for.

        Converters know more of them: of SQRT, say, TFLM has float32 only.
        """
        names = " or ".join(dtype.value.lower() for dtype in allowed)
        holds = value.dtype in allowed or not self.types
        self.need(holds, value, f"must be {names} for TFLM's kernel", OTHER_TYPE)

    def same_dtype(self, value: Value, other: Value) -> None:
        """Both have one element type: kernels look at one of them and cast the other."""
        holds = value.dtype is other.dtype or not self.types
        self.need(holds, value, f"must have the element type of {other!r}")

    def rank(self, value: Value, least: int, most: int | None = None) -> None:
        """The number of dimensions; of more than TFLM's kernel takes, converters know, too."""
        most, rank = least if most is None else most, len(value.shape)
        wanted = str(least) if least == most else f"{least} to {most}"
        self.need(rank >= least, value, f"must have {wanted} dimensions")
        text = f"has {rank} dimensions, and TFLM's kernel takes {wanted}"
        self.need(rank <= most, value, text, FEWER_DIMENSIONS)

    def shape(self, value: Value, wanted: Sequence[int]) -> None:
        """Exactly this shape."""
        text = f"must have the shape {list(wanted)}, as TFLM computes it"
        self._shaped(tuple(value.shape) == tuple(wanted), value, text, tuple(wanted))

    def shape_but_ones(self, value: Value, wanted: Sequence[int]) -> None:
        """This shape, but for leading dimensions of 1, which kernels add where they need them."""
        text = f"must have the shape {list(wanted)}, as TFLM computes it"
        same = _without_ones(value.shape) == _without_ones(wanted)
        self._shaped(same, value, text, tuple(wanted))

    def size(self, value: Value, wanted: int, shape: Sequence[int] | None = None) -> None:
        """That many elements, in whatever shape (``shape``, if the operator says which)."""
        text = f"must have {wanted} elements"
        open_dims = _filled(value, wanted) if shape is None else tuple(shape)
        self._shaped(value.size == wanted, value, text, open_dims)

    def scale(self, *values: Value) -> None:
        """Quantized integers have a scale; other types need none."""
        for value in values:
            quantization = value.quantization
            known = quantization is not None and bool(quantization.scales)
            holds = known or not self.quantized(value)
            self.need(holds, value, "must have a quantization scale")

    def quantized(self, value: Value) -> bool:
        """Whether the kernel computes with scales, which must make sense then."""
        return self.types and value.dtype in QUANTIZED

    def ratio(self, value: Value, ratio: float, below: float, positive: bool = False) -> None:
        """A quotient of scales that TFLM makes an integer multiplier of: not negative, ``below``.

        value: the tensor whose scale is most likely wrong.
        positive: whether a quotient of 0 is refused, too.
        """
        holds = math.isfinite(ratio) and 0 <= ratio < below and not (positive and ratio == 0)
        text = f"has a scale that gives the multiplier {ratio:.3g}; TFLM's ends below {below:.3g}"
        self.need(holds, value, text)

    def option(self, name: str, least: int, most: int, default: int = 0) -> int:
        """An integer option within its range, both ends inclusive."""
        number = self.node.attrs.integer(name, default)
        self.need(least <= number <= most, f"{name} = {number}", f"is not in {least} to {most}")
        return number

    def number(self, name: str) -> float:
        """A finite float option."""
        number = self.node.attrs.get(name, 0.0)
        real = float(number) if isinstance(number, (int, float)) else math.nan
        self.need(math.isfinite(real), f"{name} = {number!r}", "is no finite number")
        return real

    def axis(self, axis: int, rank: int) -> int:
        """An axis, counted from the front or (negative) from the back, as one from the front."""
        self.need(-rank <= axis < rank, f"axis {axis}", f"is none of {rank} dimensions")
        return normal_axis(axis, rank)

    def integers(self, index: int, *dtypes: DType) -> tuple[int, ...] | None:
        """The contents of an operand of indices; None where it is computed."""
        value = self.x(index)
        self.dtype(value, *(dtypes or (DType.INT32,)))
        return constant_integers(value)

    def indices(self, index: int, rank: int, *dtypes: DType) -> tuple[int, ...] | None:
        """``integers`` of a vector of ``rank`` elements."""
        value = self.x(index)
        self.shape(value, (rank,))
        return self.integers(index, *dtypes)


def scale_of(value: Value) -> float:
    """The first scale, which is what TFLM's ``params.scale`` holds; 0 where there is none."""
    scales = value.quantization.scales if value.quantization else ()
    return scales[0] if scales else 0.0


def zero_point_of(value: Value) -> int:
    """The first zero point, which is what TFLM's ``params.zero_point`` holds."""
    zero_points = value.quantization.zero_points if value.quantization else ()
    return zero_points[0] if zero_points else 0


def _filled(value: Value, size: int) -> tuple[int, ...] | None:
    """The shape with its only open dimension such that it has ``size`` elements."""
    signature = value.file_extra.integers("shape_signature")
    known = math.prod(extent for extent in signature if extent != -1)
    if signature.count(-1) != 1 or known <= 0 or size % known:
        return None
    return tuple(size // known if extent == -1 else extent for extent in signature)


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    first = next((place for place, extent in enumerate(shape) if extent != 1), len(shape))
    return tuple(shape[first:])
