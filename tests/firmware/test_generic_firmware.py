# SPDX-License-Identifier: Apache-2.0
"""The generic firmware: its operators, its environments, and a store in every port."""

import configparser

import pytest

from tflsplit.cluster.banks import without_chip
from tflsplit.emulate.generic_build import generic_project
from tflsplit.firmware.boards import BOARDS, REGISTRY_TFLM, board_named
from tflsplit.firmware.places import device_sources
from tflsplit.firmware.project_files import config, project_files
from tflsplit.firmware.resolver import ALL_OPERATORS, CUSTOM, all_operators_header, method_of
from tflsplit.tflite.support import TFLM_BUILTINS

NEVER_ON_A_DEVICE = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE"}


def test_the_header_is_what_the_table_gives():
    """To make it again: write ``all_operators_header()`` to ``tflm_app/ALL_OPERATORS``."""
    assert (device_sources() / ALL_OPERATORS).read_text() == all_operators_header()


def test_it_has_every_operator_but_those_that_need_what_no_device_graph_has():
    header = all_operators_header()
    for op in TFLM_BUILTINS:
        assert (f"resolver.{method_of(op)}()" in header) == (op not in NEVER_ON_A_DEVICE), op
    assert all(function in header for _, function in CUSTOM.values())


def sections_of(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_every_board_of_ours_has_an_environment_of_it():
    sections = sections_of((device_sources().parent / "platformio.ini").read_text())
    for name, board in BOARDS.items():
        if name != without_chip(name):
            continue  # the firmware without a model has no use for the chip
        env = sections[f"env:generic_{board.section}"]
        assert env["extends"] == f"board:{board.section}, generic"
        assert env["custom_generic_board"] == name
        assert (REGISTRY_TFLM in env.get("lib_deps", "")) == board.is_of_registry
        flags = env.get("build_flags", "").split()
        if board.baud is not None and name != "host":
            assert f"-DSPLIT_PORT_BAUD={board.baud}" in flags  # what a plan for it has
        assert ("-DTFLSPLIT_REGISTRY_TFLM" in flags) == board.is_of_registry
    assert sections["generic"]["build_src_filter"] == "-<*> +<generic.cc>"


@pytest.mark.parametrize(
    ("boards", "wanted"),
    [
        (["mps2_an500"] * 2, {"generic": "mps2_an500"}),
        (["stm32f405", "rp2040"], {"generic_stm32f405": "stm32f405", "generic_rp2040": "rp2040"}),
        (["teensy41", "rp2040"], {"generic_teensy41": "teensy41", "generic_rp2040": "rp2040"}),
        (["teensy41"] * 2, {"generic": "teensy41"}),
    ],
)
def test_a_project_has_one_for_each_kind_and_builds_it_when_asked(
    boards: list[str], wanted: dict[str, str]
):
    text = config("a model", [board_named(name) for name in boards])
    sections = sections_of(text)
    found = {
        name.removeprefix("env:"): section["custom_generic_board"]
        for name, section in sections.items()
        if "custom_generic_board" in section
    }
    assert found == wanted
    assert sections["platformio"]["default_envs"] == "node0, node1"
    for name in wanted:
        assert set(sections[f"env:{name}"]["extends"].split(", ")) <= sections.keys()
    assert "tflsplit deploy" in text
    files = project_files("a model", [board_named(name) for name in boards])
    assert "tflm_app/src/generic.cc" in files


def test_every_port_has_a_store():
    for port in sorted((device_sources() / "ports").iterdir()):
        if port.name != "cortex_m":
            assert "Store* store()" in (port / "src" / "store.cc").read_text(), port.name


@pytest.mark.parametrize(
    "kinds",
    [
        {"generic_mps3_an547": "mps3_an547"},
        {"generic_mps2_an500": "mps2_an500", "generic_mps3_an547": "mps3_an547"},
        {"generic_stm32f405_ram": "stm32f405"},
    ],
    ids=" ".join,
)
def test_blank_boards_are_built_in_a_project_that_knows_no_plan(kinds: dict[str, str]):
    """PlatformIO refuses a project that would build by default what it does not have."""
    names = list(kinds.values())
    files = generic_project([board_named(name) for name in names], list(kinds))
    sections = sections_of(files["platformio.ini"].decode())
    assert sections["platformio"]["default_envs"].split(", ") == list(kinds)
    for environment, board in kinds.items():
        assert sections[f"env:{environment}"]["custom_generic_board"] == board
