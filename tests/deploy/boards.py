# SPDX-License-Identifier: Apache-2.0
"""Boards of a cluster, simulated: their side of docs/deployment.md, over any graph of wires."""

from __future__ import annotations

from dataclasses import replace

from tflsplit.deploy.survey import HOST_PORT, Survey, SurveyError, from_payload


def step(payload: bytes, port: int, ports: int) -> tuple[Survey, int | None] | None:
    """The message, and the port by which it leaves; None: it is for this board, or was dropped."""
    try:
        survey = from_payload(payload)
    except SurveyError:
        return None
    if survey.is_answer:
        return None if port == HOST_PORT else _pass_on(survey, ports, HOST_PORT)
    if (survey.crossed == 0) != (port == HOST_PORT):
        return None
    if survey.crossed:
        back = bytearray(survey.back)
        back[survey.crossed - 1] = port
        survey = replace(survey, back=bytes(back))
    return _pass_on(survey, ports, None)


def _pass_on(survey: Survey, ports: int, at_end: int | None) -> tuple[Survey, int | None] | None:
    if survey.crossed == len(survey.out):
        return survey, at_end
    leaves = survey.out[survey.crossed]
    return (replace(survey, crossed=survey.crossed + 1), leaves) if leaves < ports else None
