# SPDX-License-Identifier: Apache-2.0
"""Measurements, and the baselines that they are compared with."""
