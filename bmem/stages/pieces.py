"""Finished pieces of a long computation in a folder of the cache, so that a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bmem import artifacts
from bmem.calibration.record import JsonRecord
from bmem.stages.run import Run

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

    def record(self, name: str, of: type[Record], make: Callable[[], Record]) -> Record:
        """The piece ``name``, read if it is there, made and kept otherwise.

        Raises:
            ArtifactError: it is damaged.
        """
        path = self.folder / f"{name}.json"
        if self.there(path):
            return of.from_dict(self.run.load_json(path, self.kind))
        piece = make()
        self.run.save_json(path, self.kind, piece.to_dict(), self.settings, {})
        return piece
