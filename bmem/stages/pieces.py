"""Finished pieces of a long computation in a folder of the cache, so that a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bmem import artifacts
from bmem.calibration.record import JsonRecord
from bmem.stages.run import Report, Run
from bmem.workers import map_chunks

Record = TypeVar("Record", bound=JsonRecord)


@dataclass(frozen=True)
class Pieces:
    """Pieces of an artifact of ``kind`` in a ``folder``; those that were made with other ``settings`` are made anew."""

    run: Run
    folder: Path
    kind: str
    settings: Mapping[str, Any]

    def there(self, path: Path) -> bool:
        """Whether a piece is there and was made with these settings."""
        return artifacts.exists(path) and artifacts.read_header(path).settings == self.settings

    def records(
        self, chunks: Mapping[str, Any], of: type[Record], make: Callable[[Any], Record], progress: Report | None = None
    ) -> list[Record]:
        """The pieces of these names: read if they are there, otherwise made of their chunks (by the workers) and kept.

        Raises:
            ArtifactError: one is damaged.
        """
        found = {name: self._read(name, of) for name in chunks if self.there(self._path(name))}
        missing = [name for name in chunks if name not in found]
        for number, piece in map_chunks(make, [chunks[name] for name in missing], self.run.workers):
            self.run.save_json(self._path(missing[number]), self.kind, piece.to_dict(), self.settings, {})
            found[missing[number]] = piece
            if progress is not None:
                progress(len(found), len(chunks))
        return [found[name] for name in chunks]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _read(self, name: str, of: type[Record]) -> Record:
        return of.from_dict(self.run.load_json(self._path(name), self.kind))
