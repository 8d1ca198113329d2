"""The objects of a reconstructed event as they are displayed: photons as lines, jets as cones, b jets marked."""

from __future__ import annotations

from collections.abc import Iterator

from bmem.channels.contract import DisplayObject
from bmem.events.record import RecoEvents

RADIUS = 0.4
"""Radius with which jets are clustered."""


def displayed(reco: RecoEvents, row: int) -> Iterator[DisplayObject]:
    """Photons and jets of event ``row``."""
    for pt, eta, phi in _features(reco, "photons", ("pt", "eta", "phi"), row):
        yield DisplayObject("photon", r"\gamma", pt, eta, phi)
    for pt, eta, phi, tag in _features(reco, "jets", ("pt", "eta", "phi", "btag"), row):
        tagged = tag > 0.5
        name, symbol = ("b jet", "b") if tagged else ("jet", "j")
        yield DisplayObject(name, symbol, pt, eta, phi, RADIUS, tagged)


def _features(reco: RecoEvents, kind: str, names: tuple[str, ...], row: int) -> Iterator[tuple[float, ...]]:
    objects = getattr(reco, kind)
    columns = [objects.feature(name)[row][objects.mask[row]].tolist() for name in names]
    return zip(*columns, strict=True)
