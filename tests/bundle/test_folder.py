# SPDX-License-Identifier: Apache-2.0
"""The output folder is written whole or not at all, and read with care."""

from __future__ import annotations

import errno
import importlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of, plan_of, rewrite_plan
from tests.splits import tiny
from tflsplit.bundle import read_bundle
from tflsplit.errors import ModelError, PlanError
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.tflite import write_model
from tflsplit.verify.document import check_document

FILES = {"plan.json", "model.tflite", "node0.tflite", "node1.tflite"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "ds_cnn.tflite"
    path.parent.mkdir()
    path.write_bytes(write_model(tiny("ds_cnn")))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / "out"


def written(model: Path, out: Path, force: bool = False) -> dict[str, Any]:
    return rewrite(model, out, Wishes(2), force)


def test_everything_is_there_and_reads_back(model: Path, out: Path):
    document = written(model, out)
    assert set(contents(out)) == FILES
    assert (out / "model.tflite").read_bytes() == model.read_bytes()
    bundle = read_bundle(out)
    assert bundle.document == document == plan_of(out)
    assert [device.rank for device in bundle.devices] == [0, 1]
    assert [node.name for node in bundle.model.nodes] == [n.name for n in tiny("ds_cnn").nodes]
    for device in bundle.devices:
        assert set(device.steps.values()) <= {node.name for node in bundle.model.nodes}


def test_writing_again_gives_the_same_bytes(model: Path, out: Path):
    written(model, out)
    first = contents(out)
    written(model, out)
    assert contents(out) == first
    assert {path.name for path in out.parent.iterdir()} == {"out"}


def test_fewer_devices_leave_no_file_behind(model: Path, out: Path):
    rewrite(model, out, Wishes(4))
    written(model, out)
    assert set(contents(out)) == FILES


def test_folders_above_are_made(model: Path, out: Path):
    written(model, out / "a" / "b")
    assert set(contents(out / "a" / "b")) == FILES


class Interrupted(BaseException):
    """Not an Exception, as KeyboardInterrupt is not."""


@contextmanager
def failing_at(
    monkeypatch: pytest.MonkeyPatch, place: str, call: int, error: BaseException
) -> Iterator[list[str]]:
    """The n-th call of a function on something in the output fails."""
    module, name = place.rsplit(".", 1)
    owner = Path if module == "Path" else importlib.import_module(module)
    real: Callable[..., Any] = getattr(owner, name)
    seen: list[str] = []

    def wrapped(*arguments: Any, **more: Any) -> Any:
        seen.append(name)
        if len(seen) == call:
            raise error
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, wrapped)
        yield seen


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
FRESH = [
    *(("os.fsync", call) for call in (1, 4, 5)),
    *(("Path.open", call) for call in (1, 3)),
    ("Path.chmod", 1),
    ("tempfile.mkdtemp", 2),
]
OVER_ANOTHER = [*FRESH, ("os.walk", 1), ("tflsplit.bundle.replace.exchange", 1)]


@pytest.mark.parametrize("error", [NO_SPACE, Interrupted()], ids=["no space", "interrupted"])
@pytest.mark.parametrize(("place", "call"), OVER_ANOTHER)
def test_a_failure_at_any_step_leaves_the_old_folder_as_it_was(
    model: Path,
    out: Path,
    place: str,
    call: int,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
):
    rewrite(model, out, Wishes(3))
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    kind = PlanError if isinstance(error, OSError) else Interrupted
    with failing_at(monkeypatch, place, call, error) as seen, pytest.raises(kind) as caught:
        written(model, out)
    assert len(seen) >= call, "this step does not exist"
    assert contents(out) == before
    assert {path.name for path in out.parent.iterdir()} == {"out"}
    if kind is PlanError:
        assert str(caught.value) == f"cannot write {out}: No space left on device"


@pytest.mark.parametrize(("place", "call"), [*FRESH, ("Path.rename", 1)])
def test_a_failure_at_any_step_leaves_nothing_where_nothing_was(
    model: Path, out: Path, place: str, call: int, monkeypatch: pytest.MonkeyPatch
):
    with failing_at(monkeypatch, place, call, NO_SPACE), pytest.raises(PlanError):
        written(model, out)
    assert list(out.parent.iterdir()) == []


def test_a_model_that_is_refused_leaves_the_old_folder(model: Path, out: Path):
    written(model, out)
    before = contents(out)
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ModelError):
        written(model, out)
    assert contents(out) == before


def test_other_peoples_folders_are_not_replaced(model: Path, out: Path):
    out.mkdir()
    (out / "thesis.tex").write_text("all of it")
    with pytest.raises(PlanError, match=r"holds other things.* -o, or write beside them with --f"):
        written(model, out)
    assert set(contents(out)) == {"thesis.tex"}
    written(model, out, force=True)
    assert set(contents(out)) == {*FILES, "thesis.tex"}


@pytest.mark.parametrize("text", ["", "[]", '{"format": "terraform"}', "\x00"])
def test_a_plan_json_of_another_program_is_not_ours(model: Path, out: Path, text: str):
    out.mkdir()
    (out / "plan.json").write_text(text)
    with pytest.raises(PlanError, match="holds other things"):
        written(model, out)
    assert (out / "plan.json").read_text() == text


def test_a_file_in_the_way(model: Path, out: Path):
    out.write_text("a file")
    with pytest.raises(PlanError, match=r"is a file; name a folder with -o"):
        written(model, out)
    assert out.read_text() == "a file"


def test_an_empty_folder_is_taken(model: Path, out: Path):
    out.mkdir()
    written(model, out)
    assert set(contents(out)) == FILES


def test_a_folder_that_cannot_be_made(model: Path, out: Path):
    out.write_text("a file")
    with pytest.raises(PlanError, match=f"^cannot write {re.escape(str(out / 'sub'))}: "):
        written(model, out / "sub")


def test_a_folder_without_plan(tmp_path: Path):
    with pytest.raises(PlanError, match=r"holds no plan\.json; name a folder that `tflsplit"):
        read_bundle(tmp_path)
    with pytest.raises(PlanError, match=r"nowhere: no such folder; name one that `tflsplit"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(PlanError, match=r"m\.tflite is a model, not an output folder"):
        read_bundle(tmp_path / "m.tflite")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "out", "ds_cnn", 2)


@pytest.mark.parametrize("name", sorted(FILES - {"plan.json"}))
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(PlanError, match=re.escape(f"{folder / name}: no such file")):
        read_bundle(folder)


def test_files_of_different_outputs_cannot_be_mixed(folder: Path, tmp_path: Path):
    other = bundle_of(tmp_path / "other", "ds_cnn", 2, "rows")
    (folder / "node1.tflite").write_bytes((other / "node1.tflite").read_bytes())
    with pytest.raises(PlanError, match=r"node1\.tflite belongs to another plan or rank"):
        read_bundle(folder)


def test_files_of_different_ranks_cannot_be_swapped(folder: Path):
    (folder / "node1.tflite").write_bytes((folder / "node0.tflite").read_bytes())
    with pytest.raises(PlanError, match=r"node1\.tflite belongs .* 0/2, not .* 1/2"):
        read_bundle(folder)


def test_a_file_without_mark(folder: Path):
    (folder / "node1.tflite").write_bytes((folder / "model.tflite").read_bytes())
    with pytest.raises(PlanError, match="it has no mark"):
        read_bundle(folder)


def test_another_model(folder: Path):
    (folder / "model.tflite").write_bytes(write_model(tiny("resnet")))
    with pytest.raises(PlanError, match=r"is not the model that plan.json was made for"):
        read_bundle(folder)


def test_a_truncated_graph(folder: Path):
    path = folder / "node0.tflite"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises((ModelError, PlanError)):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[1, 2]", "is not a plan.json of tflsplit"),
        ('{"format": "tflsplit-plan", "version": 99}', "of version 99, this program reads 1"),
        (
            '{"format": "tflsplit-plan", "version": 1}',
            "is damaged: tflsplit_version is miss",
        ),
    ],
)
def test_a_plan_that_is_none(folder: Path, text: str, says: str):
    (folder / "plan.json").write_text(text)
    with pytest.raises(PlanError, match=says):
        read_bundle(folder)


def test_a_plan_that_is_not_even_text(folder: Path):
    (folder / "plan.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(PlanError, match="is not JSON"):
        read_bundle(folder)


def paths_in(item: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places to damage: every key, and the first and last entry of every list."""
    if path:
        yield path
    if isinstance(item, dict):
        for key in list(item)[:40]:
            yield from paths_in(item[key], (*path, key))
    elif isinstance(item, list) and item:
        for index in {0, len(item) - 1}:
            yield from paths_in(item[index], (*path, index))


def test_any_damage_to_the_plan_is_a_clear_error_or_none(folder: Path):
    """Every value removed, or replaced by something of another type."""
    original = (folder / "plan.json").read_text()
    replacements: list[Any] = [None, -1, [], {}]
    said = []
    for index, path in enumerate(paths_in(json.loads(original))):
        for replacement in ("x", replacements[index % 4]):
            document = json.loads(original)
            *above, last = path
            place = document
            for key in above:
                place = place[key]
            place[last] = replacement
            (folder / "plan.json").write_text(json.dumps(document))
            said.append(refusal(folder))
    assert all(str(folder) in text for text in said if text)
    assert len([text for text in said if text]) > 100


def refusal(folder: Path) -> str:
    """What reading the folder, and holding its plan to its graphs, refuse; "" if nothing."""
    try:
        bundle = read_bundle(folder)
    except (PlanError, ModelError) as error:
        return str(error)
    check_document(fold_constants(bundle.model), bundle.document, bundle.devices)
    return ""


@pytest.mark.parametrize("change", ["fewer", "reversed", "twice"])
def test_devices_must_be_those_of_the_ranks(folder: Path, change: str):
    def edit(document: dict[str, Any]) -> None:
        first, second = document["devices"]
        document["devices"] = {
            "fewer": [first],
            "reversed": [second, first],
            "twice": [first, second, second],
        }[change]

    rewrite_plan(folder, edit)
    with pytest.raises(PlanError, match=r"is damaged: devices are not those of ranks 0 to"):
        read_bundle(folder)


def test_every_tensor_that_crosses_the_border_must_be_known(folder: Path):
    def edit(document: dict[str, Any]) -> None:
        entry = document["devices"][0]
        del entry["tensors"][entry["inputs"][0]["name"]]

    rewrite_plan(folder, edit)
    with pytest.raises(PlanError, match=r"plan\.json does not know its tensor 'input_0'"):
        read_bundle(folder)


def test_boxes_have_the_shapes_of_the_graphs_tensors(folder: Path):
    def edit(document: dict[str, Any]) -> None:
        entry = document["devices"][1]["tensors"]
        name = next(name for name in entry if name not in ("input_0", "softmax_9"))
        entry[name][1] = [0, 1]

    rewrite_plan(folder, edit)
    with pytest.raises(PlanError, match=r"node1\.tflite: its tensor .* has shape .*, but by plan"):
        read_bundle(folder)


def test_what_goes_in_must_be_part_of_the_models_input(folder: Path):
    def edit(document: dict[str, Any]) -> None:
        document["inputs"][0]["shape"] = [1, 1]

    rewrite_plan(folder, edit)
    with pytest.raises(PlanError, match="is no part of the model's inputs, though plan"):
        read_bundle(folder)
