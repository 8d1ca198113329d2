"""Pieces of long work: kept as they are finished, read if they were made alike, made anew if not."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bmem import artifacts
from bmem.artifacts import Blocks, Form, JsonFile, read_json
from bmem.errors import ArtifactError, ChunkError
from bmem.workers import Workers


def write(path: Path, piece: int, settings: Mapping[str, Any]) -> object:
    return JsonFile("square", {"value": piece}).save(path, settings, {})


FORM: Form[int] = Form(".json", write, lambda path: read_json(path, "square")["value"])


def square(number: int) -> int:
    if number < 0:
        raise ZeroDivisionError
    return number**2


class Never:
    def __call__(self, number: int) -> int:
        raise AssertionError(f"{number} is there already")


def squares(folder: Path, **settings: object) -> Blocks[int]:
    return Blocks(folder, settings, FORM, lambda number: f"square_{number}")


@pytest.mark.parametrize("workers", [None, Workers(ThreadPoolExecutor(2))], ids=["here", "threads"])
def test_pieces_are_made_once(workers: Workers | None, tmp_path: Path) -> None:
    assert dict(squares(tmp_path, seed=1).map(square, [3, 4], workers)) == {0: 9, 1: 16}
    found = list(squares(tmp_path, seed=1).map(square, [5, 4, 3], workers))
    assert found == [(1, 16), (2, 9), (0, 25)], "what is there comes first"
    assert list(squares(tmp_path, seed=1).map(Never(), [5, 4, 3])) == [(0, 25), (1, 16), (2, 9)]


def test_a_tuple_among_the_settings_is_recognised(tmp_path: Path) -> None:
    """JSON gives a list back: such a piece used to be made again at every call."""
    list(squares(tmp_path, angles=(0.0, 90.0)).map(square, [2]))
    assert list(squares(tmp_path, angles=(0.0, 90.0)).map(Never(), [2])) == [(0, 4)]


def test_pieces_of_other_settings_are_made_anew(tmp_path: Path) -> None:
    list(squares(tmp_path, seed=1).map(square, [2]))
    assert list(squares(tmp_path, seed=2).map(lambda number: -number, [2])) == [(0, -2)]
    assert artifacts.read_header(tmp_path / "square_2.json").settings == {"seed": 2, "chunk": "2"}


def test_a_header_may_tell_more(tmp_path: Path) -> None:
    form = Form(".json", lambda path, piece, settings: write(path, piece, {**settings, "lost": 3}), FORM.read)
    blocks = Blocks(tmp_path, {"seed": 1}, form, lambda number: f"square_{number}")
    list(blocks.map(square, [2]))
    assert list(blocks.map(Never(), [2])) == [(0, 4)]


def test_what_was_finished_is_kept_when_another_fails(tmp_path: Path) -> None:
    with pytest.raises(ChunkError, match=r"chunk 1 \(-1\)"):
        list(squares(tmp_path).map(square, [2, -1, 3]))
    assert [squares(tmp_path).there(number) for number in (2, -1, 3)] == [True, False, False]


def test_a_damaged_piece_is_named(tmp_path: Path) -> None:
    list(squares(tmp_path).map(square, [2]))
    (tmp_path / "square_2.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"square_2\.json: its checksum differs"):
        list(squares(tmp_path).map(square, [2]))
