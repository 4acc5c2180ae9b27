# SPDX-License-Identifier: Apache-2.0
"""Reading and writing .tflite files: the only importers of the file's schema.

``read_model`` and ``write_model`` lose nothing that TFLM could notice.
"""

from tflsplit.tflite.reader import load, read_model
from tflsplit.tflite.support import check_quantized
from tflsplit.tflite.writer import write_model

__all__ = ["check_quantized", "load", "read_model", "write_model"]
