# SPDX-License-Identifier: Apache-2.0
"""The search through a model's units, and the choice among the whole plans it ends in."""
