# SPDX-License-Identifier: Apache-2.0
"""Only what tflsplit wrote, and nobody changed, is replaced: by ``rewrite`` and by ``firmware``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of, plan_of, rewrite_plan
from tests.splits import tiny
from tflsplit.bundle import read_bundle
from tflsplit.bundle.listing import read_listing
from tflsplit.bundle.replace import write_folder
from tflsplit.errors import PlanError
from tflsplit.firmware import FirmwareOptions, all_files, write_firmware
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.tflite import write_model

OPTIONS = FirmwareOptions(boards=("host",), tflm_dir=None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "autoencoder.tflite"
    path.write_bytes(write_model(tiny("autoencoder")))
    return path


@pytest.fixture
def out(tmp_path: Path, model: Path) -> Path:
    folder = tmp_path / "here" / "out"
    again(model, folder)
    return folder


def again(model: Path, folder: Path, world_size: int = 2, force: bool = False) -> None:
    def firmware(document: dict[str, Any], devices: Any) -> dict[str, bytes]:
        return all_files(document, devices, OPTIONS)

    rewrite(model, folder, Wishes(world_size), force, extra=firmware)


def everything(folder: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
        elif path.is_dir() and not any(path.iterdir()):
            found[name + "/"] = ""
    return found


def test_every_file_is_listed_and_unchanged(out: Path):
    listing = read_listing(out)
    assert listing is not None
    assert set(listing.files) == set(everything(out))
    assert "firmware/node1/config.h" in listing.files
    assert listing.changed == ()
    assert plan_of(out)["files"] == listing.files


def test_what_else_lies_there_stays(model: Path, out: Path):
    (out / "notes.txt").write_text("mine")
    (out / "runs").mkdir()
    (out / "runs" / "1.json").write_text("{}")
    (out / "firmware" / "node0" / "patch.diff").write_text("-")
    (out / "empty").mkdir(mode=0o700)
    (out / "link").symlink_to("nowhere")
    (out / "runs" / "sub").mkdir()
    os.link(out / "notes.txt", out / "runs" / "sub" / "same")
    mine = {name: content for name, content in everything(out).items() if not_listed(out, name)}
    again(model, out, world_size=3)
    after = everything(out)
    assert {name: after[name] for name in mine} == mine
    assert len(mine) == 6
    assert "node2.tflite" in after
    again(model, out, world_size=2, force=True)
    after = everything(out)
    assert {name: after[name] for name in mine} == mine
    assert "node2.tflite" not in after
    assert {path.name for path in out.parent.iterdir()} == {"out"}


def not_listed(folder: Path, name: str) -> bool:
    return name not in plan_of(folder)["files"]


def edit_text(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def edit_plan(path: Path) -> None:
    rewrite_plan(path.parent, lambda document: document["layers"][0].update(reason="I said so"))


def become_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


CHANGES: dict[str, Callable[[Path], None]] = {
    "node0.tflite": edit_text,
    "plan.json": edit_plan,
    "firmware/node1/config.h": edit_text,
    "model.tflite": become_link,
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_named_and_stays(name: str, model: Path, out: Path):
    CHANGES[name](out / name)
    before = everything(out)
    with pytest.raises(PlanError, match=f"{name} changed since tflsplit wrote it.*--force"):
        again(model, out)
    assert everything(out) == before
    again(model, out, force=True)
    assert everything(out)[name] != before[name]
    assert read_listing(out).changed == ()  # type: ignore[union-attr]


def test_a_plan_that_was_only_laid_out_anew_is_not_changed(model: Path, out: Path):
    rewrite_plan(out, lambda document: None)
    again(model, out)


@pytest.mark.parametrize("force", [False, True])
def test_nothing_of_others_is_replaced_by_a_file(force: bool, model: Path, out: Path):
    (out / "node2.tflite").write_text("not yours")
    before = everything(out)
    with pytest.raises(PlanError, match=r"tflsplit did not write node2\.tflite, and would have"):
        again(model, out, 3, force)
    assert everything(out) == before
    again(model, out, 2, force)


@pytest.mark.parametrize("force", [False, True])
def test_nor_by_a_folder(force: bool, model: Path, out: Path):
    shutil.rmtree(out / "firmware")
    (out / "firmware").write_text("not yours")
    with pytest.raises(PlanError, match="tflsplit did not write firmware, and would have"):
        again(model, out, 2, force)
    assert (out / "firmware").read_text() == "not yours"


def test_nor_a_folder_by_a_file(model: Path, out: Path):
    (out / "node0.tflite").unlink()
    (out / "node0.tflite").mkdir()
    (out / "node0.tflite" / "thesis.tex").write_text("all of it")
    with pytest.raises(PlanError, match=r"node0\.tflite/thesis\.tex"):
        again(model, out, 2, True)
    assert (out / "node0.tflite" / "thesis.tex").read_text() == "all of it"


@pytest.mark.parametrize("force", [False, True])
def test_a_repository_is_never_written_into(force: bool, model: Path, out: Path):
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("ref: refs/heads/main")
    before = everything(out)
    with pytest.raises(PlanError, match=r"holds \.git; tflsplit does not write into the top of a"):
        again(model, out, 3, force)
    assert everything(out) == before


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_never_replaced_by_a_folder(force: bool, model: Path, tmp_path: Path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(PlanError, match=r"is a file; name a folder with -o"):
        again(model, tmp_path / "out", 2, force)
    assert (tmp_path / "out").read_text() == "a file"


def test_a_link_to_a_folder_stays_one(model: Path, out: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(out)
    again(model, tmp_path / "link", 3)
    assert (tmp_path / "link").is_symlink()
    assert (out / "node2.tflite").is_file()


def test_an_output_that_does_not_list_its_files_needs_force(model: Path, out: Path):
    rewrite_plan(out, lambda document: document.pop("files"))
    shutil.rmtree(out / "tflm_app")  # what has been written since files are listed
    for name in ("platformio.ini", ".gitignore", "firmware/node0/application.h"):
        (out / name).unlink()
    (out / "notes.txt").write_text("mine")
    before = everything(out)
    with pytest.raises(PlanError, match="changed since tflsplit wrote it"):
        again(model, out)
    assert everything(out) == before
    again(model, out, force=True)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["../victim", "/victim", "a/../../victim"])
def test_a_list_reaches_nothing_outside(name: str, model: Path, out: Path):
    victim = out.parent / "victim"
    victim.write_text("x")
    rewrite_plan(out, lambda document: document["files"].update({name: "0" * 64}))
    again(model, out, force=True)
    assert victim.read_text() == "x"


def test_a_place_that_cannot_be_written_is_noticed_before_anything_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Even before the model is read: there is none."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PlanError, match=r"cannot write .*file/out: Not a directory"):
        rewrite(tmp_path / "none.tflite", tmp_path / "file" / "out", Wishes(2))


def test_firmware_replaces_its_own_files_only(tmp_path: Path):
    folder = bundle_of(tmp_path / "out", "autoencoder", 2)
    (folder / "notes.txt").write_text("mine")
    graphs = {name: content for name, content in everything(folder).items() if "plan" not in name}
    write_firmware(folder, OPTIONS)
    write_firmware(folder, FirmwareOptions(boards=("mps2_an500",), tflm_dir=None))
    (folder / "firmware" / "node0" / "notes.txt").write_text("mine too")
    edit_text(folder / "firmware" / "node1" / "config.h")
    with pytest.raises(PlanError, match=r"firmware/node1/config\.h changed since tflsplit wrote"):
        write_firmware(folder, OPTIONS)
    edit_text(folder / "node0.tflite")
    graphs["node0.tflite"] = (folder / "node0.tflite").read_bytes()
    write_firmware(folder, OPTIONS, force=True)
    after = everything(folder)
    assert {name: after[name] for name in graphs} == graphs
    assert after["firmware/node0/notes.txt"] == b"mine too"
    assert read_listing(folder).changed == ("node0.tflite",)  # type: ignore[union-attr]


def test_a_plan_that_was_edited_stays_known_as_edited(tmp_path: Path):
    folder = bundle_of(tmp_path / "out", "autoencoder", 2)
    edit_plan(folder / "plan.json")
    write_firmware(folder, OPTIONS)
    assert read_bundle(folder).document["layers"][0]["reason"] == "I said so"
    assert read_listing(folder).changed == ("plan.json",)  # type: ignore[union-attr]


def test_folders_without_hard_links_get_copies(
    model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*arguments: object, **more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    (out / "notes.txt").write_text("mine")
    (out / "link").symlink_to("nowhere")
    monkeypatch.setattr("tflsplit.bundle.replace.os.link", refused)
    again(model, out, 3)
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "link").is_symlink()


def test_other_folders_beside_it_are_not_taken_for_leftovers(tmp_path: Path):
    names = [".out.old", ".out.abcdefgh", ".out.tflsplit-short", ".out.tflsplit-abcdefgh-not"]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / ".out.tflsplit-abcdefgh").write_text("a file")
    left = tmp_path / ".out.tflsplit-12345678"
    left.mkdir()
    (left / "node0.tflite").write_text("half")
    write_folder(tmp_path / "out", {"a": b"1"}, set())
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {*names, ".out.tflsplit-abcdefgh", "out"}
