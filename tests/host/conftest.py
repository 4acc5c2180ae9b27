# SPDX-License-Identifier: Apache-2.0
"""What a host is given, and what must come back, for the ``bundle`` of a module of tests."""

from __future__ import annotations

import pytest

from tflsplit.bundle import Bundle
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.runtime.engines import Array, TflmProgram
from tflsplit.verify import Case, make_cases


@pytest.fixture(scope="module")
def cases(bundle: Bundle) -> list[Case]:
    return list(make_cases(fold_constants(bundle.model), 1, seed=3))


@pytest.fixture(scope="module")
def expected(bundle: Bundle, cases: list[Case]) -> list[list[Array]]:
    whole = fold_constants(bundle.model)
    program = TflmProgram(whole)
    return [program.run([case.inputs[value.name] for value in whole.inputs]) for case in cases]
