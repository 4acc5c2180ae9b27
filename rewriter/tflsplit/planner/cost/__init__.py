# SPDX-License-Identifier: Apache-2.0
"""What each option costs: time, bytes on the wires, memory; found once for all that are alike."""
