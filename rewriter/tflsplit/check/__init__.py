# SPDX-License-Identifier: Apache-2.0
"""The independent judge of a set of device graphs, which knows nothing of plans."""

from tflsplit.check.device_graphs import check_devices as check_devices
