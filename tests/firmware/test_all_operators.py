# SPDX-License-Identifier: Apache-2.0
"""The generic firmware registers whatever a device graph may use."""

from tflsplit.firmware.places import device_sources
from tflsplit.firmware.resolver import ALL_OPERATORS, CUSTOM, all_operators_header, method_of
from tflsplit.tflite.support import TFLM_BUILTINS

NEVER_ON_A_DEVICE = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE"}


def test_the_header_is_what_the_table_gives():
    """To make it again: write ``all_operators_header()`` to ``tflm_app/ALL_OPERATORS``."""
    assert (device_sources() / ALL_OPERATORS).read_text() == all_operators_header()


def test_it_has_every_operator_but_those_that_need_what_no_device_graph_has():
    header = all_operators_header()
    for op in TFLM_BUILTINS:
        assert (f"resolver.{method_of(op)}()" in header) == (op not in NEVER_ON_A_DEVICE), op
    assert all(function in header for _, function in CUSTOM.values())
