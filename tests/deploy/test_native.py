# SPDX-License-Identifier: Apache-2.0
"""Blank boards, as programs of this computer: found, planned for, deployed to, run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of
from tests.native import needs_cxx, needs_wheel_reader
from tests.splits import tiny
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.cli.deploy_model import compare
from tflsplit.deploy.deployer import Deployer, Progress
from tflsplit.deploy.deploying import Deployers, deploy_images, prepare_images, prepare_teams
from tflsplit.deploy.explore import explore
from tflsplit.deploy.messages import Commit
from tflsplit.deploy.survey import BoardFlags, BoardState
from tflsplit.deploy.words import remarks, topology_words
from tflsplit.emulate.blank import Port, blank_boards, blank_cluster, blank_wires
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.native_build import build_generic
from tflsplit.emulate.wiring import HOST, HOST_LINK, Wire
from tflsplit.emulate.wiring import Port as End
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.firmware.remembered import remembered_options
from tflsplit.host import open_port
from tflsplit.host.ports import Stream
from tflsplit.serving import Event, serve
from tflsplit.tflite import write_model

pytestmark = [needs_wheel_reader, needs_cxx]

Json = dict[str, Any]
KEY = "a key of the user"
ON_THIS_COMPUTER = FirmwareOptions(boards=("host",))


def folder_of(to: Path, name: str, world_size: int) -> Path:
    """A plan for boards that are this computer's."""
    folder = bundle_of(to, name, world_size)
    write_firmware(folder, ON_THIS_COMPUTER)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="module")
def ds_cnn(folder: Path) -> Path:
    return folder_of(folder / "ds_cnn", "ds_cnn", 8)


@pytest.fixture(scope="module")
def resnet(folder: Path) -> Path:
    return folder_of(folder / "resnet", "resnet", 8)


@pytest.fixture(scope="module")
def three(folder: Path) -> Path:
    return folder_of(folder / "three", "ds_cnn", 3)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[str]:
    """Of eight blank boards in a ring, the same for all tests of this module."""
    boards = blank_boards(build_generic(), 8, folder)
    with blank_cluster(boards, "ring") as cluster, Port(cluster.host_sockets[0]) as one:
        yield one.url


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Json:
    """What a command prints with --json; it must go well."""
    capsys.readouterr()
    code = main([*words, "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    document: Json = json.loads(out)
    return document


def test_blank_boards_take_one_network_and_then_another(
    port: str, ds_cnn: Path, resnet: Path, capsys: pytest.CaptureFixture[str]
):
    found = said(capsys, "discover", "--port", port)
    assert found["topology"] == "a ring of 8 boards"
    assert [board["state"] for board in found["boards"]] == ["blank"] * 8

    first = said(capsys, "deploy", str(ds_cnn), "--port", port, "--runs", "1")
    assert first["compared"]["differing"] == 0
    assert all(one["sent_bytes"] == one["image_bytes"] > 0 for one in first["ranks"])
    found = said(capsys, "discover", "--port", port)
    assert [board["rank"] for board in found["boards"]] == list(range(8))
    assert {board["fingerprint"] for board in found["boards"]} == {first["fingerprint"]}

    second = said(capsys, "deploy", str(resnet), "--port", port, "--runs", "1")
    assert second["compared"]["differing"] == 0
    assert all(one["sent_bytes"] for one in second["ranks"])
    again = said(capsys, "deploy", str(ds_cnn), "--port", port, "--runs", "1")
    assert again["compared"]["differing"] == 0
    assert not any(one["sent_bytes"] for one in again["ranks"])  # the other slot has it
    assert again["deployment"] == first["deployment"]
    ran = said(capsys, "cluster", str(ds_cnn), "--port", port, *inputs_of(ds_cnn))
    assert ran["repeated"] == 0


def inputs_of(folder: Path) -> list[str]:
    """A file of zeros for its input."""
    import numpy as np

    (value,) = read_bundle(folder).model.inputs
    np.save(folder / "input.npy", np.zeros(value.shape, value.dtype.numpy))
    return ["--input", str(folder / "input.npy")]


def test_one_command_from_a_model_to_running_boards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model, to = tmp_path / "resnet.tflite", tmp_path / "planned"
    model.write_bytes(write_model(tiny("resnet")))
    boards = blank_boards(build_generic(), 3, tmp_path)
    with blank_cluster(boards, "ring") as cluster, Port(cluster.host_sockets[0]) as port:
        words = ["deploy", str(model), "-o", str(to), "--objective", "ram", "--port", port.url]
        assert main(words) == 0
    out, err = capsys.readouterr()
    assert "the same bits as the unsplit model on tflm" in out
    assert "boards of a ring of 3 boards" in err
    assert read_bundle(to).document["world_size"] > 1


def test_a_ring_for_fewer_boards_is_deployed_to_a_line(
    port: str, three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    mine = shutil.copytree(three, tmp_path / "three")
    assert main(["deploy", str(mine), "--port", port, "--runs", "1"]) == 0
    out, err = capsys.readouterr()
    assert "deployed to 3 of a ring of 8 boards" in out
    assert "is for that from now on" in err
    assert json.loads((mine / "firmware.json").read_text())["topology"] == "line"


def test_plan_for_other_boards_is_refused(
    port: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    other = bundle_of(folder / "teensy", "ds_cnn", 8)
    assert main(["deploy", str(other), "--port", port]) == 2
    err = capsys.readouterr().err
    assert "rank 0 is planned for teensy41, board A is host" in err
    assert "--board host" in err
    assert main(["deploy", str(other), "--objective", "ram", "--port", port]) == 2
    assert "are for a model, not for a folder" in capsys.readouterr().err


@contextmanager
def blank_ring(
    folder: Path, count: int, wires: Sequence[Wire] | None = None, **more: int
) -> Iterator[tuple[Cluster, Stream]]:
    """Pluggable boards, and the stream of their port."""
    boards = blank_boards(build_generic(), count, folder, **more)
    with (
        blank_cluster(boards, "ring", wires, pluggable=True) as cluster,
        Port(cluster.host_sockets[0]) as port,
    ):
        stream = open_port(port.url)
        yield cluster, stream
        stream.close()


def test_swapped_cables_simply_work(three: Path, tmp_path: Path):
    wires = (
        Wire(End(0, 1), End(1, 1)), Wire(End(1, 0), End(2, 2)), Wire(End(2, 1), End(0, 0)),
        Wire(End(0, HOST_LINK), HOST),
    )  # fmt: skip
    with blank_ring(tmp_path, 3, wires) as (_, stream):
        wiring = explore([stream])[1]
        assert topology_words(wiring) == "a ring of 3 boards"
        assert len(list(remarks(wiring))) == 1
        deployed(stream, three)
        assert compare(read_bundle(three), [[stream]], 1).differing == 0


@contextmanager
def blank_ports(
    folder: Path, count: int, teams: int = 1, direct: bool = False
) -> Iterator[list[str]]:
    """Words that name the ports of so many boards."""
    boards = blank_boards(build_generic(), count * teams, folder)
    wires = blank_wires(count, "ring", teams, direct)
    with blank_cluster(boards, "ring", wires) as cluster, ExitStack() as stack:
        ports = [stack.enter_context(Port(end)) for end in cluster.host_sockets]
        yield [word for port in ports for word in ("--port", port.url)]


def planned(folder: Path, name: str, *words: str) -> Path:
    """What ``rewrite`` makes of a small network for boards that are this computer's."""
    model, to = folder / f"{name}.tflite", folder / "planned"
    model.write_bytes(write_model(tiny(name)))
    command = ["rewrite", str(model), "--board", "host", "-o", str(to), "-q", *words]
    assert main(command) == 0
    return to


def test_direct_input_goes_by_every_boards_own_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    to = bundle_of(tmp_path / "direct", "ds_cnn", 3)
    write_firmware(to, replace(ON_THIS_COMPUTER, direct=True))
    with blank_ports(tmp_path, 3, direct=True) as ports:
        done = said(capsys, "deploy", str(to), *ports[2:], *ports[:2], "--runs", "1")
        # Rank 0 is at the port that is named first.
        assert done["ports"] == [ports[3], ports[5], ports[1]]
        assert done["compared"]["differing"] == 0
        ran = said(capsys, "cluster", str(to), *ports, *inputs_of(to))
        assert ran["repeated"] == 0
        # Without a port at each of them nothing is changed, and they go back to their plan.
        assert main(["deploy", str(to), *ports[:2]]) == 2
        assert "rank 1 (board B), rank 2 (board C) have none here" in capsys.readouterr().err
        assert said(capsys, "cluster", str(to), *ports, *inputs_of(to))["repeated"] == 0


def test_teams_get_their_plan_each_by_its_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    to = planned(tmp_path, "resnet", "-n", "3", "--objective", "throughput")
    with blank_ports(tmp_path, 1, teams=2) as ports:
        done = said(capsys, "deploy", str(to), *ports, "--runs", "1")
        assert [team["port"] for team in done["teams"]] == ports[1::2]
        assert [[one["board"] for one in team["ranks"]] for team in done["teams"]] == [["A"], ["B"]]
        assert done["compared"]["differing"] == 0
        assert main(["deploy", str(to), *ports, "--runs", "1"]) == 0
        out, err = capsys.readouterr()
        assert "there are boards and ports for 2 of the 3 teams" in err
        assert "team 1: deployed to" in out
        assert f"{' '.join(ports)} --input" in out.replace("\n", " ")
        ran = said(capsys, "cluster", str(to), *ports, *inputs_of(to), "--loop", "4")
        assert sum(ran["teams"]) == 4


class HadEnoughError(Exception):
    pass


def test_no_team_takes_a_plan_that_another_one_does_not_get(tmp_path: Path):
    to = planned(tmp_path, "resnet", "-n", "2", "--objective", "throughput")
    bundle = read_bundle(to)
    with blank_ports(tmp_path, 1, teams=2) as ports, ExitStack() as stack:
        streams = [open_port(url) for url in ports[1::2]]
        for stream in streams:
            stack.callback(stream.close)
        surveyor, wiring = explore(streams)
        teams = prepare_teams(bundle, remembered_options(bundle, ()), wiring, 2)
        both = Deployers(teams, surveyor, streams, wiring)
        both.prepare(0)
        with pytest.raises(HadEnoughError):
            both.prepare(1, stops_at(0, rank=0))
        found = [one.identity for one in explore(streams)[1].boards]
        assert [one.state for one in found] == [BoardState.BLANK] * 2
        assert found[0].flags & BoardFlags.IS_PREPARED


def test_deployment_that_ends_half_way_leaves_all_as_they_were(three: Path, tmp_path: Path):
    """All or none, whoever loses power then; the next deployment goes through."""
    new = folder_of(tmp_path / "new", "resnet", 3)
    with blank_ring(tmp_path, 3) as (cluster, stream):
        deployed(stream, three)
        with pytest.raises(HadEnoughError):
            deployed(stream, new, stops_at(4096))
        cluster.restart(2)
        wiring = explore([stream])[1]
        wanted = bytes.fromhex(read_bundle(three).document["fingerprint"])
        assert [one.identity.fingerprint for one in wiring.boards] == [wanted] * 3
        deployed(stream, new)
        assert compare(read_bundle(new), [[stream]], 1).differing == 0


def stops_at(sent_bytes: int, rank: int = 2) -> Progress:
    """A user who presses Ctrl-C when so much of a rank's image has left."""

    def progress(one: int, sent: int) -> None:
        if one == rank and sent >= sent_bytes:
            raise HadEnoughError

    return progress


def test_deployment_that_ends_between_two_commits_is_completed_by_the_next(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Some hold the new plan, the others have it prepared, and all lose power: nothing is sent."""
    with blank_ring(tmp_path, 3) as (cluster, stream):

        def only_one(self: Deployer, ranks: list[int], now: float) -> None:
            if ranks != [0, 1, 2]:
                raise HadEnoughError
            self._session.send(self._due([1], now), Commit(self._id))

        with monkeypatch.context() as patch:
            patch.setattr(Deployer, "_commit", only_one)
            with pytest.raises(HadEnoughError):
                deployed(stream, three)
        for board in range(3):
            cluster.restart(board)
        flags = [one.identity.flags for one in explore([stream])[1].boards]
        assert [bool(one & BoardFlags.IS_PREPARED) for one in flags] == [True, False, True]
        sent: list[int] = []
        deployed(stream, three, lambda rank, done: sent.append(done))
        assert len(sent) == 3  # that each has it
        assert compare(read_bundle(three), [[stream]], 1).differing == 0


def test_boards_with_a_key_take_plans_with_it_only(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    right, wrong = tmp_path / "right.key", tmp_path / "wrong.key"
    right.write_text(f"{KEY}\n")
    wrong.write_text("another")
    boards = blank_boards(build_generic(key=KEY), 3, tmp_path)
    with blank_cluster(boards, "ring") as cluster, Port(cluster.host_sockets[0]) as port:
        words = ["deploy", str(three), "--port", port.url]
        assert main(words) == 2
        assert "only with their key: give its file with --key" in capsys.readouterr().err
        assert main([*words, "--key", str(wrong)]) == 2
        assert "plans only with its key, which is another than this" in capsys.readouterr().err
        events: list[Event] = []
        with pytest.raises(ClusterError, match="which is another than this"):
            serve(three, port.url, key=b"another", on_event=events.append)
        assert [event.kind for event in events] == ["deploying"]  # no second try
        assert main([*words, "--key", str(right), "--runs", "1"]) == 0


def nothing_shown(rank: int, sent: int) -> None:
    pass


def deployed(stream: Stream, folder: Path, progress: Progress = nothing_shown) -> None:
    surveyor, wiring = explore([stream])
    bundle = read_bundle(folder)
    prepared = prepare_images(bundle, remembered_options(bundle, ()), wiring)
    deploy_images(prepared, surveyor, [stream], wiring, None, progress)
