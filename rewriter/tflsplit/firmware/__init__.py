# SPDX-License-Identifier: Apache-2.0
"""Firmware of a device set: generated sources, and PlatformIO environments node0, node1, …"""

from tflsplit.firmware.boards import BOARDS, Board, board_named
from tflsplit.firmware.choice import Choice, Wanted, choose_nodes, project_root
from tflsplit.firmware.from_cluster import options_of_cluster, refuse_boards_without_firmware
from tflsplit.firmware.generate import FORMAT, VERSION, firmware_files
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.firmware.project import all_files, write_firmware

__all__ = [
    "BOARDS",
    "FORMAT",
    "VERSION",
    "Board",
    "Choice",
    "FirmwareOptions",
    "Wanted",
    "all_files",
    "board_named",
    "choose_nodes",
    "firmware_files",
    "options_of_cluster",
    "project_root",
    "refuse_boards_without_firmware",
    "write_firmware",
]
