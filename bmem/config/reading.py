"""From a TOML file to a configuration, with every mistake in it told at once."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bmem.channels.section import mistakes, read_settings
from bmem.config.model import Config
from bmem.config.sections import ARRAYS, NuisanceSection
from bmem.errors import ConfigError


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file is missing or is not TOML, or a key is unknown, mistyped or contradicts another.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from error
    return _resolved(parse(content, str(path), path.parent), path.parent)


def parse(content: dict[str, Any], origin: str = "configuration", folder: Path | None = None) -> Config:
    """Check the ``content`` of a configuration; ``origin`` is named in errors, files of the channel are in a ``folder``.

    Raises:
        ConfigError: as ``load``.
    """
    problems = [f"{key}: is not a finite number" for key in _not_finite(content)]
    content, moved = _without_moved(content)
    problems += moved
    own = read_settings(content["channel"])[0] if isinstance(content.get("channel"), dict) else []
    problems += own
    try:
        # Strict: otherwise events = true would be one event. As JSON, because strict Python wants paths and tuples.
        text = json.dumps(content, default=str)
        config = Config.model_validate_json(text, strict=True, context={"folder": folder})
    except ValidationError as error:
        problems += [line for line in mistakes(error, content, _WITH_ALL) if not (own and line.startswith("channel: "))]
    if problems:
        raise ConfigError("\n  ".join([f"{origin}: {len(problems)} problem(s)", *problems]) + "\nAll keys: bmem keys")
    return config


_WITH_ALL = Config.model_construct(**{name: (entry,) for name, entry in ARRAYS.items()})  # type: ignore[arg-type]
"""A configuration with every section, to look up which keys each one has."""

MOVED = {
    "process": "in the section [channel]",
    "parametric": "the section [channel.parametric]",
    "pythia": "the section [channel.pythia]",
    "selection": "the section [channel.selection]",
    "simulation.response": "channel.response",
    "fit.couplings": 'fit.bases = ["couplings"]',
    "calibration.angles": "calibration.truths",
}
"""Keys of earlier configurations, and what they are now."""


def _without_moved(content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The content without keys of earlier configurations, and one line for each."""
    content, found = {k: dict(v) if isinstance(v, dict) else v for k, v in content.items()}, []
    for old, new in MOVED.items():
        section, _, key = old.partition(".")
        table = content if not key else content.get(section)
        if isinstance(table, dict) and (key or section) in table:
            del table[key or section]
            found.append(f"{old}: is now {new}")
    return content, found


def _not_finite(value: Any, key: str = "") -> Iterator[str]:
    """Dotted names of all numbers that are infinite or NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, inner in items:
        yield from _not_finite(inner, f"{key}.{name}".lstrip("."))


def _resolved(config: Config, folder: Path) -> Config:
    """Files of samples and of backgrounds relative to the folder of the configuration file."""

    def there(entry: Any) -> Any:
        return entry if entry.file is None else entry.model_copy(update={"file": folder / entry.file})

    files: dict[str, Any] = {name: tuple(map(there, getattr(config, name))) for name in ("sample", "background")}
    files["nuisance"] = tuple(_nuisance_beside(entry, folder) for entry in config.nuisance)
    return config.model_copy(update=files)


def _nuisance_beside(entry: NuisanceSection, folder: Path) -> NuisanceSection:
    """With the paths of files that are there; others may be names of what is installed."""
    paths = {key: folder / value for key, value in entry.own.items() if isinstance(value, str)}
    there = {key: str(path) for key, path in paths.items() if path.is_file()}
    return NuisanceSection(**{**entry.model_dump(), **there})
