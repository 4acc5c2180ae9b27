# SPDX-License-Identifier: Apache-2.0
"""Survey frames, session messages and images against the table that C++ is tested with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.boards import step
from tests.make_deploy_vectors import build
from tflsplit.deploy.image import Slice, SliceLink, build_image
from tflsplit.deploy.image_check import ImageError, parse_image
from tflsplit.deploy.messages import (
    Accepted,
    Commit,
    Committed,
    Offer,
    Refused,
    Run,
    Running,
    decode_message,
    deployment_id,
    encode_message,
    is_chunk_size,
    offer_of,
    signature,
)
from tflsplit.deploy.survey import (
    Adopt,
    AdoptLink,
    BoardIdentity,
    Refusal,
    Survey,
    SurveyError,
    answers,
    from_payload,
    on_wire,
    to_payload,
)
from tflsplit.wire.handshake import Identity
from tflsplit.wire.link import Link

TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "deploy_vectors.json").read_text(encoding="ascii")
)
MESSAGES = {"offer": Offer, "commit": Commit, "run": Run, "accepted": Accepted,
            "committed": Committed, "running": Running, "refused": Refused}  # fmt: skip
BYTES = ("deployment", "sha256", "hmac", "session", "fingerprint")


def named(row: dict[str, Any]) -> str:
    return str(row["name"])


def with_bytes(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: bytes.fromhex(value) if name in BYTES else value for name, value in fields.items()
    } | ({"text": fields["text"].encode()} if "text" in fields else {})


def test_table_is_what_its_script_writes():
    assert build() == TABLE


@pytest.mark.parametrize("row", TABLE["survey"], ids=named)
def test_survey_frame(row: dict[str, Any]):
    ways = bytes.fromhex(row["out_hex"]), bytes.fromhex(row["back_hex"])
    body = bytes.fromhex(row["body_hex"])
    survey = Survey(row["kind"], row["token"], *ways, row["h"], body)
    payload = bytes.fromhex(row["payload_hex"])
    assert to_payload(survey) == payload
    assert from_payload(payload) == survey
    assert on_wire(survey).hex() == row["wire_hex"]


def bodies(*names: str) -> list[dict[str, Any]]:
    return [row for row in TABLE["survey"] if row["name"] in names]


@pytest.mark.parametrize("row", bodies("identity", "identity_blank"), ids=named)
def test_identity(row: dict[str, Any]):
    fields = dict.fromkeys(BoardIdentity.__dataclass_fields__, 0) | with_bytes(row["fields"])
    fields["chip_id"] = bytes.fromhex(fields.pop("id", "00" * 16))
    fields["board"] = fields["board"].encode()
    for name in ("deployment", "fingerprint"):
        fields[name] = fields[name] or bytes(16)
    body = bytes.fromhex(row["body_hex"])
    assert BoardIdentity.from_body(body) == BoardIdentity(**fields)
    assert BoardIdentity(**fields).to_body() == body
    with pytest.raises(SurveyError, match="95 bytes"):
        BoardIdentity.from_body(body[:-1])


@pytest.mark.parametrize("row", bodies("adopt"), ids=named)
def test_adopt(row: dict[str, Any]):
    fields = with_bytes(row["fields"])
    del fields["link_count"]
    fields["links"] = tuple(
        AdoptLink(one[0], one[1], one[2], int(one[3], 16)) for one in fields["links"]
    )
    body = bytes.fromhex(row["body_hex"])
    assert Adopt(**fields).to_body() == body
    assert Adopt.from_body(body) == Adopt(**fields)
    for damaged in (body[:-1], body + b"\0", body[:31]):
        with pytest.raises(SurveyError):
            Adopt.from_body(damaged)


@pytest.mark.parametrize("row", bodies("refused", "refused_without_text"), ids=named)
def test_refusal(row: dict[str, Any]):
    refusal = Refusal(**with_bytes(row["fields"]))
    body = bytes.fromhex(row["body_hex"])
    assert refusal.to_body() == body
    assert Refusal.from_body(body) == refusal
    for damaged in (body[:7], body[:8] + bytes(81)):
        with pytest.raises(SurveyError):
            Refusal.from_body(damaged)


@pytest.mark.parametrize("row", TABLE["steps"], ids=named)
def test_simulated_boards_forward_as_the_document_says(row: dict[str, Any]):
    found = step(bytes.fromhex(row["payload_hex"]), row["port"], row["ports"])
    if row["does"] == "drop":
        assert found is None
    else:
        assert found is not None
        survey, leaves = found
        assert to_payload(survey).hex() == row["after_hex"]
        assert leaves == (None if row["does"] == "answer" else row["leaves"])


@pytest.mark.parametrize("row", TABLE["answers"], ids=named)
def test_answer_is_known_by_its_way(row: dict[str, Any]):
    asked = from_payload(bytes.fromhex(row["request_hex"]))
    answer = from_payload(bytes.fromhex(row["answer_hex"]))
    arrived = Survey(**vars(answer) | {"crossed": len(answer.out)})
    assert answers(arrived, asked)
    other = bytes([9]) * len(answer.back) or b"\1"
    for strange in ({"token": 1}, {"kind": 1}, {"back": other}, {"out": b"\1" * 9}):
        assert not answers(Survey(**vars(arrived) | strange), asked)


@pytest.mark.parametrize("row", TABLE["session"], ids=named)
def test_session_message(row: dict[str, Any]):
    message = MESSAGES[row["kind"]](**with_bytes(row["fields"]))
    payload = bytes.fromhex(row["payload_hex"])
    assert encode_message(message) == payload
    assert decode_message(payload) == message


@pytest.mark.parametrize("row", TABLE["ignored"], ids=named)
def test_what_is_no_message(row: dict[str, Any]):
    assert decode_message(bytes.fromhex(row["payload_hex"])) is None


def test_offers_are_signed_as_in_the_table():
    row = next(row for row in TABLE["session"] if row["name"] == "offer_signed")["fields"]
    fields = with_bytes(row)
    key = bytes.fromhex(TABLE["key_hex"])
    signed = signature(key, fields["deployment"], fields["image_bytes"], fields["sha256"])
    assert signed == fields["hmac"]
    offer = offer_of(b"image", fields["deployment"], key)
    assert offer.sha256 == fields["sha256"]
    assert offer.hmac == signature(key, fields["deployment"], 5, offer.sha256)
    assert offer_of(b"image", fields["deployment"]).hmac == bytes(32)


def test_deployments_are_named_by_all_images_in_their_order():
    first, second = hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()
    assert deployment_id([b"a", b"b"]) == hashlib.sha256(first + second).digest()[:16]
    assert deployment_id([b"b", b"a"]) != deployment_id([b"a", b"b"])


def test_chunk_sizes():
    assert all(map(is_chunk_size, (256, 4096, 65_536)))
    assert not any(map(is_chunk_size, (0, 255, 260, 65_552)))


def slice_of(row: dict[str, Any]) -> Slice:
    fields = with_bytes(row)
    fields["links"] = tuple(
        SliceLink(one[0], one[1], one[2], int(one[3], 16)) for one in fields["links"]
    )
    fields["model"] = bytes.fromhex(fields.pop("model_hex"))
    del fields["node_count"]
    return Slice(**fields | {"mark": fields["mark"].encode(), "board": fields["board"].encode()})


@pytest.mark.parametrize("name", ["good", "single"])
def test_image(name: str):
    row = TABLE["images"][name]
    slices = tuple(slice_of(one) for one in row["slices"])
    image = bytes.fromhex(row["image_hex"])
    assert build_image(slices) == image
    assert parse_image(image) == slices
    assert hashlib.sha256(image).hexdigest() == row["sha256"]


@pytest.mark.parametrize("row", TABLE["images"]["bad"], ids=named)
def test_unsound_image(row: dict[str, Any]):
    image = bytearray.fromhex(TABLE["images"]["single"]["image_hex"])
    changed = bytes.fromhex(row["bytes_hex"])
    image[row["at"] : row["at"] + len(changed)] = changed
    with pytest.raises(ImageError) as caught:
        parse_image(bytes(image))
    assert caught.value.field == row["field"]


def test_no_cut_image_is_sound():
    image = bytes.fromhex(TABLE["images"]["good"]["image_hex"])
    for size in range(len(image)):
        with pytest.raises(ImageError):
            parse_image(image[:size])
    with pytest.raises(ImageError):
        parse_image(image + bytes(16))


def test_payloads_that_are_no_survey():
    for row in TABLE["steps"][-7:]:
        payload = bytes.fromhex(row["payload_hex"])
        if row["does"] == "drop":
            with pytest.raises(SurveyError):
                from_payload(payload)


def test_a_link_drops_survey_frames_and_counts_no_fault():
    heard: list[Any] = []
    one = Identity(1, 1, 2, 512, bytes(16))
    link = Link(one, 0, 7, heard.append, lambda *error: heard.append(error))
    link.receive(bytes.fromhex(TABLE["survey"][0]["wire_hex"]), 0)
    assert link.counters.bad_headers == 0
    assert link.decoder.counters.frames == 1
    assert not heard
