# SPDX-License-Identifier: Apache-2.0
"""Weights for a Keras network: ImageNet's where they can be had, else seeded ones that are alive.

A network with fresh random weights is useless for testing a rewriter: its activations fade to
almost nothing, so that a wrong halo or scale changes no output.  ``seed_weights`` therefore
calibrates batch normalization on smooth images, after which every layer has the spread of a
trained one.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.images import smooth_images

CALIBRATION_IMAGES = 16
LOGIT_SPREAD = 2.5
"""Standard deviation of the logits, so that a few of the classes stand out after the softmax."""


def seed_weights(network: Any, seed: int) -> None:
    """Give every layer of ``network`` (a batch-normalized classifier) seeded, calibrated weights.

    Draws kernels, scales and shifts; then one pass in training mode with momentum 0 makes each
    batch normalization's statistics those of its own input; then the classifier's bias and scale
    are fitted to the logits of the same images.
    """
    rng = np.random.RandomState(seed)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            _draw_normalization(rng, layer)
        elif layer.weights:
            layer.set_weights([_draw(rng, variable.shape) for variable in layer.weights])
    images = smooth_images(CALIBRATION_IMAGES, tuple(network.input_shape[1:]), seed)
    network(images.astype(np.float32), training=True)
    _fit_classifier(network, images.astype(np.float32))


def _draw_normalization(rng: np.random.RandomState, layer: Any) -> None:
    gamma, beta, mean, variance = layer.get_weights()
    # a projection stays linear; before ReLU6 some channels are mostly on, some mostly off
    linear = "project" in layer.name
    gamma = rng.uniform(0.6, 1.4, gamma.shape) * (1.0 if linear else 1.8)
    beta = rng.uniform(-0.2, 0.2, beta.shape) if linear else rng.uniform(-0.6, 1.8, beta.shape)
    layer.set_weights([gamma, beta, mean, variance])


def _draw(rng: np.random.RandomState, shape: tuple[int, ...]) -> NDArray[np.float64]:
    fan_in = max(1, int(np.prod(shape[:-1])))
    return np.asarray(rng.standard_normal(shape) / np.sqrt(fan_in), np.float64)


def _fit_classifier(network: Any, images: NDArray[np.float32]) -> None:
    classifier = network.layers[-1]
    features = keras.Model(network.input, classifier.input)(images, training=False)
    kernel, _ = classifier.get_weights()
    logits = np.asarray(features) @ kernel
    kernel *= LOGIT_SPREAD / logits.std(axis=0).mean()
    classifier.set_weights([kernel, -(np.asarray(features) @ kernel).mean(axis=0)])
