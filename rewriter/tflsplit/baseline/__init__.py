# SPDX-License-Identifier: Apache-2.0
"""The scheme that tflsplit is compared with."""

from tflsplit.baseline.seed_scheme import SeedCost, seed_scheme

__all__ = ["SeedCost", "seed_scheme"]
