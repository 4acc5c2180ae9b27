# SPDX-License-Identifier: Apache-2.0
"""Clock cycles of a device's kernels, by what they do.

A kernel's time is a sum: a convolution gathers the values of its windows, multiplies, and makes
values of the sums.  Layers of few channels spend most on the ends, so each part has a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Family(Enum):
    """What costs alike; the value is the key in cluster.toml."""

    CONV = "conv"
    POINTWISE = "pointwise"
    DEPTHWISE = "depthwise"
    FULLY_CONNECTED = "fully_connected"
    OTHER = "other_per_byte"
    COPY = "copy_per_byte"
    TFLM = "tflm_per_mac"
    MADE = "made_per_value"
    READ = "read_per_value"
    GATHER = "gather_per_row"
    PLANE_ROW = "depthwise_per_row"
    PLANE_INPUT = "depthwise_per_input"
    REQUANTIZE = "requantize_per_value"
    ADD = "add_per_value"
    SUM = "sum_per_value"
    RUN = "swept_per_run"
    APART = "apart_per_product"
    TFLM_CONV = "tflm_conv"
    TFLM_DEPTHWISE = "tflm_depthwise"
    TFLM_MADE = "tflm_made_per_value"
    TFLM_READ = "tflm_read_per_value"
    TFLM_GATHER = "tflm_gather_per_pixel"
    TFLM_WEIGHT = "tflm_per_weight"


BESIDE_MACS = (
    Family.MADE,
    Family.READ,
    Family.GATHER,
    Family.PLANE_ROW,
    Family.PLANE_INPUT,
    Family.RUN,
    Family.APART,
)
"""Parts of convolutions that cost beside their multiply-accumulates; nothing where not given."""

TFLM_CONVOLUTIONS = (Family.TFLM_CONV, Family.TFLM_DEPTHWISE)
TFLM_BESIDE = (Family.TFLM_MADE, Family.TFLM_READ, Family.TFLM_GATHER, Family.TFLM_WEIGHT)
"""The same of TFLM's own convolutions; without ``TFLM_CONVOLUTIONS``, TFLM's one number has all."""

_WITHOUT = {
    Family.TFLM: Family.CONV,
    Family.TFLM_CONV: Family.TFLM,
    Family.TFLM_DEPTHWISE: Family.TFLM,
    Family.REQUANTIZE: Family.OTHER,
    Family.ADD: Family.OTHER,
    Family.SUM: Family.COPY,
}
"""What stands for a number that is not given."""


@dataclass(frozen=True)
class Cycles:
    """Clock cycles of a device's kernels.

    conv, pointwise (1x1), depthwise, fully_connected (and convolutions of one position): per
        multiply-accumulate; all included where the parts below are 0.
    other_per_byte: per byte that an operator without multiply-accumulates computes (MUL, pooling);
        copy_per_byte: per byte that is only moved (CONCAT, PAD, a RECV's copy).
    tflm_per_mac: of what TFLM's own kernels multiply (TRANSPOSE_CONV, BATCH_MATMUL, SVDF, LSTM, all
        that is not int8, dense layers and convolutions of a model that is not split); None: as
        conv.
    made_per_value: per result of a convolution that is not depthwise.
    read_per_value: per value of a window of such a convolution, at each position again.
    gather_per_row: per row of such a window that is copied: where kernels are larger than 1x1.
    depthwise_per_row: per row of one channel of a result; depthwise_per_input: per value of its
        input, unless a fused block has made it.
    requantize_per_value: per sum that becomes int8 after an exchange; add_per_value: per result of
        ADD and SUB, which scale three times; None: as other_per_byte.
    sum_per_value: per int8 value that TFLSPLIT_PARTIAL_SUM adds up; None: as copy_per_byte.
    swept_per_run: where only few rows are kept (window_columns, chains), per run of new columns of
        one channel; apart_per_product: per multiply-accumulate that products of fewer than four
        positions lack.
    tflm_conv, tflm_depthwise: per multiply-accumulate of TFLM's own int8 convolutions of several
        positions; None: as tflm_per_mac.  Of those that are not depthwise, beside them:
        tflm_made_per_value, per result; tflm_read_per_value, per value of a window larger than 1x1,
        at each position again; tflm_gather_per_pixel, per pixel of such a window; tflm_per_weight,
        per weight, of which sums are made each time.
    """

    conv: float
    pointwise: float
    depthwise: float
    fully_connected: float
    other_per_byte: float
    copy_per_byte: float
    tflm_per_mac: float | None = None
    made_per_value: float = 0.0
    read_per_value: float = 0.0
    gather_per_row: float = 0.0
    depthwise_per_row: float = 0.0
    depthwise_per_input: float = 0.0
    requantize_per_value: float | None = None
    add_per_value: float | None = None
    sum_per_value: float | None = None
    swept_per_run: float = 0.0
    apart_per_product: float = 0.0
    tflm_conv: float | None = None
    tflm_depthwise: float | None = None
    tflm_made_per_value: float = 0.0
    tflm_read_per_value: float = 0.0
    tflm_gather_per_pixel: float = 0.0
    tflm_per_weight: float = 0.0

    def of(self, family: Family) -> float:
        """The number of a family."""
        number = getattr(self, family.value)
        return self.of(_WITHOUT[family]) if number is None else float(number)

    def times(self, factor: float) -> Cycles:
        """The same of a device that takes ``factor`` times as many."""
        return Cycles(*(factor * self.of(family) for family in Family))
