# SPDX-License-Identifier: Apache-2.0
"""Constants in the order in which kernels read them, as bytes (docs/custom_ops.md, 'Packed').

*Pairs* (matrix products), for each group and in it for each two output channels: first the records
of all pairs, then the weights of all pairs::

    record   int32 x 8    bias0 bias1  multiplier0 addend0 shift0  multiplier1 addend1 shift1
             int32 x 2    bias0 bias1                                       (where sums are made)
    weights  int8 x 8 for four products k .. k+3 of channels 0 and 1:
             0:k 1:k 0:k+2 1:k+2   0:k+1 1:k+1 0:k+3 1:k+3

so that one SXTB16 of a word gives two weights of one channel, beside the values of x that one
SXTB16 gives.  Products are padded to fours with 0, channels to pairs with 0 throughout.

*Taps* (depthwise convolutions), for each output channel::

    record   int32 x 4    bias shift multiplier addend
    weights  int8, each kernel row padded to fours with 0

All integers are little endian.  Every part is a multiple of four bytes long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.ops.own.short_rounding import Rounding, Short
from tflsplit.ops.quantmath import Int32Array

Bytes = NDArray[np.int8]

PAIR_RECORD_BYTES = 32
PAIR_OF_SUMS_RECORD_BYTES = 8
TAPS_RECORD_BYTES = 16
_RECORD = np.array([0, 2, 3, 4, 1, 5, 6, 7])  # bias, multiplier, addend, shift of either channel


def fours(count: int) -> int:
    """``count`` up to the next multiple of four."""
    return -(-count // 4) * 4


def pairs_bytes(groups: int, per_group: int, products: int, sums: bool = False) -> int:
    """Size of packed pairs; ``products``: of one output channel."""
    record = PAIR_OF_SUMS_RECORD_BYTES if sums else PAIR_RECORD_BYTES
    return groups * -(-per_group // 2) * (record + 2 * fours(products))


def taps_bytes(channels: int, kernel: tuple[int, int]) -> int:
    """Size of packed taps."""
    return channels * (TAPS_RECORD_BYTES + kernel[0] * fours(kernel[1]))


def pack_pairs(weights: Bytes, bias: Int32Array, groups: int, short: Short | None) -> Bytes:
    """Pairs of ``weights`` [channels, products]; without ``short`` as sums."""
    channels, products = weights.shape
    per_group = channels // groups
    even = (groups, per_group + per_group % 2)
    padded = np.zeros((*even, fours(products)), np.int8)
    padded[:, :per_group, :products] = weights.reshape(groups, per_group, products)
    # [group, pair, channel of pair, four, j, h] with product 4 * four + 2 * j + h
    wide = padded.reshape(groups, -1, 2, fours(products) // 4, 2, 2)
    body = wide.transpose(0, 1, 3, 5, 4, 2).reshape(groups, -1)
    records = _pair_records(bias.reshape(groups, per_group), even, short)
    return np.concatenate([records.view(np.int8).reshape(groups, -1), body], axis=1).reshape(-1)


def _pair_records(bias: Int32Array, even: tuple[int, int], short: Short | None) -> Int32Array:
    groups, per_group = bias.shape
    columns = [bias]
    if short is not None:
        columns += [
            table.reshape(bias.shape) for table in (short.multiplier, short.addend, short.shift)
        ]
    records = np.zeros((*even, len(columns)), "<i4")
    for index, column in enumerate(columns):
        records[:, :per_group, index] = column
    if short is not None and short.rounding and even[1] > per_group:
        records[:, per_group:, 3] = 1
    flat = records.reshape(groups, even[1] // 2, 2 * len(columns))
    return np.ascontiguousarray(flat if short is None else flat[..., np.argsort(_FLAT)])


# Where bias0 multiplier0 addend0 shift0 bias1 multiplier1 addend1 shift1 stand in a record.
_FLAT = _RECORD


def unpack_pairs(
    packed: Bytes, channels: int, products: int, groups: int, rounding: Rounding | None
) -> tuple[Bytes, Int32Array, Short | None]:
    """Weights [channels, products], bias, and the tables (None of sums): ``pack_pairs`` undone."""
    per_group, four = channels // groups, fours(products)
    pairs = -(-per_group // 2)
    record = PAIR_OF_SUMS_RECORD_BYTES if rounding is None else PAIR_RECORD_BYTES
    rows = packed.reshape(groups, -1)
    records = np.ascontiguousarray(rows[:, : pairs * record]).view("<i4")
    body = rows[:, pairs * record :].reshape(groups, pairs, four // 4, 2, 2, 2)
    wide = body.transpose(0, 1, 5, 2, 4, 3).reshape(groups, 2 * pairs, four)
    weights = wide[:, :per_group, :products].reshape(channels, products)
    flat = records.reshape(groups, pairs, -1)
    if rounding is None:
        return weights, _trimmed(flat.reshape(groups, -1, 1), per_group)[0], None
    tables = _trimmed(flat[..., _FLAT].reshape(groups, 2 * pairs, 4), per_group)
    return weights, tables[0], Short(rounding, tables[1], tables[3], tables[2])


def _trimmed(tables: NDArray[Any], per_group: int) -> list[Int32Array]:
    kept = tables[:, :per_group]
    return [kept[..., i].reshape(-1).astype(np.int32) for i in range(kept.shape[-1])]


def pack_taps(weights: Bytes, bias: Int32Array, short: Short) -> Bytes:
    """Taps of ``weights`` [channels, kernel rows, kernel columns]; no columns: records alone."""
    channels, rows, columns = weights.shape
    padded = np.zeros((channels, rows, fours(columns)), np.int8)
    padded[:, :, :columns] = weights
    records = np.stack([bias, short.shift, short.multiplier, short.addend], axis=1).astype("<i4")
    heads = np.ascontiguousarray(records).view(np.int8).reshape(channels, -1)
    return np.concatenate([heads, padded.reshape(channels, -1)], axis=1).reshape(-1)


def unpack_taps(
    packed: Bytes, channels: int, kernel: tuple[int, int], rounding: Rounding
) -> tuple[Bytes, Int32Array, Short]:
    """Weights [channels, kernel rows, kernel columns], bias and tables: ``pack_taps`` undone."""
    rows = packed.reshape(channels, -1)
    records = np.ascontiguousarray(rows[:, :TAPS_RECORD_BYTES]).view("<i4").astype(np.int32)
    body = rows[:, TAPS_RECORD_BYTES:].reshape(channels, kernel[0], fours(kernel[1]))
    bias, shift, multiplier, addend = (records[:, i] for i in range(4))
    return body[:, :, : kernel[1]], bias, Short(rounding, multiplier, shift, addend)
