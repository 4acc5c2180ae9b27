# SPDX-License-Identifier: Apache-2.0
"""Choosing a plan for a cluster."""
