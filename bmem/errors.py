"""Typed errors and warnings: each names the file, event or key, says what is wrong and how to mend it."""

from __future__ import annotations


class BmemError(Exception):
    """Base of every error that bmem raises on purpose."""


class InputError(BmemError, ValueError):
    """An argument, event or value that cannot be used."""


class EventFileError(InputError):
    """An event file that is unreadable, truncated, foreign or physically wrong; the message names file and event."""


class ConfigError(InputError):
    """A configuration with unknown, malformed or contradictory keys; the message names the key."""


class ChannelError(ConfigError):
    """A channel that cannot be found, or that lacks what a channel must offer; the message names what."""


class DeviceError(InputError):
    """A device that is not there or that cannot be used; the message says which there are."""


class RangeError(InputError):
    """A value outside the range where a grid, a map or a network is defined."""


class ArtifactError(BmemError):
    """An artifact on disk that is missing, damaged, foreign or of a newer format."""


class FolderLockedError(ArtifactError):
    """A folder in which another command works; the message says which, and what to do if it is gone."""


class TrainingError(BmemError):
    """A training that cannot go on: non-finite loss, empty data, a checkpoint of another network."""


class FitError(BmemError):
    """A fit without a usable result."""


class ChunkError(BmemError):
    """A chunk of work that could not be computed, in this process or another; the message names it."""


class MissingExtraError(BmemError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the optional package {package!r} is not installed; mend it with: pip install 'bmem[{extra}]'")


class BmemWarning(UserWarning):
    """Base of every warning that bmem gives."""


class EventWarning(BmemWarning):
    """Events were read, but something about them should be known (values read as others, events that occur twice)."""


class TrustWarning(BmemWarning):
    """A number was computed but should not be trusted as it stands (small effective sample, Pareto k > 0.7, ...)."""
