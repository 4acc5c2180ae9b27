# SPDX-License-Identifier: Apache-2.0
"""tflsplit's own operators: what they mean, what is checked, how their constants are packed."""
