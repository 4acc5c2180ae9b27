# SPDX-License-Identifier: Apache-2.0
"""Why a board refuses, in words."""

from __future__ import annotations

from tflsplit.deploy.messages import Code
from tflsplit.errors import ClusterError, LinkError, UserError
from tflsplit.untrusted import one_line

_TEXTS = {
    Code.MALFORMED: "it does not understand what came: flash generic firmware of this version",
    Code.CONFIGURATION: "it cannot have such links",
    Code.WORK_MEMORY: "{number:,} bytes of RAM are missing: use more devices, or --objective ram",
    Code.NO_IMAGE: "it holds no such plan",
    Code.FIXED: "its firmware was built for one plan: flash the generic one (-e generic)",
    Code.UNKNOWN_KIND: "it does not know this: flash generic firmware of this version",
    Code.STORE_TOO_SMALL: "{number:,} bytes of its store are missing: use more devices",
    Code.SIGNATURE: "its firmware takes plans only with its key, which is another than this one: "
    "give its file with --key",
    Code.STORE_FAILED: "its store does not hold what was written: its flash may be worn out",
    Code.DIGEST: "what came is not what was offered: deploy again",
    Code.IMAGE: "it does not take the image",
    Code.NOT_PREPARED: "it has not what was to be committed: deploy again",
    Code.OTHER_DEPLOYMENT: "it is being deployed to from elsewhere: deploy again",
}


def refused(name: str, code: int, number: int, text: bytes) -> UserError:
    """What to raise; a ClusterError where it would be refused again and again."""
    said = f"{name} refuses: {refused_text(code, number, text)}"
    return ClusterError(said) if code == Code.SIGNATURE else LinkError(said)


def refused_text(code: int, number: int, text: bytes) -> str:
    """One printable line of a refusal; the board's own words behind ours."""
    known = code in Code.__members__.values()
    ours = _TEXTS[Code(code)].format(number=number) if known else f"it refuses (code {code})"
    theirs = one_line(text.decode("ascii", "backslashreplace"))
    return f"{ours} ({theirs})" if theirs else ours
