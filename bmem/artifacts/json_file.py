"""Plain values as a JSON artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmem.artifacts import files


@dataclass(frozen=True)
class JsonFile:
    """Plain values, ready to be saved as an artifact of a ``kind``."""

    kind: str
    content: Mapping[str, Any]

    def save(self, path: Path, settings: Mapping[str, Any], parents: Mapping[str, Path]) -> files.Header:
        """Write them; a key or a number that JSON does not know is an error of the program."""
        text = json.dumps(self.content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

        def writer(temporary: Path) -> None:
            temporary.write_text(text, encoding="utf-8")

        return files.write(path, self.kind, writer, settings, parents)


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """The values of a ``JsonFile``.

    Raises:
        ArtifactError: it is missing, foreign, damaged or of a newer format.
    """
    files.verify(path, kind)
    return json.loads(path.read_text(encoding="utf-8"))
