# SPDX-License-Identifier: Apache-2.0
"""Writing and reading the output folder, all of it or none of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflsplit.bundle import plan_json
from tflsplit.bundle.listing import FILES, PLAN, Listing, listed, read_listing, refuse_changed
from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.plan_schema import check_document
from tflsplit.bundle.replace import refuse_target, write_folder
from tflsplit.check.device_graphs import check_devices
from tflsplit.errors import PlanError
from tflsplit.ir import Graph
from tflsplit.memory.arena import ArenaEstimate
from tflsplit.memory.twin import ArenaMeasurement
from tflsplit.ops import Box
from tflsplit.ops.declared import check_declared
from tflsplit.passes.prepare import prepare
from tflsplit.passes.settle import settle
from tflsplit.plan.spec import Plan
from tflsplit.split.devices import DeviceGraph, Shard
from tflsplit.tflite import read_model, write_model
from tflsplit.untrusted import MAX_GRAPH_FILE_BYTES, MAX_TEXT_FILE_BYTES, read_file

ExtraFiles = Callable[[Json, Sequence[DeviceGraph]], Mapping[str, bytes]]

METADATA = "tflsplit"
MODEL = "model.tflite"
_FIRMWARE = ("firmware.json", "nodes.ini", "platformio.ini", ".gitignore")


@dataclass(frozen=True)
class Bundle:
    """An output folder, read back.

    document: plan.json.
    model: the unsplit model, as it was given.
    devices: by rank.
    """

    folder: Path
    document: Json
    model: Graph
    devices: tuple[DeviceGraph, ...]


@dataclass(frozen=True)
class Contents:
    """An output folder that is not written yet.

    document: plan.json.
    files: path below the folder -> contents, plan.json's too.
    """

    document: Json
    files: Mapping[str, bytes]


def contents_of(
    model: bytes,
    model_name: str,
    whole: Graph,
    plan: Plan,
    devices: Sequence[DeviceGraph],
    arenas: Sequence[tuple[ArenaEstimate, ArenaMeasurement | None]],
    extra: ExtraFiles | None = None,
    remembered: Mapping[str, Json] | None = None,
) -> Contents:
    """What an output folder will hold.

    model: the unsplit model's file.
    whole: the graph that was split (the model after its passes).
    extra: further files, by their path below the folder, made from plan.json and the devices.
    remembered: of the request, keys of plan.json (``bundle.remembered``).
    """
    sha256 = hashlib.sha256(model).hexdigest()
    fingerprint = plan_json.fingerprint(sha256, devices)
    identity = {
        "model_name": model_name,
        "model_sha256": sha256,
        "fingerprint": fingerprint,
    }
    files = [
        write_model(marked(device.graph, device.rank, plan.world_size, fingerprint))
        for device in devices
    ]
    sizes = [*map(len, files)]
    document = plan_json.plan_document(whole, plan, devices, arenas, sizes, identity, remembered)
    content = {MODEL: model}
    content |= {f"node{d.rank}.tflite": file for d, file in zip(devices, files, strict=True)}
    if extra is not None:
        content |= extra(document, devices)
    document = listed(document, content)
    content[PLAN] = plan_json.dump(document).encode()
    return Contents(document, content)


def write_bundle(folder: Path, contents: Contents, force: bool = False) -> None:
    """Write an output folder, in the place of an earlier one.

    Only files that tflsplit wrote are replaced (``bundle.listing``); all others stay.

    force: write beside what tflsplit did not write, and over files of an earlier output that were
        changed since; without it, either is refused.
    Raises PlanError if ``folder`` may not be written; after any error, and after being killed, it
    is what it was (``bundle.replace``).
    """
    refuse_folder(folder, force)
    earlier = read_listing(folder) or Listing()
    write_folder(folder, contents.files, set(earlier.files))


def refuse_folder(folder: Path, force: bool) -> None:
    """Raise PlanError, saying why, unless an output may be written to the folder.

    force: also beside things that tflsplit did not write, which stay, and over files of an earlier
        output that were changed since.
    """
    refuse_target(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    listing = read_listing(folder)
    if listing is not None:
        refuse_changed(folder, listing.changed, force)
    elif not force:
        raise PlanError(
            f"{folder} holds other things than an earlier output; name another folder with -o, "
            "or write beside them with --force"
        )


def update_folder(bundle: Bundle, files: Mapping[str, bytes], force: bool = False) -> None:
    """Put other files of the firmware into an output folder, and into its plan.json's list.

    files: all that the firmware has, by their path below the folder.
    Raises as ``write_bundle`` does.
    """
    folder = bundle.folder
    refuse_target(folder)
    listing = read_listing(folder) or Listing()
    mine = {name for name in listing.files if is_firmware(name)}
    refuse_changed(folder, mine & set(listing.changed), force)
    others = {name: digest for name, digest in listing.files.items() if name not in mine}
    document = listed(bundle.document, files)
    document[FILES] = dict(sorted({**document[FILES], **others}.items()))
    plan = plan_json.dump(document).encode()
    write_folder(folder, {**files, PLAN: plan}, {*mine, PLAN})


def is_firmware(name: str) -> bool:
    """Whether a file of an output folder is the firmware generator's."""
    return name.startswith(("firmware/", "tflm_app/")) or name in _FIRMWARE


def mark_of(rank: int, world_size: int, fingerprint: str) -> str:
    """The contents of the metadata ``tflsplit`` of a device graph's file."""
    return f"{plan_json.FORMAT} {plan_json.VERSION} {fingerprint} {rank}/{world_size}"


def marked(graph: Graph, rank: int, world_size: int, fingerprint: str) -> Graph:
    """The graph with the metadata by which a device knows its plan."""
    return Graph(
        graph.name,
        graph.inputs,
        graph.outputs,
        graph.nodes,
        {**graph.metadata, METADATA: mark_of(rank, world_size, fingerprint).encode()},
        graph.file_extra,
    )


def read_bundle(folder: Path, check: bool = True) -> Bundle:
    """An output folder; PlanError or ModelError if something is missing or does not belong.

    check: whether the device graphs must make the model between them, as ``check_devices`` sees
        it; without, whoever asks wants to tell himself what is wrong.
    """
    path = folder / PLAN
    if not os.path.lexists(path):
        raise PlanError(_no_output(folder))
    document = plan_json.parse(read_file(path, MAX_TEXT_FILE_BYTES), str(path))
    check_document(document, str(path))
    model = _file(folder / document["model_file"])
    if hashlib.sha256(model).hexdigest() != document["model_sha256"]:
        raise PlanError(f"{folder / MODEL} is not the model that {PLAN} was made for")
    devices = tuple(_device(folder, document, entry) for entry in document["devices"])
    whole = _graph(folder / document["model_file"], model, settle)
    bundle = Bundle(folder, document, whole, devices)
    if check:
        _check_devices(bundle)
    return bundle


def _no_output(folder: Path) -> str:
    """Why a folder is none that can be read."""
    if folder.suffix == ".tflite":
        return f"{folder} is a model, not an output folder: `tflsplit rewrite {folder} -n N` first"
    if not folder.exists():
        return f"{folder}: no such folder; name one that `tflsplit rewrite` wrote"
    return f"{folder} holds no {PLAN}; name a folder that `tflsplit rewrite` wrote"


def _check_devices(bundle: Bundle) -> None:
    problems = check_devices(prepare(bundle.model), bundle.devices)
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise PlanError(
            f"{bundle.folder}: its files do not belong together: {problems[0]}{more}; write them "
            "again with `rewrite`"
        )


def _device(folder: Path, document: Json, entry: Json) -> DeviceGraph:
    path = folder / entry["file"]
    graph = _graph(path, _file(path))
    _check_mark(graph, path, document, entry["rank"])
    if len(graph.nodes) != len(entry["steps"]):
        raise PlanError(f"{path} has {len(graph.nodes)} nodes, not {entry['nodes']} as {PLAN} says")
    shards = plan_json.read_shards(document, entry)
    _check_shapes(graph, shards, path)
    _check_border(graph, shards, path, document)
    steps = plan_json.read_steps(document, entry, graph)
    return DeviceGraph(entry["rank"], graph, shards, steps, entry["macs"])


def _check_shapes(graph: Graph, shards: Mapping[str, Shard], path: Path) -> None:
    """The boxes of plan.json must have the shapes of the graph's tensors.

    Some have none: those that a fused operator never makes.
    """
    for value in graph.values():
        shard = None if value.is_constant else shards.get(value.name)
        if shard is not None and shard.box.shape != value.shape:
            raise PlanError(
                f"{path}: its tensor {value.name!r} has shape {list(value.shape)}, but by {PLAN} "
                f"it is {shard.box} of {shard.tensor!r}; write both again with `rewrite`"
            )


def _check_border(graph: Graph, shards: Mapping[str, Shard], path: Path, document: Json) -> None:
    """What goes in and comes out must be parts of the model's inputs and outputs."""
    for kind, values in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        whole = {entry["tensor"]: Box.whole(entry["shape"]) for entry in document[kind]}
        for value in values:
            shard = shards.get(value.name)
            if shard is None:
                raise PlanError(f"{path}: {PLAN} does not know its tensor {value.name!r}")
            if not _is_part(shard.box, whole.get(shard.tensor)):
                raise PlanError(
                    f"{path}: its tensor {value.name!r} is no part of the model's {kind}, though "
                    f"{PLAN} says so; write both again with `rewrite`"
                )


def _is_part(box: Box, whole: Box | None) -> bool:
    return whole is not None and len(whole.intervals) == len(box.intervals) and whole.contains(box)


def _graph(path: Path, data: bytes, settled: Callable[[Graph], Graph] = lambda g: g) -> Graph:
    """A file's graph; ModelError where its tensors and options contradict its operators."""
    graph = settled(read_model(data, name=str(path)))
    check_declared(graph, name=str(path))
    return graph


def _check_mark(graph: Graph, path: Path, document: Json, rank: int) -> None:
    mark = graph.metadata.get(METADATA, b"").rstrip(b"\0").decode(errors="replace")
    wanted = (
        f"{plan_json.FORMAT} {plan_json.VERSION} {document['fingerprint']} "
        f"{rank}/{document['world_size']}"
    )
    if mark != wanted:
        raise PlanError(
            f"{path} belongs to another plan or rank ({mark or 'it has no mark'}, not {wanted}); "
            "files of different outputs cannot be mixed"
        )


def _file(path: Path) -> bytes:
    return read_file(path, MAX_GRAPH_FILE_BYTES)
