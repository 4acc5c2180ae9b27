# SPDX-License-Identifier: Apache-2.0
"""The scheme that tflsplit is compared with.

    windows      sliding windows as sets of positions
    ranges       the cut of a layer's flat output, and what a range reads
    seed_scheme  RAM, traffic and work; what moves before each layer

``tflsplit.sim.seed`` runs that schedule through the simulator.
"""

from tflsplit.baseline.seed_scheme import SeedCost, SeedStep, seed_schedule, seed_scheme

__all__ = ["SeedCost", "SeedStep", "seed_schedule", "seed_scheme"]
