"""Observed events from ROOT trees, written with uproot."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import torch

from bmem.errors import EventFileError, MissingExtraError
from bmem.events.record import RecoEvents
from bmem.events.root import BRANCHES, read_root


def columns(reco: RecoEvents, branches: Mapping[str, Mapping[str, Any]] = BRANCHES) -> dict[str, Any]:
    """One jagged branch for each feature."""
    found = {}
    for name, objects in reco.collections.items():
        counts = objects.mask.sum(1).numpy()
        for feature, branch in branches[name].items():
            found[branch] = ak.unflatten(objects.feature(feature)[objects.mask].numpy(), counts)
    return found


def write(path: Path, content: Mapping[str, Any], tree: str = "events") -> Path:
    uproot = pytest.importorskip("uproot")
    with uproot.recreate(path) as file:
        target = file.mktree(tree, {name: ak.type(ak.Array(values)).content for name, values in content.items()})
        target.extend(dict(content))
    return path


def test_there_and_back(tmp_path: Path, reco: RecoEvents) -> None:
    events = read_root(write(tmp_path / "d.root", columns(reco)))
    for name in ("photons", "jets"):
        one, other = reco.collections[name], events.collections[name]
        assert one.names == other.names
        assert torch.equal(one.mask, other.mask)
        torch.testing.assert_close(one.features, other.features)


def test_other_names(tmp_path: Path, reco: RecoEvents) -> None:
    branches = {name: {f: f"my_{name}_{f}" for f in features} for name, features in BRANCHES.items()}
    path = write(tmp_path / "d.root", columns(reco, branches), tree="candidates")
    assert len(read_root(path, "candidates", branches)) == len(reco)
    with pytest.raises(EventFileError, match="there is no tree 'events'; its trees: candidates"):
        read_root(path)
    with pytest.raises(EventFileError, match="candidates: lacks jet_btag, jet_eta"):
        read_root(path, "candidates")


def test_values_are_checked(tmp_path: Path, reco: RecoEvents) -> None:
    content = columns(reco)
    content["jet_eta"] = ak.where(content["jet_pt"] == ak.max(content["jet_pt"]), float("nan"), content["jet_eta"])
    event = int(reco.jets.feature("pt").max(1).values.argmax()) + 1
    with pytest.raises(EventFileError, match=re.escape(f"event {event}: jets[0].eta = nan must be within ±10")):
        read_root(write(tmp_path / "d.root", content))


def test_branches_of_different_lengths_or_shape(tmp_path: Path, reco: RecoEvents) -> None:
    content = columns(reco)
    content["jet_eta"] = content["jet_eta"][:, :1]
    with pytest.raises(EventFileError, match=r"jet_pt, jet_eta.*do not make a list of jets"):
        read_root(write(tmp_path / "d.root", content))
    flat = {name: ak.fill_none(ak.max(values, axis=1), 1.0) for name, values in columns(reco).items()}
    with pytest.raises(EventFileError, match="branch photon_pt is float64 per event, expected a vector"):
        read_root(write(tmp_path / "f.root", flat))


def test_foreign_cut_and_empty_files(tmp_path: Path, reco: RecoEvents) -> None:
    path = write(tmp_path / "d.root", columns(reco))
    whole = path.read_bytes()
    for content in (b"", b"<html></html>", whole[: len(whole) // 2], whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(EventFileError, match="not a readable ROOT file"):
            read_root(path)
    path.write_bytes(b"root" + bytes(500))
    with pytest.raises(EventFileError, match=r"there is no tree 'events'; its trees: none \(damaged\?\)"):
        read_root(path)
    with pytest.raises(EventFileError, match="not a readable ROOT file"):
        read_root(tmp_path / "absent.root")
    with pytest.raises(EventFileError, match="holds no events"):
        read_root(write(tmp_path / "e.root", columns(reco[:0])))


def test_without_uproot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uproot", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bmem\[root\]'"):
        read_root(tmp_path / "d.root")
