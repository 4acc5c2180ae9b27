# SPDX-License-Identifier: Apache-2.0
"""The sound models that mutants are made of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.tiny import NETWORKS
from tests.memory.op_list import CASES
from tflsplit.tflite import write_model

# Of the public models those that are small, each with something that others lack.
PUBLIC = (
    "mlperf_kws_dscnn", "mlperf_resnet8", "gen_tcn_dilated_2in2out_int8", "odd/pad3_s2",
    "odd/split_conv1x1", "odd/vit2", "odd/gru_unrolled", "odd/prelu_leaky", "odd/sr_d2s",
    "odd/conv1d_audio", "odd/mnist_lstm", "odd/keyword_svdf", "odd/audio_preprocessor",
)  # fmt: skip

# Its inputs are shapes: those that ``verify`` makes up do not broadcast, and its kernel aborts.
_SHAPES = ("BROADCAST_ARGS",)


@dataclass(frozen=True)
class Source:
    """A file to damage."""

    name: str
    data: bytes


@cache
def _all() -> tuple[Source, ...]:
    networks = [Source(name, write_model(make())) for name, make in NETWORKS.items()]
    # One operator each: what is damaged in them is always that operator's.
    single = [
        Source(name, write_model(make())) for name, make in CASES.items() if name not in _SHAPES
    ]
    folder = Path(os.environ.get("TFLSPLIT_MODELS", "../shared/models"))
    paths = [(name, folder / f"{name}.tflite") for name in PUBLIC]
    public = [Source(name, path.read_bytes()) for name, path in paths if path.is_file()]
    # Networks come as often as all the single operators together.
    more = [*networks, *public]
    repeated = more * max(1, len(single) // len(more))
    return tuple(one for pair in zip(single, repeated, strict=False) for one in pair)


@cache
def sources(names: tuple[str, ...] = ()) -> tuple[Source, ...]:
    """All of them in turns, or those of these names."""
    chosen = tuple(source for source in _all() if not names or source.name in names)
    if not chosen:
        raise SystemExit(f"no model is called {', '.join(names)}")
    return chosen
