# SPDX-License-Identifier: Apache-2.0
"""Running device graphs on this computer."""
