# SPDX-License-Identifier: Apache-2.0
"""Boards found over their wires, and plans given to them (``docs/deployment.md``)."""
