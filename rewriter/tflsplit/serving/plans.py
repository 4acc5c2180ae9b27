# SPDX-License-Identifier: Apache-2.0
"""The plan for whatever boards are there; each is made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tflsplit.api.found import cluster_of_found
from tflsplit.api.planned import PlannedForFound, planned_for
from tflsplit.bundle import Bundle
from tflsplit.cluster import Cluster
from tflsplit.deploy.deploying import Prepared, prepare_images
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import ClusterError
from tflsplit.firmware.generate import firmware_document
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.host.firmware_json import FirmwareSetup, setup_of_document
from tflsplit.serving.events import ServeOptions
from tflsplit.tflite import write_model

Stage = Callable[[str], None]


@dataclass(frozen=True)
class Ready:
    """A plan for boards that were found.

    source: "given": the one that the service was begun with; "known": made before; "planned": now.
    """

    bundle: Bundle
    prepared: Prepared
    setup: FirmwareSetup
    source: str


class Plans:
    """Makes them.

    given: the plan to take wherever it fits.
    options: what its firmware is made of.  wanted: patience, and the objective of other plans.
    """

    def __init__(self, given: Bundle, options: FirmwareOptions, wanted: ServeOptions) -> None:
        self.given = given
        self._options = options
        self._wanted = wanted
        self._known: list[tuple[Cluster, PlannedForFound]] = []

    def ready(self, wiring: Wiring, stage: Stage = lambda text: None) -> Ready:
        """The plan and its images.

        stage: is told that a plan is being searched.
        Raises ClusterError, saying what is missing, if nothing fits these boards.
        """
        try:
            return self._ready(self.given, self._options, wiring, "given")
        except ClusterError:
            pass
        cluster = cluster_of_found(wiring)
        for known, planned in self._known:
            if known == cluster:
                return self._ready(planned.split.bundle, planned.options, wiring, "known")
        stage("searching a plan for the boards that are there")
        planned = planned_for(write_model(self.given.model), wiring, self._wanted.objective)
        self._known.append((cluster, planned))
        return self._ready(planned.split.bundle, planned.options, wiring, "planned")

    def _ready(
        self, bundle: Bundle, options: FirmwareOptions, wiring: Wiring, source: str
    ) -> Ready:
        # Boards give a silent neighbour up when the host does: a repeated inference costs little.
        patience_ms = round(1000 * self._wanted.patience_seconds)
        prepared = prepare_images(bundle, replace(options, peer_timeout_ms=patience_ms), wiring)
        document = firmware_document(bundle.document, bundle.devices, prepared.options)
        return Ready(bundle, prepared, setup_of_document(document), source)
