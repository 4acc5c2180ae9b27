# SPDX-License-Identifier: Apache-2.0
"""Int8 networks to try tflsplit on: MobileNetV2 by Keras, and seeded ones without TensorFlow."""
