# SPDX-License-Identifier: Apache-2.0
"""README.md for a package index, where a relative link leads nowhere: a metadata hook of hatchling.

::

    [all keys](docs/cluster_toml.md)   ->  [all keys](https://…/blob/main/docs/cluster_toml.md)
    ![A report: …](docs/report.png)    ->  ![A report: …](https://…/raw/main/docs/report.png)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Sets ``readme`` of the project's metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See ``MetadataHookInterface``."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        repository = str(metadata["urls"]["Repository"])
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, repository),
        }


def absolute(text: str, repository: str) -> str:
    """The text with links that work anywhere; those that are absolute or stay on the page, stay."""

    def link(match: re.Match[str]) -> str:
        is_picture, label, target = match.groups()
        kind = "raw" if is_picture else "blob"
        return f"{is_picture}{label}({repository}/{kind}/main/{target})"

    return _LINK.sub(link, text)
