# SPDX-License-Identifier: Apache-2.0
"""Runs a .tflite file on TFLM and gives every tensor, not only the outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ARENA_BYTES = 32_000_000


def all_tensors(
    model: bytes, inputs: Sequence[NDArray[Any]], numbers: Sequence[int]
) -> list[NDArray[Any]]:
    """The contents of the tensors of those ``numbers`` after one inference on TFLM."""
    runtime = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime",
        reason="needs TFLM, the oracle: install the extra 'host' (Linux on x86-64)",
    )
    interpreter = runtime.Interpreter.from_bytes(
        model,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
        arena_size=ARENA_BYTES,
    )
    for index, array in enumerate(inputs):
        interpreter.set_input(array, index)
    interpreter.invoke()
    return [np.array(interpreter.GetTensor(number, 0)["tensor_data"]) for number in numbers]
