# SPDX-License-Identifier: Apache-2.0
"""What ``tflsplit rewrite`` does, as functions: read, plan, split, check, measure, write."""
