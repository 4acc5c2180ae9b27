# SPDX-License-Identifier: Apache-2.0
"""README.md for a package index, where a relative link leads nowhere: a metadata hook of hatchling.

::

    [all keys](docs/cluster_toml.md)   ->  [all keys](https://…/blob/main/docs/cluster_toml.md)
    ![A report: …](docs/report.png)    ->  ![A report: …](https://…/raw/main/docs/report.png)

Where no [project.urls] says where the project lies, a link is the name of its file, and a picture
its description:

    [all keys](docs/cluster_toml.md)   ->  all keys (docs/cluster_toml.md)
    [docs/api.md](docs/api.md)         ->  docs/api.md
    ![A report: …](docs/report.png)    ->  *A report: …*
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
        repository = metadata.get("urls", {}).get("Repository")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, repository) if repository else plain(text),
        }


def absolute(text: str, repository: str) -> str:
    """The text with links that work anywhere; those that are absolute or stay on the page, stay."""

    def link(match: re.Match[str]) -> str:
        is_picture, label, target = match.groups()
        kind = "raw" if is_picture else "blob"
        return f"{is_picture}{label}({repository}/{kind}/main/{target})"

    return _LINK.sub(link, text)


def plain(text: str) -> str:
    """The text without links that would lead nowhere."""

    def named(match: re.Match[str]) -> str:
        is_picture, label, target = match[1], " ".join(match[2][1:-1].split()), match[3]
        if is_picture:
            return f"*{label}*"
        return label if label == target.split("#")[0] else f"{label} ({target})"

    return _LINK.sub(named, text)
