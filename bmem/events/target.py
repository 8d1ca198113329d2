"""A set of objects as the target of a density: what is certain of every event, so that no density leaks beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from bmem.errors import InputError
from bmem.events.observation import Layout


@dataclass(frozen=True)
class Tag:
    """The last feature of an object is a tag, 0 or 1.

    Attributes:
        feature: it is 1 only where this feature ...
        low: ... lies above this ...
        high: ... and below this.
        fewest: objects of an event that have one, at least.
    """

    feature: int
    low: float
    high: float
    fewest: int = 0


@dataclass(frozen=True)
class Target(Layout):
    """Rows whose values and features lie in [0, 1], but for a tag, which is 0 or 1.

    Attributes:
        fewest: smallest number of objects; ``objects`` is the largest. They fill the first places.
        falling: the first feature of an object is not above that of the object before.
        tag: what is known of the tags; None if the objects have none.
    """

    fewest: int = 0
    falling: bool = False
    tag: Tag | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        tag = self.tag
        if not 0 <= self.fewest <= self.objects:
            raise InputError(f"a target has between fewest = {self.fewest} and objects = {self.objects} objects: mend these")
        if not tag:
            return
        known = self.falling <= tag.feature < self.features - 1
        if not (known and 0 <= tag.low < tag.high <= 1 and tag.fewest <= self.fewest):
            raise InputError(
                f"{tag} of {self.features} features and at least {self.fewest} objects: its feature comes before the tag "
                "and is not the falling one, its range lies in [0, 1], and there are as many objects as tags"
            )
