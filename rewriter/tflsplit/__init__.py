# SPDX-License-Identifier: Apache-2.0
"""tflsplit: split one int8 .tflite network over several microcontrollers, bit for bit."""

__version__ = "0.1.0"
