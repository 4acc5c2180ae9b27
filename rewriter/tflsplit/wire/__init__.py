# SPDX-License-Identifier: Apache-2.0
"""Byte layouts that the firmware shares."""
