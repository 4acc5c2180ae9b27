# SPDX-License-Identifier: Apache-2.0
"""What can be done with each unit of a model: its options, shares, tiles and chains."""
