"""Finished pieces of long work in a folder of the cache, so that a killed command goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from bmem.artifacts import files
from bmem.artifacts.json_file import JsonFile, read_json
from bmem.workers import Workers, map_chunks

Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Form(Generic[Piece]):
    """How a piece is kept: the ``suffix`` of its file, how it is written (path, piece, settings) and read."""

    suffix: str
    write: Callable[[Path, Piece, Mapping[str, Any]], object]
    read: Callable[[Path], Piece]

    @classmethod
    def json(cls, kind: str, record: Any) -> Form[Piece]:
        """That of a ``record`` class with ``to_dict`` and ``from_dict``."""

        def write(path: Path, piece: Any, settings: Mapping[str, Any]) -> object:
            return JsonFile(kind, piece.to_dict()).save(path, settings, {})

        return cls(".json", write, lambda path: record.from_dict(read_json(path, kind)))


@dataclass(frozen=True)
class Blocks(Generic[Piece]):
    """The pieces of one long work in a ``folder``: those that are there and were made alike are read, the others are made.

    A piece was made alike if its header tells the same ``settings``, which are all that decides the numbers, and the same
    chunk, as ``str`` names it; it may tell more. Any other piece is made anew and replaced: no artifact is lost by that.
    """

    folder: Path
    settings: Mapping[str, Any]
    form: Form[Piece]
    name: Callable[[Any], str] = str
    """Chunk → the name of its file, without the suffix."""

    def map(
        self, function: Callable[[Any], Piece], chunks: Iterable[Any], workers: Workers | None = None
    ) -> Iterator[tuple[int, Piece]]:
        """As ``map_chunks``: (number of the chunk, its piece), first what is there, then the others as they are finished.

        Raises:
            ArtifactError: a piece is damaged or cannot be written.
            ChunkError: one cannot be made; those that were finished are kept.
        """
        missing = []
        for number, chunk in enumerate(chunks):
            if self.there(chunk):
                yield number, self.form.read(self.path(chunk))
            else:
                missing.append((number, chunk))
        for index, piece in map_chunks(function, [chunk for _, chunk in missing], workers):
            number, chunk = missing[index]
            self.form.write(self.path(chunk), piece, self._told(chunk))
            yield number, piece

    def path(self, chunk: Any) -> Path:
        """The file of the piece of a chunk."""
        return self.folder / f"{self.name(chunk)}{self.form.suffix}"

    def there(self, chunk: Any) -> bool:
        """Whether the piece of a chunk is there and was made alike."""
        path = self.path(chunk)
        if not files.exists(path):
            return False
        header, told = files.read_header(path).settings, self._told(chunk)
        return {key: header.get(key) for key in told} == told

    def _told(self, chunk: Any) -> dict[str, Any]:
        """The settings in the header of a piece, as they come back from it."""
        return json.loads(json.dumps({**self.settings, "chunk": str(chunk)}))
