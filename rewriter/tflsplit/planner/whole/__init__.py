# SPDX-License-Identifier: Apache-2.0
"""Whole plans, made from the steps of a search; what is missing where none fits."""
