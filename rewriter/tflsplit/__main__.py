# SPDX-License-Identifier: Apache-2.0
"""``python -m tflsplit``."""

import sys

from tflsplit.cli import main

sys.exit(main())
