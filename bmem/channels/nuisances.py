"""The nuisance parameters of a configuration: each of a kind that the channel offers, with the settings of that kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from bmem import artifacts
from bmem.channels.section import mistakes, names_of, table_of
from bmem.errors import ConfigError, InputError
from bmem.wording import meant

if TYPE_CHECKING:
    from bmem.channels.contract import Channel
    from bmem.likelihood.nuisances import Nuisance, Nuisances
    from bmem.simulation.contract import Response


class NuisanceKind(Protocol):
    """Settings of a kind of nuisance parameter, a frozen dataclass: they make it for a channel.

    A kind of the detector makes a ``Nuisance`` without theory; the channel's ``varied_response`` then applies it.
    """

    def make(self, name: str, channel: Channel) -> Nuisance:
        """The nuisance parameter ``name``."""
        ...


class Stated(Protocol):
    """A nuisance parameter as a configuration states it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def error(self) -> float: ...
    @property
    def own(self) -> dict[str, Any]: ...


def kinds_of(channel: Channel) -> Mapping[str, type]:
    """The kinds that a channel offers, by name."""
    return getattr(channel, "nuisances", {})


def read_kind(stated: Stated, channel: Channel) -> tuple[list[str], Any]:
    """The problems of a stated nuisance parameter, and the settings of its kind if there are none."""
    place, kinds = f"[[nuisance]] {stated.name}", kinds_of(channel)
    if stated.kind not in kinds:
        offered = f"it offers {', '.join(kinds)}" if kinds else "it offers none"
        return [f"{place}: the channel has no kind {stated.kind!r}{meant(stated.kind, kinds)}; {offered}"], None
    kind = kinds[stated.kind]
    known = names_of(kind)
    problems = [f"{place}: {key}: is no key of {stated.kind}{meant(key, known)}" for key in stated.own if key not in known]
    try:
        text = json.dumps({"channel": {k: v for k, v in stated.own.items() if k in known}}, default=str)
        read = table_of(kind).model_validate_json(text, strict=True)
    except (ValidationError, ConfigError) as error:
        lines = mistakes(error, {}, None) if isinstance(error, ValidationError) else str(error).splitlines()
        return problems + [f"{place}: {line.removeprefix('channel.').removeprefix('channel: ')}" for line in lines], None
    return problems, read.channel  # type: ignore[attr-defined]


def make_nuisances(stated: Sequence[Stated], channel: Channel) -> Nuisances:
    """The nuisance parameters of a configuration.

    Raises:
        ConfigError: a kind is unknown or has wrong settings, or cannot be made (a grid is not there).
    """
    from dataclasses import replace

    from bmem.likelihood.nuisances import Nuisances

    found = []
    for one in stated:
        problems, settings = read_kind(one, channel)
        if problems:
            raise ConfigError("\n  ".join(problems))
        try:
            found.append(replace(settings.make(one.name, channel), value=one.value, error=one.error))
        except InputError as error:
            raise ConfigError(f"[[nuisance]] {one.name}: {error}") from error
    return Nuisances(tuple(found))


def varied_response(channel: Channel, nuisances: Nuisances) -> Response:
    """The response of a channel, with the nuisance parameters of the detector if there are any.

    Raises:
        ConfigError: the channel cannot apply them.
    """
    if not nuisances.effects:
        return channel.response
    varied = getattr(channel, "varied_response", None)
    if varied is None:
        names = ", ".join(nuisances.effects)
        raise ConfigError(f"[[nuisance]] {names}: the channel has no varied_response that simulates what the detector does")
    response: Response = varied(nuisances.effects)
    return response


def described(stated: Stated) -> dict[str, Any]:
    """What artifacts depend on of a nuisance parameter: its kind and settings, of files name and checksum."""
    own = {key: _described(value) for key, value in stated.own.items()}
    return {"name": stated.name, "kind": stated.kind, **own}


def _described(value: Any) -> Any:
    path = Path(value) if isinstance(value, str | Path) else None
    return value if path is None or not path.is_file() else {"file": path.name, "sha256": artifacts.checksum(path)}
