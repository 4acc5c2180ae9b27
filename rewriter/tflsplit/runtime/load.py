# SPDX-License-Identifier: Apache-2.0
"""Model inputs from files: .npy, .npz and images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tflsplit.errors import EngineError, UserError
from tflsplit.ir import DType, Graph, Value
from tflsplit.runtime.engines import Array
from tflsplit.split.devices import tensor_labels


class InputError(UserError):
    """An input file does not fit the model."""


def load_inputs(graph: Graph, paths: Sequence[Path]) -> dict[str, Array]:
    """The model's inputs by tensor name, one file each in the model's order.

    .npy: the stored values themselves (a missing batch dimension is added); float32 values for an
    integer input are quantized as the tensor says.  Images: see ``load_image``.  Raises InputError.
    """
    labels = tensor_labels(graph)
    if len(paths) != len(graph.inputs):
        names = ", ".join(f"{v.name} {v.dtype.value.lower()}{list(v.shape)}" for v in graph.inputs)
        raise InputError(
            f"the model has {len(graph.inputs)} inputs ({names}): give --input as often"
        )
    return {
        labels[value]: _load(value, path) for value, path in zip(graph.inputs, paths, strict=True)
    }


def _load(value: Value, path: Path) -> Array:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() != ".npy":
        return load_image(value, path)
    try:
        # Not read before its shape is known to fit: a header may promise any size.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a .npy file of plain numbers ({error})") from None
    return np.array(fitted(value, array, str(path)))


def fitted(value: Value, array: Array, source: str) -> Array:
    """``array`` as the tensor ``value`` stores it; InputError, naming ``source``, if it cannot be.

    A missing batch dimension is added; float32 values for an integer tensor are quantized.
    """
    if array.shape == value.shape[1:]:
        array = array[np.newaxis]
    if array.shape != value.shape:
        raise InputError(
            f"{source} has shape {list(array.shape)}; {value.name!r} wants {list(value.shape)}"
        )
    wanted = value.dtype.numpy
    if array.dtype == wanted:
        return np.asarray(array)
    if array.dtype.kind == "f" and wanted.kind == "f":
        return np.asarray(array, wanted)
    if array.dtype.kind == "f" and value.quantization and value.quantization.scales:
        return _quantize(value, array)
    raise InputError(f"{source} holds {array.dtype}; {value.name!r} wants {wanted}")


def _quantize(value: Value, array: Array) -> Array:
    assert value.quantization is not None
    info = np.iinfo(value.dtype.numpy.str)
    stored = np.round(array / value.quantization.scale) + value.quantization.zero_point
    return np.clip(stored, info.min, info.max).astype(value.dtype.numpy)


def load_image(value: Value, path: Path) -> Array:
    """An image file, scaled to the model's height and width, as the input ``value`` stores it.

    Raises InputError if it is no image or the model takes none, EngineError without Pillow.
    """
    if len(value.shape) != 4 or value.shape[3] not in (1, 3):
        raise InputError(f"{value.name!r} {list(value.shape)} is no image: give a .npy file")
    try:
        from PIL import Image, UnidentifiedImageError
        from PIL.Image import DecompressionBombError as TooLargeError
    except ImportError:
        raise EngineError("images need Pillow: pip install 'tflsplit[host]'") from None
    try:
        with Image.open(path) as image:
            _, height, width, channels = value.shape
            resized = image.convert("L" if channels == 1 else "RGB").resize((width, height))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, TooLargeError) as error:
        raise InputError(f"{path} is neither .npy nor an image ({error})") from None
    return fitted_pixels(value, np.asarray(resized))


def fitted_pixels(value: Value, pixels: Array) -> Array:
    """Pixels 0..255, as many as ``value`` has elements, as this input stores them.

    They become the stored values 0..255 of a uint8 input, and pixel - 128 of an int8 one (what
    every usual normalization comes to, up to one step); a float32 input gets 0..1.
    """
    pixels = pixels.astype(np.int16).reshape(value.shape)
    if value.dtype is DType.FLOAT32:
        return (pixels / 255).astype(np.float32)
    if value.dtype is DType.UINT8:
        return pixels.astype(np.uint8)
    if value.dtype is DType.INT8:
        return (pixels - 128).astype(np.int8)
    raise InputError(f"{value.name!r} is {value.dtype.value}: give a .npy file")
