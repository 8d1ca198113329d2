"""Observed events from a ROOT tree or RNTuple, through uproot (extra ``root``)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak

from bmem.errors import EventFileError, InputError, MissingExtraError
from bmem.events import observed
from bmem.events.columns import objects_of
from bmem.events.record import Objects, RecoEvents

TREE = "events"
_READABLE = ("TTree", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")


@dataclass(frozen=True)
class Above:
    """A flag that is 1 where the numbers of ``branch`` are larger than ``cut``."""

    branch: str
    cut: float


Branches = Mapping[str, Mapping[str, "str | Above"]]
BRANCHES: Branches = {
    name: {feature: f"{name.removesuffix('s')}_{feature}" for feature in features}
    for name, features in observed.FEATURES.items()
}
"""Branch of each feature of each collection: photon_pt, photon_eta, photon_phi, photon_isolated, jet_pt, jet_eta, jet_phi,
jet_mass, jet_btag; each holds a vector per event, in GeV and radians."""


def nanoaod(btag_cut: float, btag: str = "Jet_btagDeepFlavB", isolated: str | Above = "Photon_mvaID_WP80") -> Branches:
    """The names in NanoAOD, to read with ``tree="Events"``: Photon_pt, Jet_pt, ...

    Args:
        btag_cut: a jet is b-tagged where ``btag`` is larger: the working point of the data-taking year.
        btag: branch with the score.
        isolated: branch with the flag of a photon that passes identification and isolation, or a score with its cut.
    """
    names = {name: {f: f"{name[:-1].capitalize()}_{f}" for f in features} for name, features in observed.FEATURES.items()}
    return {"photons": names["photons"] | {"isolated": isolated}, "jets": names["jets"] | {"btag": Above(btag, btag_cut)}}


def read_root(path: Path, tree: str = TREE, branches: Branches = BRANCHES) -> RecoEvents:
    """Read observed events; the objects of an event come back ordered by pT.

    Args:
        path: the file.
        tree: name of its TTree or RNTuple.
        branches: for ``photons`` and ``jets``, the name of the branch of each feature, as in ``BRANCHES``; ``Above`` makes
            a flag of a score.

    Raises:
        MissingExtraError: uproot is not installed.
        InputError: ``branches`` has other keys than ``BRANCHES``.
        EventFileError: the file is not ROOT or damaged, the tree or a branch is missing or of the wrong shape, or a value is
            not finite or out of range.

    Warns:
        EventWarning: see ``bmem.events.observed.checked``.
    """
    _check_keys(branches)
    uproot = _uproot()
    try:
        with uproot.open(path) as file:
            return from_root(_tree(Path(path), file, tree), branches, origin=f"{path}: {tree}")
    except InputError:
        raise
    except Exception as error:  # for damaged files uproot raises anything from struct.error to AssertionError
        raise EventFileError(f"{path}: not a readable ROOT file ({error}); copy or write it again") from error


def from_root(tree: Any, branches: Branches = BRANCHES, origin: str = "from_root") -> RecoEvents:
    """Observed events of a TTree or RNTuple that uproot has opened; as ``read_root``, ``origin`` is named in messages."""
    _check_keys(branches)
    wanted = sorted({_name(branch) for names in branches.values() for branch in names.values()})
    missing = [branch for branch in wanted if branch not in tree.keys()]  # noqa: SIM118 (a tree is no dictionary)
    if missing:
        raise EventFileError(
            f"{origin}: lacks {', '.join(missing)}; map the names with 'branches' of read_root (NanoAOD: nanoaod(...))"
        )
    arrays = _arrays(tree, wanted, origin)
    if not len(arrays):
        raise EventFileError(f"{origin}: holds no events")
    collections = {name: _objects(origin, name, arrays, names) for name, names in branches.items()}
    return observed.checked(origin, RecoEvents(collections))


def left_out(path: Path, tree: str = TREE) -> list[str]:
    """Names of the branches of a tree that ``read_root`` does not read, of its collections first, and of other trees."""
    with _uproot().open(path) as file:
        used = {_name(branch) for names in BRANCHES.values() for branch in names.values()}
        used |= {f"n{name}" for name in used}  # uproot writes the lengths of vectors beside them
        branches = [name for name in file[tree].keys() if name not in used]  # noqa: SIM118
        return branches + [f"tree {other}" for other in _trees(file) if other != tree]


def _check_keys(branches: Branches) -> None:
    """InputError for a key that is not known, or one that lacks."""
    _compare("branches", set(branches), set(BRANCHES))
    for name, names in branches.items():
        _compare(f"branches[{name!r}]", set(names), set(BRANCHES[name]))


def _compare(what: str, found: set[str], wanted: set[str]) -> None:
    unknown, missing = sorted(found - wanted), sorted(wanted - found)
    if unknown:
        near = difflib.get_close_matches(unknown[0], missing or sorted(wanted), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(wanted))}"
        raise InputError(f"{what}: unknown key {unknown[0]!r}; {hint}")
    if missing:
        raise InputError(f"{what}: the keys {', '.join(missing)} are missing")


def _name(branch: str | Above) -> str:
    return branch.branch if isinstance(branch, Above) else branch


def _uproot() -> Any:
    try:
        import uproot
    except ImportError as error:
        raise MissingExtraError("uproot", "root") from error
    return uproot


def _trees(file: Any) -> list[str]:
    kinds = file.classnames(cycle=False)
    return [name for name, kind in kinds.items() if kind in _READABLE]


def _tree(path: Path, file: Any, name: str) -> Any:
    """The tree or RNTuple ``name``."""
    trees = _trees(file)
    if name not in trees:
        near = " (NanoAOD? read_root(path, 'Events', nanoaod(btag_cut)) reads it)" if "Events" in trees else ""
        raise EventFileError(f"{path}: there is no tree {name!r}; its trees: {', '.join(trees) or 'none (damaged?)'}{near}")
    try:
        return file[name]
    except Exception as error:
        if "RNTuple" in file.classnames(cycle=False)[name]:
            raise _unreadable(f"{path}: {name}", error) from error
        raise


def _arrays(tree: Any, branches: list[str], origin: str) -> Any:
    """The ``branches`` as awkward arrays."""
    try:
        return tree.arrays(branches)
    except Exception as error:
        if "RNTuple" in type(tree).__name__:
            raise _unreadable(origin, error) from error
        raise


def _unreadable(origin: str, error: Exception) -> EventFileError:
    return EventFileError(
        f"{origin}: is an RNTuple that this version of uproot cannot read ({error}); update uproot, or write a TTree "
        "(uproot: file.mktree), or Parquet"
    )


def _objects(origin: str, name: str, arrays: Any, names: Mapping[str, str | Above]) -> Objects:
    """One collection; each branch holds a vector per event, and those of an event are of one length."""
    columns = {feature: _vector(origin, name, arrays, branch) for feature, branch in names.items()}
    try:
        zipped = ak.zip(columns)
        return objects_of(name, ak.to_arrow(zipped, extensionarray=False), observed.FEATURES[name])
    except (ValueError, InputError) as error:
        reason = str(error).splitlines()[0]
        branches = ", ".join(map(_name, names.values()))
        raise EventFileError(f"{origin}: branches {branches} do not make a list of {name} ({reason})") from error


def _vector(origin: str, name: str, arrays: Any, branch: str | Above) -> Any:
    """The numbers of a branch, or the flag made of them; ak.zip would spread one number over all objects of its event."""
    values = arrays[_name(branch)]
    if values.ndim != 2:
        raise EventFileError(
            f"{origin}: branch {_name(branch)} is {values.type.content} per event, expected a vector with one number for "
            f"each of the {name}"
        )
    return values > branch.cut if isinstance(branch, Above) else values
