# SPDX-License-Identifier: Apache-2.0
"""Seeded random networks, split in random ways and compared with unsplit TFLM.

python -m tests.random_models --seconds 3600
"""
