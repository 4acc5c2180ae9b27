# SPDX-License-Identifier: Apache-2.0
"""Model inputs from files: .npy, .npz and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tflsplit.errors import EngineError, UserError
from tflsplit.ir import DType, Graph, Value
from tflsplit.runtime.engines import Array
from tflsplit.split.devices import tensor_labels

Note = Callable[[str], None]
"""Is told what was done to an input so that it fits, in a sentence."""


class InputError(UserError):
    """An input file does not fit the model."""


def silent(text: str) -> None:
    """A ``Note`` that nobody reads."""


def load_inputs(graph: Graph, paths: Sequence[Path], note: Note = silent) -> dict[str, Array]:
    """The model's inputs by tensor name, one file each in the model's order.

    .npy: the stored values themselves (a missing batch dimension is added); float32 values for an
    integer input are quantized as the tensor says.  Images: see ``load_image``.  Raises InputError.
    """
    labels = tensor_labels(graph)
    if len(paths) != len(graph.inputs):
        names = ", ".join(f"{v.name} {v.dtype.value.lower()}{list(v.shape)}" for v in graph.inputs)
        many = f"{len(graph.inputs)} input{'s' * (len(graph.inputs) != 1)}"
        raise InputError(f"the model has {many} ({names}), not {len(paths)}: one --input for each")
    return {
        labels[value]: _load(value, path, note)
        for value, path in zip(graph.inputs, paths, strict=True)
    }


def _load(value: Value, path: Path, note: Note) -> Array:
    if not path.is_file():
        raise InputError(f"{path} is a folder" if path.is_dir() else f"{path}: no such file")
    if path.suffix.lower() != ".npy":
        return load_image(value, path, note)
    try:
        # Not read before its shape is known to fit: a header may promise any size.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a .npy file of plain numbers ({error})") from None
    return np.array(fitted(value, array, str(path), note))


def fitted(value: Value, array: Array, source: str, note: Note = silent) -> Array:
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
    if array.dtype.kind == "f":
        _refuse_not_finite(array, source)
    if array.dtype.kind == "f" and wanted.kind == "f":
        return np.asarray(array, wanted)
    if array.dtype.kind == "f" and value.quantization and value.quantization.scales:
        return _quantize(value, array, source, note)
    raise InputError(f"{source} holds {array.dtype}; {value.name!r} wants {wanted}")


def _refuse_not_finite(array: Array, source: str) -> None:
    """Raise InputError for NaN and infinities: no integer stands for them."""
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = list(map(int, bad[0]))
        raise InputError(
            f"{source}: {len(bad):,} of {array.size:,} values {'is' if len(bad) == 1 else 'are'} "
            f"NaN or infinite, the first at {first}"
        )


def _quantize(value: Value, array: Array, source: str, note: Note) -> Array:
    assert value.quantization is not None
    info = np.iinfo(value.dtype.numpy.str)
    scale, zero_point = value.quantization.scale, value.quantization.zero_point
    stored = np.round(array / scale) + zero_point
    outside = int(np.count_nonzero((stored < info.min) | (stored > info.max)))
    if outside:
        low, high = ((bound - zero_point) * scale for bound in (info.min, info.max))
        note(
            f"{source}: {outside:,} of {array.size:,} values lie outside {low:.4g} to {high:.4g}, "
            f"which is what {value.name!r} can hold, and were clipped"
        )
    return np.clip(stored, info.min, info.max).astype(value.dtype.numpy)


def load_image(value: Value, path: Path, note: Note = silent) -> Array:
    """An image file, scaled to the model's height and width, as the input ``value`` stores it.

    note: is told if it had another size or other channels.

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
            mode = "L" if channels == 1 else "RGB"
            resized = image.convert(mode).resize((width, height))
            if done := _changes(image.size, image.mode, (width, height), mode):
                note(f"{path}: {done}")
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


def _changes(
    size: tuple[int, int], mode: str, wanted_size: tuple[int, int], wanted_mode: str
) -> str:
    """What was done to an image of a size (width, height) and colours, in words; "": nothing."""
    done = []
    if size != wanted_size:
        done.append(f"scaled from {size[0]}x{size[1]} to {wanted_size[0]}x{wanted_size[1]}")
        if size[0] * wanted_size[1] != size[1] * wanted_size[0]:
            done[-1] += ", which changes its proportions"
    if mode != wanted_mode:
        names = {"L": "grey", "P": "palette", "1": "black and white", "RGBA": "RGB with alpha"}
        done.append(f"converted from {names.get(mode, mode)} to {names.get(wanted_mode, 'RGB')}")
    return "; ".join(done)
