# SPDX-License-Identifier: Apache-2.0
"""What is known of a network's values before it runs: channels, sums, tables."""
