# SPDX-License-Identifier: Apache-2.0
"""The output folder: ``plan.json``, the unsplit model and one graph per device."""

from tflsplit.bundle.folder import Bundle, read_bundle, write_bundle
from tflsplit.bundle.plan_json import FORMAT, VERSION

__all__ = ["FORMAT", "VERSION", "Bundle", "read_bundle", "write_bundle"]
