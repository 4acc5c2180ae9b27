# SPDX-License-Identifier: Apache-2.0
"""A service of inferences on boards, which goes on with the others when some are lost.

::

    infer ──▶ outputs
       │ a board died, a cable was cut
       ▼
    look for the boards ──▶ a plan for them ──▶ deploy what they lack ──▶ the inference again
"""

from tflsplit.serving.events import Event, ServeOptions
from tflsplit.serving.opening import serve
from tflsplit.serving.service import Served, Service

__all__ = ["Event", "ServeOptions", "Served", "Service", "serve"]
