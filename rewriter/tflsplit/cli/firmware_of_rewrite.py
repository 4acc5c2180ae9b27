# SPDX-License-Identifier: Apache-2.0
"""The firmware part of the folder that ``tflsplit rewrite`` writes."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tflsplit.bundle.plan_json import Json
from tflsplit.cli.firmware import how_to_build, options_of
from tflsplit.cluster import Cluster
from tflsplit.errors import UserError
from tflsplit.firmware import FirmwareOptions, Wanted, all_files, choose_nodes
from tflsplit.split.devices import DeviceGraph


class FirmwareOfRewrite:
    """Makes the firmware part of the folder that ``tflsplit rewrite`` writes.

    Where nothing was asked of the firmware, a plan that no firmware can run (more devices than a
    host can address, an operator that TFLM lacks) is still written; ``problem`` says what is not.
    """

    def __init__(
        self, folder: Path, arguments: argparse.Namespace, cluster: Cluster | None
    ) -> None:
        self._folder = folder
        self._arguments = arguments
        self._cluster = cluster
        # A kind of link may be planned for that no firmware has.
        self._asked = replace(options_of(arguments), link="uart") != FirmwareOptions()
        self.problem = ""

    def leave_out(self, cluster: Cluster, left_out: Collection[int]) -> None:
        """Make it for the devices that a plan uses: ``cluster``, what remains without some ranks.

        Boards and gateway of the command line are those of all.
        """
        if self._cluster is not None:
            self._cluster = cluster
        changed = argparse.Namespace(**vars(self._arguments))
        boards = (changed.board or "").split(",")
        if len(boards) > 1:
            kept = (board for rank, board in enumerate(boards) if rank not in left_out)
            changed.board = ",".join(kept)
        if changed.gateway is not None:
            changed.gateway = cluster.input_rank
        self._arguments = changed

    def __call__(self, document: Json, devices: Sequence[DeviceGraph]) -> Mapping[str, bytes]:
        """The files; UserError if they cannot be made and were asked for."""
        try:
            options = options_of(self._arguments, self._cluster)
            return all_files(document, devices, options)
        except UserError as error:
            if self._asked:
                raise
            self.problem = str(error)
            return {}

    def choose(self) -> str:
        """Let `pio run` build this folder; what to tell the user."""
        if self.problem:
            return f"no firmware: {self.problem}"
        wanted = Wanted.NAMED if self._asked or self._cluster is not None else Wanted.WRITTEN
        return f"firmware: {how_to_build(self._folder, choose_nodes(self._folder, wanted))}"
