# SPDX-License-Identifier: Apache-2.0
"""The picture of a session in the README: what is drawn, and that it is there."""

from pathlib import Path

from docs.make_session import BOARDS, MODEL, PICTURE, picture


def test_a_terminal_is_drawn_without_asking_anybody_for_a_font():
    drawn = picture("\x1b[1m$ tflsplit discover\x1b[0m\na ring of <8> boards\n")
    assert drawn.startswith("<svg")
    assert "tflsplit&#160;discover" in drawn
    assert "&lt;8&gt;" in drawn
    assert "@font-face" not in drawn
    assert "url(http" not in drawn


def test_the_picture_is_of_this_session():
    drawn = PICTURE.read_text().replace("&#160;", " ")
    assert f"a ring of {BOARDS} boards" in drawn
    assert f"tflsplit deploy {MODEL}" in drawn
    assert "the same bits as the unsplit model" in drawn
    assert f"docs/{PICTURE.name}" in (Path(__file__).parents[2] / "README.md").read_text()
