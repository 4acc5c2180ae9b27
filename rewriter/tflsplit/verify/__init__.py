# SPDX-License-Identifier: Apache-2.0
"""Bit-exact comparison of a set of device graphs with the unsplit model."""

from tflsplit.verify.compare import Mismatch, Verdict, verify_bundle, verify_devices
from tflsplit.verify.inputs import Case, make_cases

__all__ = ["Case", "Mismatch", "Verdict", "make_cases", "verify_bundle", "verify_devices"]
