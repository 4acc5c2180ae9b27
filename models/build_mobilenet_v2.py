# SPDX-License-Identifier: Apache-2.0
"""Build int8 MobileNetV2 with Keras and TensorFlow's converter.

    python -m models.build_mobilenet_v2 --alpha 1.0 --size 224

needs TensorFlow (``pip install '.[tensorflow]'``; the Makefile gives it an environment of its
own).  ImageNet weights are downloaded by Keras; where that fails, seeded weights take their place
and a notice says so.  Every weight and activation of the result is int8, input and output too.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.images import smooth_images

# TensorFlow talks a lot; what goes wrong is raised, not logged.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", module="tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN's order of adding depends on the CPU

Images = NDArray[np.float32]
SEED = 2018
IMAGENET_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
IMAGENET_SIZES = (96, 128, 160, 192, 224)
CALIBRATION_SEED = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, write and describe one network; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    photographs = _photographs(chosen.images) if chosen.images else []
    if chosen.images and not photographs:
        print(f"error: no .jpg or .png image in {chosen.images}", file=sys.stderr)
        return 2
    try:
        import tensorflow as tf
    except ImportError:
        print("error: needs TensorFlow: pip install '.[tensorflow]'", file=sys.stderr)
        return 2
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    network, origin = _network(chosen.alpha, chosen.size, chosen.classes, chosen.weights)
    model = convert(network, _calibration_images(photographs, chosen.size))
    path = chosen.output or Path(
        "models", "build", f"mobilenet_v2_{chosen.alpha}_{chosen.size}.tflite"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(model)
    unfinished.replace(path)
    print(f"{path}: {len(model):,} bytes, {origin}")
    print(describe(model, smooth_images(1, (chosen.size, chosen.size, 3), CALIBRATION_SEED + 1)))
    return 0


def convert(network: Any, images: Images) -> bytes:
    """Full-integer int8 quantization, calibrated on ``images`` ``[count, h, w, 3]`` in [-1, 1].

    The batch is fixed to 1: a microcontroller's memory plan knows no dynamic shapes.
    """
    import keras
    import tensorflow as tf

    image = keras.Input(batch_shape=(1, *network.input_shape[1:]), name="image")
    fixed = keras.Model(image, network(image), name=network.name)
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _one_by_one(images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()):  # Keras lists every variable it exports
        return bytes(converter.convert())


def describe(model: bytes, image: NDArray[np.float64]) -> str:
    """How much of int8 each layer uses on an image that the calibration has not seen."""
    used, full = [], []
    for stored in _activations(model, image):
        if stored.size >= 256:
            used.append(len(np.unique(stored)))
            full.append(float((stored == 127).mean()))
    return (
        f"{len(used)} activations of 256 elements or more: {min(used)} to {max(used)} distinct "
        f"values in each; at most {max(full):.1%} of one at the upper end of its range"
    )


def _activations(model: bytes, image: NDArray[np.float64]) -> Iterator[NDArray[np.int8]]:
    """Every int8 activation but the probabilities at the end, most of which are 0 by nature."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=model, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    scale, zero_point = details["quantization"]
    stored = np.clip(np.rint(image / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(details["index"], stored)
    interpreter.invoke()
    outputs = [output["index"] for output in interpreter.get_output_details()]
    for tensor in interpreter.get_tensor_details():
        per_tensor = len(tensor["quantization_parameters"]["scales"]) == 1
        if tensor["dtype"] is np.int8 and per_tensor and tensor["index"] not in outputs:
            yield interpreter.get_tensor(tensor["index"])


def _network(alpha: float, size: int, classes: int, weights: str) -> tuple[Any, str]:
    """The Keras network and where its weights come from."""
    import keras

    from models.keras_weights import seed_weights

    make: Callable[[str | None], Any] = lambda source: keras.applications.MobileNetV2(  # noqa: E731
        input_shape=(size, size, 3), alpha=alpha, weights=source, classes=classes
    )
    if weights not in ("auto", "imagenet", "seeded"):
        return make(weights), f"weights of {weights}"
    published = classes == 1000 and alpha in IMAGENET_ALPHAS and size in IMAGENET_SIZES
    if weights == "imagenet" or (weights == "auto" and published):
        try:
            return make("imagenet"), "ImageNet weights"
        except Exception as failure:  # Keras raises a bare Exception for a failed download
            if weights == "imagenet":
                raise SystemExit(f"error: no ImageNet weights: {failure}") from failure
            print(f"notice: no ImageNet weights ({failure}); seeded ones instead", file=sys.stderr)
    network = make(None)
    seed_weights(network, SEED)
    return network, "seeded weights (not trained: its labels mean nothing)"


def _photographs(folder: Path) -> list[Path]:
    """About a hundred images of ``folder``, spread over all of it; empty if there are none."""
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return paths[:: max(1, len(paths) // 100)]


def _calibration_images(photographs: Sequence[Path], size: int) -> Images:
    """Images in [-1, 1] that set the activations' scales: seeded ones if there are none."""
    if not photographs:
        return smooth_images(32, (size, size, 3), CALIBRATION_SEED).astype(np.float32)
    from keras.utils import img_to_array, load_img

    images = [img_to_array(load_img(path, target_size=(size, size))) for path in photographs]
    return np.asarray(np.stack(images) / 127.5 - 1.0, np.float32)


def _one_by_one(images: Images) -> Callable[[], Iterator[list[Images]]]:
    return lambda: ([image[None]] for image in images)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.build_mobilenet_v2",
        description=(__doc__ or "").split("\n")[0],
    )
    add = parser.add_argument
    add("--alpha", type=float, default=1.0, help="width multiplier (default 1.0)")
    add("--size", type=int, default=224, help="rows and columns of the image (default 224)")
    add("--classes", type=int, default=1000, help="ImageNet weights need 1000, the default")
    add("--weights", default="auto", help="auto (default), imagenet, seeded, or a Keras .h5 file")
    add("--images", type=Path, help="folder of photographs to calibrate on (default: seeded)")
    add("-o", "--output", type=Path, help="default: models/build/mobilenet_v2_ALPHA_SIZE.tflite")
    return parser


if __name__ == "__main__":
    sys.exit(main())
