# SPDX-License-Identifier: Apache-2.0
"""The operators of TFLite: factors and local pieces, one module per family."""
