"""Observed events from a ROOT tree, through uproot (extra ``root``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak

from bmem.errors import EventFileError, InputError, MissingExtraError
from bmem.events import observed
from bmem.events.columns import objects_of
from bmem.events.record import Objects, RecoEvents

TREE = "events"
BRANCHES: Mapping[str, Mapping[str, str]] = {
    name: {feature: f"{name.removesuffix('s')}_{feature}" for feature in features}
    for name, features in observed.FEATURES.items()
}
"""Branch of each feature of each collection: photon_pt, photon_eta, photon_phi, photon_isolated, jet_pt, jet_eta, jet_phi,
jet_mass, jet_btag; each holds a vector per event, in GeV and radians."""


def read_root(path: Path, tree: str = TREE, branches: Mapping[str, Mapping[str, str]] = BRANCHES) -> RecoEvents:
    """Read observed events; the objects of an event come back ordered by pT.

    Args:
        path: the file.
        tree: name of its TTree.
        branches: for ``photons`` and ``jets``, the name of the branch of each feature, as in ``BRANCHES``.

    Raises:
        MissingExtraError: uproot is not installed.
        EventFileError: the file is not ROOT or damaged, the tree or a branch is missing or of the wrong shape, or a value is
            not finite or out of range.
    """
    arrays = _arrays(Path(path), tree, [branch for names in branches.values() for branch in names.values()])
    if not len(arrays):
        raise EventFileError(f"{path}: tree {tree!r} holds no events")
    collections = {name: _objects(path, name, arrays, names) for name, names in branches.items()}
    return observed.checked(str(path), RecoEvents(collections))


def _arrays(path: Path, tree: str, branches: list[str]) -> Any:
    """The ``branches`` of a tree as awkward arrays."""
    try:
        import uproot
    except ImportError as error:
        raise MissingExtraError("uproot", "root") from error
    try:
        with uproot.open(path) as file:
            trees = file.keys(cycle=False, filter_classname="TTree")
            if tree not in trees:
                raise EventFileError(
                    f"{path}: there is no tree {tree!r}; its trees: {', '.join(trees) or 'none (damaged?)'}"
                )
            missing = [branch for branch in branches if branch not in file[tree]]
            if missing:
                raise EventFileError(f"{path}: tree {tree!r} lacks {', '.join(missing)}; map the names with 'branches'")
            return file[tree].arrays(branches)
    except EventFileError:
        raise
    except Exception as error:  # for damaged files uproot raises anything from struct.error to AssertionError
        raise EventFileError(f"{path}: not a readable ROOT file ({error}); copy or write it again") from error


def _objects(path: Path, name: str, arrays: Any, names: Mapping[str, str]) -> Objects:
    """One collection; the branches of an event must be of one length."""
    try:
        zipped = ak.zip({feature: arrays[branch] for feature, branch in names.items()})
        return objects_of(name, ak.to_arrow(zipped, extensionarray=False), observed.FEATURES[name])
    except (ValueError, InputError) as error:
        reason = str(error).splitlines()[0]
        raise EventFileError(
            f"{path}: branches {', '.join(names.values())} do not make a list of {name} ({reason})"
        ) from error
