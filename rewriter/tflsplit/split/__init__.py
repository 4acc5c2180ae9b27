# SPDX-License-Identifier: Apache-2.0
"""From a plan to one graph per device: partition, then the passes that work on one device."""
