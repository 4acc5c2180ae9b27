# SPDX-License-Identifier: Apache-2.0
"""The firmware part of an output folder: a PlatformIO project for the boards of a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tflsplit.bundle.plan_json import Json
from tflsplit.cluster import Cluster
from tflsplit.errors import UserError
from tflsplit.firmware import all_files, options_of_cluster, refuse_boards_without_firmware
from tflsplit.split.devices import DeviceGraph


class Project:
    """Makes the firmware of a plan, once that is known.

    boards: one for all devices that were asked for, or one for each; (): what the cluster names.
    options: fields of FirmwareOptions instead of what follows from the cluster.
    wanted: somebody asked for firmware.  Otherwise a plan that no firmware can run (more devices
        than a host can address, an operator that TFLM lacks) is still written, and ``problem``
        says what is not; "": nothing is missing.
    """

    def __init__(
        self,
        boards: Sequence[str] = (),
        options: Mapping[str, Any] = MappingProxyType({}),
        wanted: bool = False,
    ) -> None:
        self._boards = tuple(boards)
        self._options = dict(options)
        self.wanted = wanted
        self.problem = ""

    def refuse_boards_without_firmware(self, cluster: Cluster) -> None:
        """Before anything is planned: ClusterError for a board that nothing can be built for.

        cluster: that was asked for; its boards count where none are named instead.
        """
        refuse_boards_without_firmware(self._boards, cluster)

    def files(
        self,
        document: Json,
        devices: Sequence[DeviceGraph],
        cluster: Cluster,
        left_out: Collection[int],
    ) -> Mapping[str, bytes]:
        """The files, by path below the folder; UserError if they cannot be made, and are wanted.

        document: plan.json; cluster: of the devices that the plan uses; left_out: ranks of the
        cluster that was asked for which it does without.
        """
        boards = self._boards
        if len(boards) > 1:
            boards = tuple(name for rank, name in enumerate(boards) if rank not in left_out)
        try:
            options = replace(options_of_cluster(cluster, boards), **self._options)
            return all_files(document, devices, options)
        except UserError as error:
            if self.wanted:
                raise
            self.problem = str(error)
            return {}
