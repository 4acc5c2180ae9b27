# SPDX-License-Identifier: Apache-2.0
"""Seeded smooth images: what stands in for photographs where there are none.

White noise is a poor stand-in (convolutions average it to nothing, so most activations sit at
their zero point); a sum of smoothed random fields has the falling spectrum of natural images.
Drawn from NumPy's frozen ``RandomState`` stream and computed without BLAS, so that every machine
gets the same values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CELLS = (2, 4, 8, 16)
"""Coarse grids that are blown up and added, each at half the amplitude of the one before."""


def smooth_images(
    count: int, shape: tuple[int, ...], seed: int, low: float = -1.0, high: float = 1.0
) -> NDArray[np.float64]:
    """``count`` images, float64 ``[count, *shape]`` that fill ``[low, high]``.

    shape: ``(height, width, channels)``, or ``(features,)``, smooth along its only axis.
    """
    height, width, channels = shape if len(shape) == 3 else (1, shape[0], 1)
    rng = np.random.RandomState(seed)
    images = np.zeros((count, height, width, channels))
    for octave, cells in enumerate(_CELLS):
        rows, columns = min(cells, height) + 1, min(cells, width) + 1
        # half of the variation is common to the channels, as brightness is to colours
        grid = rng.randint(-1000, 1001, (count, rows, columns, channels))
        grid = grid + rng.randint(-1000, 1001, (count, rows, columns, 1))
        images += _stretch(_stretch(grid / 2000.0, 1, height), 2, width) / 2**octave
    lowest = images.min(axis=(1, 2, 3), keepdims=True)
    spread = np.maximum(images.max(axis=(1, 2, 3), keepdims=True) - lowest, 1e-9)
    filled = low + (high - low) * (images - lowest) / spread
    return np.asarray(filled.reshape(count, *shape), np.float64)


def _stretch(grid: NDArray[np.float64], axis: int, size: int) -> NDArray[np.float64]:
    """Linear interpolation of ``grid`` to ``size`` samples along ``axis``."""
    position = np.arange(size) * (grid.shape[axis] - 1) / max(1, size)
    left = position.astype(np.int64)
    weight = (position - left).reshape([-1 if i == axis else 1 for i in range(grid.ndim)])
    right = np.minimum(left + 1, grid.shape[axis] - 1)
    blend = grid.take(left, axis) * (1 - weight) + grid.take(right, axis) * weight
    return np.asarray(blend, np.float64)
