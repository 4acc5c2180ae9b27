# SPDX-License-Identifier: Apache-2.0
"""Device graphs as text: what a split is, for a reader, and for whoever changes how it is made.

    python -m tests.make_golden            # after a change that is meant to change graphs

``tests/split/golden`` holds, for each network of ``models/tiny.py`` below, a plan and the graphs
that it makes.  The plans are files, so no search and no policy decides; they are written only where
there is none yet.
"""

from __future__ import annotations

from pathlib import Path

from models.tiny import NETWORKS
from tflsplit.bundle.plan_file import load_plan, plan_part
from tflsplit.bundle.plan_json import dump
from tflsplit.ir import Graph
from tflsplit.ir.printer import graph_text
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model, splittable

GOLDEN = Path(__file__).parent / "split" / "golden"

CASES = {
    "ds_cnn-rows": ("ds_cnn", Wishes(2, "rows")),
    "autoencoder-in_channels": ("autoencoder", Wishes(2, "in_channels")),
    "squeeze_excite-channels": ("squeeze_excite", Wishes(2, "channels")),
    "resnet-out_channels": ("resnet", Wishes(2, "out_channels")),
    "mobilenet-fused": ("mobilenet", Wishes(3, "rows", fuse=True)),
}
"""By the name of the files: the network, and what its plan was made from."""


def text_of(name: str) -> str:
    """The device graphs of a case, under its plan."""
    network, _ = CASES[name]
    plan = load_plan(GOLDEN / f"{name}.plan.json")
    split = split_model(NETWORKS[network](), lambda graph: plan)
    return "\n".join(graph_text(device.graph) for device in split.devices)


def _write_plan(path: Path, model: Graph, wishes: Wishes) -> None:
    graph = splittable(model)
    path.write_text(dump(plan_part(graph, choose_plan(graph, wishes))), encoding="utf-8")


def main() -> None:
    """Write all of them."""
    for name, (network, wishes) in CASES.items():
        plan = GOLDEN / f"{name}.plan.json"
        if not plan.exists():
            _write_plan(plan, NETWORKS[network](), wishes)
        (GOLDEN / f"{name}.txt").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
