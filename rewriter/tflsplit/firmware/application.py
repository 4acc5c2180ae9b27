# SPDX-License-Identifier: Apache-2.0
"""The header with which an application on the gateway takes the host's place.

``application.h`` of the gateway says which boxes of the model's inputs and outputs are whose, in
tables that only take memory where a program includes it.  There is none where the host is wired to
several devices (``direct``), or keeps the input itself (``stream``): one board has not the ports of
all, nor an image that is asked for in any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tflsplit.bundle.plan_json import Json
from tflsplit.firmware.escape import comment
from tflsplit.ir import DType
from tflsplit.ops.region import Box
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire.control import INPUT_CHANNEL, OUTPUT_CHANNEL

HEADER = "application.h"
_MOST = 255
_DIMENSIONS = 4
_Part = tuple[int, int, int, Box]
"""(ranks as bits, channel, tensor, box)."""


def application_header(
    document: Json, devices: Sequence[DeviceGraph], gateway: int, timeout_ms: int
) -> str | None:
    """The header's text; None if the plan's host cannot be the gateway's own program."""
    inputs, outputs = document["inputs"], document["outputs"]
    parts = _inputs(document, devices), _outputs(document, devices)
    counts = (len(inputs), len(outputs), *map(len, parts))
    if document.get("stream") or max(counts) > _MOST or min(counts) < 1:
        return None
    if any(
        _axes(tensor["shape"]) is None or not _item_bytes(tensor) for tensor in inputs + outputs
    ):
        return None
    return _HEADER.format(
        fingerprint=comment(str(document["fingerprint"])),
        gateway=gateway,
        world_size=int(document["world_size"]),
        everyone=f"0x{(1 << int(document['world_size'])) - 1:x}ULL",
        timeout_us=1000 * timeout_ms,
        inputs=_tensors(inputs),
        outputs=_tensors(outputs),
        input_parts=_parts(parts[0], inputs),
        output_parts=_parts(parts[1], outputs),
        input_count=len(inputs),
        output_count=len(outputs),
        input_part_count=len(parts[0]),
        output_part_count=len(parts[1]),
        output_bytes=sum(math.prod(t["shape"]) * _item_bytes(t) for t in outputs),
        row_bytes=max(_row_bytes(tensor) for tensor in inputs),
    )


def _inputs(document: Json, devices: Sequence[DeviceGraph]) -> list[_Part]:
    """One message for all that read the same box; the order is that of the operands."""
    names = [tensor["tensor"] for tensor in document["inputs"]]
    ranks: dict[tuple[int, int, Box], int] = {}
    for device in devices:
        for index, value in enumerate(device.graph.inputs):
            shard = device.shards[value.name]
            key = INPUT_CHANNEL + index, names.index(shard.tensor), shard.box
            ranks[key] = ranks.get(key, 0) | 1 << device.rank
    return [(bits, channel, tensor, box) for (channel, tensor, box), bits in ranks.items()]


def _outputs(document: Json, devices: Sequence[DeviceGraph]) -> list[_Part]:
    names = [tensor["tensor"] for tensor in document["outputs"]]
    return [
        (1 << device.rank, OUTPUT_CHANNEL + index, names.index(shard.tensor), shard.box)
        for device in devices
        for index, value in enumerate(device.graph.outputs)
        for shard in [device.shards[value.name]]
    ]


def _item_bytes(tensor: Json) -> int:
    return DType[str(tensor["dtype"]).upper()].itemsize


def _axes(shape: Sequence[int]) -> list[int] | None:
    """The dimensions that are rows and what is in them; None if there are more than there may be.

    Of 8 bytes an item is two words of 4: a dimension more, or a longer last one.
    """
    axes = [axis for axis, extent in enumerate(shape) if extent != 1]
    return axes if len(axes) <= _DIMENSIONS - 1 else None


def _row_bytes(tensor: Json) -> int:
    axes = _axes(tensor["shape"]) or []
    extents: list[int] = [tensor["shape"][axis] for axis in axes[1:]]
    return math.prod(extents) * _item_bytes(tensor)


def _four(numbers: Iterable[int], words: int, fill: int) -> str:
    """Bounds of rows and what is in them, and of the words of an item."""
    all_of_them = list(numbers)
    rest = [fill] * (_DIMENSIONS - 1 - len(all_of_them))
    return "{" + ", ".join(map(str, [*all_of_them, *rest, words])) + "}"


def _tensors(tensors: Sequence[Json]) -> str:
    lines = []
    for tensor in tensors:
        shape, item = tensor["shape"], _item_bytes(tensor)
        extents = [shape[axis] for axis in _axes(shape) or []]
        lines.append(f"    {{{_four(extents, max(1, item // 4), 1)}, {min(item, 4)}}},")
    return "\n".join(lines)


def _parts(parts: Sequence[_Part], tensors: Sequence[Json]) -> str:
    lines = []
    for bits, channel, index, box in parts:
        axes = _axes(tensors[index]["shape"]) or []
        words = max(1, _item_bytes(tensors[index]) // 4)
        bounds = [box.intervals[axis] for axis in axes]
        start = _four((low for low, _ in bounds), 0, 0)
        stop = _four((high for _, high in bounds), words, 1)
        lines.append(f"    {{0x{bits:x}ULL, 0x{channel:04x}, {index}, {start}, {stop}}},")
    return "\n".join(lines)


_HEADER = """// SPDX-License-Identifier: Apache-2.0
// Generated by tflsplit for an application on rank {gateway} of plan {fingerprint}; do not edit.
// docs/firmware.md of tflsplit, "Input from the application".
#pragma once

#include "config.h"
#include "split_tflm/application.h"

const split_tflm::DeviceDescription& tflsplit_device();

namespace tflsplit_application_tables {{

// Bytes of the widest row of an input, and of all outputs.
inline constexpr size_t kRowBytes = {row_bytes};
inline constexpr size_t kOutputBytes = {output_bytes};

inline constexpr split_device::ModelTensor kInputs[] = {{
{inputs}
}};
inline constexpr split_device::ModelPart kInputParts[] = {{
{input_parts}
}};
inline constexpr split_device::ModelTensor kOutputs[] = {{
{outputs}
}};
inline constexpr split_device::ModelPart kOutputParts[] = {{
{output_parts}
}};
inline constexpr split_core::LinkConfig kLink[] = {{
    {{{gateway}, split_core::kNoLink, {everyone}}},
}};

// The node of the host, whose only link leads to this device.
constexpr split_core::NodeConfig node_config() {{
  split_core::NodeConfig config = tflsplit_config::node_config();
  config.rank = {world_size};
  config.link_count = 1;
  config.rx_slots = config.tx_slots = 2;
  config.send_slots = config.grant_slots = {input_part_count};
  config.recv_slots = {output_part_count};
  config.timing.multicast_hold_us = {timeout_us};
  config.links = kLink;
  return config;
}}

inline constexpr split_core::NodeConfig kNode = node_config();

}}  // namespace tflsplit_application_tables

// The cluster, as this program drives it.
inline split_tflm::Application& tflsplit_application() {{
  namespace tables = tflsplit_application_tables;
  alignas(8) static uint8_t memory[split_core::Node::required_bytes(tables::kNode)];
  static split_device::RowSource sources[{input_part_count}];
  static const split_device::ApplicationDescription about = {{
      tables::kNode, memory, sizeof memory,
      tables::kInputs, {input_count}, tables::kInputParts, sources, {input_part_count},
      tables::kOutputs, {output_count}, tables::kOutputParts, {output_part_count},
      {timeout_us}u,
  }};
  static split_tflm::Application application(tflsplit_device(), about);
  return application;
}}
"""
