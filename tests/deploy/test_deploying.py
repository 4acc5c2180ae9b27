# SPDX-License-Identifier: Apache-2.0
"""Which boards take no deployment at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.deploy.test_vectors import TABLE
from tflsplit.deploy.deploying import check_firmware
from tflsplit.deploy.survey import BoardIdentity, BoardState
from tflsplit.errors import ClusterError

BODY = next(row["body_hex"] for row in TABLE["survey"] if row["name"] == "identity_blank")
BOARD = BoardIdentity.from_body(bytes.fromhex(BODY))


def test_generic_firmware_of_this_version_takes_deployments():
    check_firmware(["a", "b"], [BOARD, replace(BOARD, state=BoardState.ACTIVE)])


def test_firmware_of_one_plan_takes_no_other():
    with pytest.raises(ClusterError, match="board b: the firmware was built for one plan"):
        check_firmware(["a", "b"], [BOARD, replace(BOARD, state=BoardState.FIXED)])


def test_firmware_of_another_cluster_protocol_is_to_be_flashed_anew():
    boards = [BOARD, replace(BOARD, cluster=3), replace(BOARD, cluster=5)]
    with pytest.raises(ClusterError, match=r"program's 4: b 3, c 5: flash it anew"):
        check_firmware(["a", "b", "c"], boards)
