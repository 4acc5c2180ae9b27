# SPDX-License-Identifier: Apache-2.0
"""Operators with state: SVDF, LSTM, resource variables.

TFLM: ``micro/kernels/{svdf_common,lstm_eval_common,unidirectional_sequence_lstm,assign_variable,
read_variable,var_handle}.cc``.
"""

from __future__ import annotations

from tflsplit.ir import Activation, DType, Value
from tflsplit.ops.declared.operation import MAX_RANK, Operation, declares

_F32, _I8, _I16, _I32 = DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32

# Operands of UNIDIRECTIONAL_SEQUENCE_LSTM, by TFLM's lstm_shared.h.
_LSTM_OPERANDS = 24
_INPUT_WEIGHTS, _STATE_WEIGHTS, _BIASES = range(1, 5), range(5, 9), range(12, 16)
_HIDDEN, _CELL = 18, 19


@declares("SVDF")
def _svdf(op: Operation) -> None:
    op.count(5)
    x, features, times, state, y = op.x(0), op.x(1), op.x(2), op.x(4), op.y()
    op.dtype(x, _F32, _I8)
    op.same_dtype(y, x)
    op.same_dtype(features, x)
    op.dtype(times, *((_F32,) if x.dtype is _F32 else (_I16, _I8)))
    op.same_dtype(state, times)
    op.scale(x, features, times, state, y)
    for value in (x, features, times, state, y):
        op.rank(value, 2)
    rank = op.option("rank", 1, features.shape[0])
    filters, depth = features.shape
    op.need(filters % rank == 0, f"rank = {rank}", f"does not divide {filters} filters")
    op.shape(x, (x.shape[0], depth))
    op.shape(times, (filters, times.shape[1]))
    op.shape(state, (x.shape[0], times.shape[1] * filters))
    op.need(state.is_variable, state, "must be a variable tensor")
    op.shape(y, (x.shape[0], filters // rank))
    bias = op.x(3)  # optional in TensorFlow; TFLM's kernel lets go of it without a look
    op.dtype(bias, _F32 if x.dtype is _F32 else _I32)
    op.size(bias, filters // rank)
    op.option("fused_activation_function", Activation.NONE, Activation.SIGN_BIT)


@declares("UNIDIRECTIONAL_SEQUENCE_LSTM")
def _lstm(op: Operation) -> None:
    op.count(_LSTM_OPERANDS)
    x, y, hidden, cell = op.x(0), op.y(), op.x(_HIDDEN), op.x(_CELL)
    op.dtype(x, _F32, _I8, _I16)
    for value in (y, hidden):
        op.same_dtype(value, x)
    op.rank(x, 3)
    op.rank(y, 3)
    units, depth = y.shape[2], x.shape[2]
    op.shape(y, (*x.shape[:2], units))
    wanted = _F32 if x.dtype is _F32 else _I8
    for index in (*_INPUT_WEIGHTS, *_STATE_WEIGHTS):
        op.dtype(op.x(index), wanted)
        op.shape(op.x(index), (units, depth if index in _INPUT_WEIGHTS else units))
    for index in _BIASES:
        op.dtype(op.x(index), {_F32: _F32, _I8: _I32}.get(x.dtype, DType.INT64))
        op.shape(op.x(index), (units,))
    op.dtype(cell, _F32 if x.dtype is _F32 else _I16)
    batch = x.shape[1] if op.option("time_major", 0, 1) else x.shape[0]
    for value in (hidden, cell):
        op.need(value.is_variable, value, "must be a variable tensor")
        op.size(value, batch * units)
    op.scale(x, y, hidden, cell, *map(op.x, (*_INPUT_WEIGHTS, *_STATE_WEIGHTS)))


@declares("VAR_HANDLE")
def _var_handle(op: Operation) -> None:
    op.count(0)
    _resource(op, op.y())


@declares("READ_VARIABLE")
def _read_variable(op: Operation) -> None:
    op.count(1)
    _resource(op, op.x())
    op.rank(op.y(), 0, MAX_RANK)


@declares("ASSIGN_VARIABLE")
def _assign_variable(op: Operation) -> None:
    op.count(2, results=0)
    op.need(op.x(0).dtype in (DType.RESOURCE, _I32), op.x(0), "must be a resource")
    op.x(1)


def _resource(op: Operation, value: Value) -> None:
    op.dtype(value, DType.RESOURCE)
