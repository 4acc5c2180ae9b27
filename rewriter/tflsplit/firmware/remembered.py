# SPDX-License-Identifier: Apache-2.0
"""The options that an output folder's firmware was made with."""

from __future__ import annotations

from dataclasses import replace

from tflsplit.bundle import Bundle
from tflsplit.bundle.remembered import remembered_cluster
from tflsplit.firmware.from_cluster import options_of_cluster
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.host.firmware_json import read_firmware_setup


def remembered_options(bundle: Bundle, boards: tuple[str, ...]) -> FirmwareOptions:
    """What the firmware of a folder was made with, as far as the folder tells.

    boards: instead of those; the links then run at these boards' own rate.
    """
    cluster = remembered_cluster(bundle.document, bundle.folder)
    setup = read_firmware_setup(bundle.folder, bundle.document)
    earlier = tuple(str(device["board"]) for device in setup.devices)
    if cluster is not None:
        options = options_of_cluster(cluster, boards or earlier)
        return replace(options, baud=None) if boards else options
    if not earlier:
        return FirmwareOptions(boards=boards) if boards else FirmwareOptions()
    return FirmwareOptions(
        boards=boards or earlier,
        topology=setup.topology,
        gateway=setup.gateway,
        mtu_bytes=setup.mtu_bytes,
        direct=setup.direct,
        ahead=setup.ahead,
    )
