"""Which network is taken: one class of settings for each architecture, chosen by its ``kind``; no torch is loaded for it.

An architecture is a module in ``bmem.networks.densities``, ``bmem.networks.classifiers`` or ``bmem.networks.regressors``
with its settings, or a user's own class, ``kind = "package.module:Settings"``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter

from bmem.errors import ConfigError, InputError

if TYPE_CHECKING:
    from bmem.events.observation import Layout
    from bmem.networks.contract import Classifier, ConditionalDensity, Regressor


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of a network; a subclass has a ``kind`` with a default, fields of its own, and ``make``."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    folder: ClassVar[str]
    """Package of the architectures that bmem brings."""
    default: ClassVar[str]
    """Kind of a table that names none."""

    kind: str = field(default="", kw_only=True)

    def _at_least_one(self, *names: str) -> None:
        """Raise InputError unless each of these sizes is at least 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise InputError(f"{type(self).__name__}.{name} must be at least 1, not {getattr(self, name)}")

    def _split_by_heads(self, width: int, heads: int) -> None:
        """Raise InputError unless each of the ``heads`` of an attention has as much of a token of this ``width``."""
        if width % heads:
            raise InputError(f"{type(self).__name__}.width = {width} is no multiple of heads = {heads}")

    @classmethod
    def chosen(cls, content: Any) -> Self:
        """The settings in a table of a configuration, of the class that its ``kind`` names.

        Raises:
            ConfigError: no table, an unknown kind, or one that is not of this family.
            pydantic.ValidationError: an unknown or mistyped key.
        """
        if isinstance(content, cls):
            return content
        if not isinstance(content, dict):
            raise ConfigError(f"a network is a table, as {{ kind = {cls.default!r} }}, not {content!r}")
        kind = content.get("kind", cls.default)
        adapter: TypeAdapter[Self] = TypeAdapter(cls._of_kind(kind))
        # Strict, and as JSON, as the rest of the configuration.
        return adapter.validate_json(json.dumps(content | {"kind": kind}), strict=True)

    @classmethod
    def _of_kind(cls, kind: Any) -> type[Self]:
        module, colon, name = str(kind).partition(":")
        if not colon:
            known = [found.name for found in iter_modules(import_module(cls.folder).__path__)]
            if kind not in known:
                raise ConfigError(f"kind {kind!r} is none of {known}; one of your own is called 'package.module:Settings'")
            module, name = f"{cls.folder}.{kind}", kind.title().replace("_", "") + "Settings"
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"kind {kind!r}: cannot be imported ({error}); is its package installed?") from error
        if not (isinstance(found, type) and issubclass(found, cls)):
            raise ConfigError(f"kind {kind!r}: {name} is not derived from {cls.__module__}.{cls.__name__}")
        return found

    def vector(self, layout: Layout) -> int:
        """The numbers in a ``layout``, for an architecture that reads nothing else.

        Raises:
            ConfigError: the layout has a set of objects.
        """
        if layout.objects:
            raise ConfigError(f"a network of kind {self.kind!r} reads numbers, not sets of objects; choose another kind")
        return layout.values


@dataclass(frozen=True)
class DensitySettings(NetworkSettings):
    """Settings of a conditional density on the unit cube."""

    folder: ClassVar[str] = "bmem.networks.densities"
    default: ClassVar[str] = "coupling"

    def make(self, target: Layout, circular: tuple[bool, ...], condition: Layout) -> ConditionalDensity:
        """The density of rows of ``target`` given rows of ``condition``, as new.

        ``circular`` tells for each number of the target whether it is a circle of circumference 1.

        Raises:
            ConfigError: the architecture does not read such rows.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ClassifierSettings(NetworkSettings):
    """Settings of a classifier."""

    folder: ClassVar[str] = "bmem.networks.classifiers"
    default: ClassVar[str] = "perceptron"

    def make(self, inputs: Layout) -> Classifier:
        """The classifier of rows of ``inputs``, as new.

        Raises:
            ConfigError: the architecture does not read such rows.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class RegressorSettings(NetworkSettings):
    """Settings of a regressor."""

    folder: ClassVar[str] = "bmem.networks.regressors"
    default: ClassVar[str] = "transformer"

    def make(self, inputs: Layout, outputs: int) -> Regressor:
        """The regressor of ``outputs`` values from rows of ``inputs``, as new.

        Raises:
            ConfigError: the architecture does not read such rows.
        """
        raise NotImplementedError
