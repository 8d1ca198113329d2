"""Events in Parquet: what is written comes back, and no damaged, foreign or implausible file is taken for events."""

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bmem import artifacts
from bmem.errors import ArtifactError, EventFileError, EventWarning
from bmem.events import parquet
from bmem.events.record import HardEvents, PairedEvents, RecoEvents, pad_to

Make = Callable[[int], PairedEvents]


def assert_same_hard(one: HardEvents, other: HardEvents) -> None:
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.theta, other.theta)
    assert torch.equal(one.weight, other.weight)
    assert one.pdg is not None
    assert other.pdg is not None
    assert torch.equal(one.pdg, other.pdg)


def assert_same_reco(one: RecoEvents, other: RecoEvents) -> None:
    assert list(one.collections) == list(other.collections)
    for name, objects in one.collections.items():
        longest = objects.mask.shape[1]
        again = pad_to(other.collections[name], longest)
        assert again.names == objects.names
        assert torch.equal(again.mask, objects.mask)
        assert torch.equal(again.features, objects.features)


def test_pairs_there_and_back(tmp_path: Path, pairs: Make) -> None:
    events = pairs(100)
    header = parquet.write_pairs(tmp_path / "p.parquet", events, {"seed": 3})
    assert header.kind == "events"
    assert header.settings == {"seed": 3}
    again = parquet.read_pairs(tmp_path / "p.parquet")
    assert_same_hard(events.hard, again.hard)
    assert torch.equal(events.accepted, again.accepted)
    assert_same_reco(events.reco, again.reco)


def test_hard_and_observed_alone(tmp_path: Path, pairs: Make) -> None:
    events = pairs(100)
    parquet.write_hard(tmp_path / "h.parquet", events.hard)
    assert_same_hard(events.hard, parquet.read_hard(tmp_path / "h.parquet"))
    parents = {"hard": tmp_path / "h.parquet"}
    header = parquet.write_reco(tmp_path / "o.parquet", events.reco, parents=parents)
    assert header.parents == {"hard": artifacts.checksum(tmp_path / "h.parquet")}
    assert_same_reco(events.reco, parquet.read_reco(tmp_path / "o.parquet"))
    with pytest.raises(ArtifactError, match="holds RecoEvents, but PairedEvents was asked for"):
        parquet.read_pairs(tmp_path / "o.parquet")


def test_row_groups_change_nothing(tmp_path: Path, pairs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    events = pairs(100)
    monkeypatch.setattr(parquet, "ROWS", 7)
    parquet.write_pairs(tmp_path / "p.parquet", events)
    assert pq.ParquetFile(tmp_path / "p.parquet").num_row_groups == 15
    again = parquet.read_pairs(tmp_path / "p.parquet")
    assert_same_hard(events.hard, again.hard)
    assert_same_reco(events.reco, again.reco)


@pytest.mark.parametrize("n", [0, 1])
def test_few_events(tmp_path: Path, pairs: Make, n: int) -> None:
    events = pairs(n)
    parquet.write_pairs(tmp_path / "p.parquet", events)
    again = parquet.read_pairs(tmp_path / "p.parquet")
    assert len(again) == n
    assert again.hard.x.shape == (n, 7)
    assert again.reco.jets.names == events.reco.jets.names


def test_none_and_all_accepted(tmp_path: Path, pairs: Make) -> None:
    events = pairs(20)
    none = PairedEvents(events.hard, torch.zeros(20, dtype=torch.bool), events.reco[:0])
    parquet.write_pairs(tmp_path / "none.parquet", none)
    assert len(parquet.read_pairs(tmp_path / "none.parquet").reco) == 0
    every = PairedEvents(events.accepted_hard, torch.ones(len(events.reco), dtype=torch.bool), events.reco)
    parquet.write_pairs(tmp_path / "all.parquet", every)
    assert_same_reco(every.reco, parquet.read_pairs(tmp_path / "all.parquet").reco)


def test_single_precision_and_missing_codes_are_kept(tmp_path: Path, reco: RecoEvents, pairs: Make) -> None:
    single = RecoEvents({"jets": type(reco.jets)(reco.jets.features.float(), reco.jets.mask, reco.jets.names)})
    parquet.write_reco(tmp_path / "o.parquet", single)
    assert parquet.read_reco(tmp_path / "o.parquet").jets.features.dtype == torch.float32
    hard = pairs(5).hard
    parquet.write_hard(tmp_path / "h.parquet", HardEvents(hard.x, hard.theta, hard.weight))
    assert parquet.read_hard(tmp_path / "h.parquet").pdg is None


def test_equal_events_give_equal_files(tmp_path: Path, pairs: Make) -> None:
    headers = [parquet.write_pairs(tmp_path / name, pairs(50)) for name in ("a.parquet", "b.parquet")]
    assert headers[0].sha256 == headers[1].sha256


def test_columns_are_readable_by_awkward(tmp_path: Path, pairs: Make) -> None:
    events = pairs(50)
    parquet.write_pairs(tmp_path / "p.parquet", events)
    array = ak.from_parquet(tmp_path / "p.parquet")
    assert array.fields == ["hard", "theta", "weight", "pdg", "accepted", "photons", "jets"]
    assert array.jets.fields == ["pt", "eta", "phi", "mass", "btag"]
    assert array.photons.fields == ["pt", "eta", "phi", "isolated"]
    assert ak.num(array.jets[array.accepted]).to_list() == events.reco.jets.mask.sum(1).tolist()
    assert ak.all(ak.is_none(array.jets) == ~array.accepted)


def no_parquet(path: Path) -> None:
    path.write_bytes(b"PAR1 but no more")


def test_damaged_artifacts(tmp_path: Path, reco: RecoEvents) -> None:
    path = tmp_path / "o.parquet"
    with pytest.raises(ArtifactError, match="there is no such file"):
        parquet.read_reco(path)
    parquet.write_reco(path, reco)
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:500] + b"\xff" + whole[501:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="checksum differs"):
            parquet.read_reco(path)
    artifacts.write(path, "events", no_parquet)
    with pytest.raises(ArtifactError, match="not the layout of bmem's events"):
        parquet.read_reco(path)
    artifacts.write(path, "events", lambda p: pq.write_table(pa.table({"jets": [1, 2]}), p))
    with pytest.raises(ArtifactError, match=r"not the layout of bmem's events \(column 'jets' is int64"):
        parquet.read_reco(path)


# --- files that bmem did not write ---------------------------------------------------------------------------------------

PHOTON = {"pt": 60.0, "eta": 0.5, "phi": 0.0, "isolated": True}
JET = {"pt": 40.0, "eta": -3.0, "phi": 3.0, "mass": 5.0, "btag": 1}


def observed(**changes: Any) -> dict[str, list[Any]]:
    """Columns of three events; ``jet_eta=v`` or ``photon_pt=v`` changes the second object of the second event."""
    photons = [[dict(PHOTON), dict(PHOTON)] for _ in range(3)]
    jets = [[dict(JET) for _ in range(4 + i)] for i in range(3)]
    for name, value in changes.items():
        kind, feature = name.split("_")
        (photons if kind == "photon" else jets)[1][1][feature] = value
    return {"photons": photons, "jets": jets}


HARD = {"hard": [[0.1] * 7, [0.2] * 7, [0.3] * 7], "theta": 3 * [[0.5]], "weight": [1.0, 1.0, 1.0]}


def write(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_import_observed(tmp_path: Path) -> None:
    columns = observed(jet_pt=90.0, jet_phi=6.0) | {"run": [1, 2, 3], "name": ["a", "b", "c"]}
    events = parquet.import_parquet(write(tmp_path / "u.parquet", columns))
    assert isinstance(events, RecoEvents)
    assert events.jets.mask.sum(1).tolist() == [4, 5, 6]
    assert events.jets.feature("pt")[1].tolist() == [90.0, 40.0, 40.0, 40.0, 40.0, 0.0]
    assert float(events.jets.feature("phi")[1, 0]) == pytest.approx(6.0 - 2 * torch.pi)
    assert events.photons.feature("isolated").tolist() == 3 * [[1.0, 1.0]]


def test_import_in_any_field_order_and_from_awkward(tmp_path: Path) -> None:
    columns = observed()
    columns["jets"] = [[dict(reversed(jet.items())) for jet in event] for event in columns["jets"]]
    ak.to_parquet(ak.Array(columns), tmp_path / "a.parquet")
    events = parquet.import_parquet(tmp_path / "a.parquet")
    assert isinstance(events, RecoEvents)
    assert events.jets.features[0, 0].tolist() == [40.0, -3.0, 3.0, 5.0, 1.0]


def test_import_hard_and_pairs(tmp_path: Path) -> None:
    hard = parquet.import_parquet(write(tmp_path / "h.parquet", HARD))
    assert isinstance(hard, HardEvents)
    assert hard.x.shape == (3, 7)
    columns = HARD | observed() | {"accepted": [True, False, True]}
    pairs = parquet.import_parquet(write(tmp_path / "p.parquet", columns))
    assert isinstance(pairs, PairedEvents)
    assert pairs.reco.jets.mask.sum(1).tolist() == [4, 6]


def test_import_of_what_bmem_wrote(tmp_path: Path, pairs: Make) -> None:
    events = pairs(50)
    parquet.write_pairs(tmp_path / "p.parquet", events)
    again = parquet.import_parquet(tmp_path / "p.parquet")
    assert isinstance(again, PairedEvents)
    assert_same_hard(events.hard, again.hard)
    longest = events.reco.jets.mask.shape[1]
    torch.testing.assert_close(pad_to(again.reco.jets, longest).features, events.reco.jets.features)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (observed(jet_eta=float("nan")), "event 2: jets[1].eta = nan must be within ±10"),
        (observed(jet_pt=float("inf")), "event 2: jets[1].pt = inf must be positive, in GeV"),
        (observed(jet_pt=0.0), "event 2: jets[1].pt = 0 must be"),
        (observed(photon_pt=6e5), "event 2: photons[1].pt = 600000 at eta = 0.5 is an energy of 6.77e+05 GeV, and a"),
        (observed(jet_mass=-1.0), "event 2: jets[1].mass = -1 must be in GeV and not negative"),
        (observed(photon_phi=170.0), "event 2: photons[1].phi = 170 must be in radians (not degrees)"),
        (observed(jet_btag=2), "event 2: jets[1].btag = 2 must be 0 or 1"),
        (
            {"photon": observed()["photons"], "jets": observed()["jets"]},
            "column 'photons' is missing; there are: photon, jets",
        ),
        ({"photons": [1.0], "jets": [1.0]}, "column 'photons' is double, expected a list of structs per event"),
        ({"photons": 3 * [[PHOTON]], "jets": 3 * [[{"pt": 1.0}]]}, "column 'jets' lacks eta, phi, mass, btag"),
        ({"photons": [[PHOTON], None], "jets": 2 * [[JET]]}, "column 'photons' has 1 null value(s), the first in row 2"),
        (observed(jet_eta=None), "column 'jets.eta' has 1 null value(s)"),
        (
            {"photons": 3 * [[PHOTON | {"pt": "high"}]], "jets": 3 * [[JET]]},
            "column 'photons.pt' is string, expected numbers",
        ),
        (HARD | observed(), "column 'accepted' is missing"),
        (HARD | observed() | {"accepted": [1, 0, 1]}, "column 'accepted' is int64, expected true or false"),
        (HARD | {"hard": [[0.1], [0.1, 0.2], [0.1]]}, "column 'hard' has lists of 2 different lengths"),
        (HARD | {"hard": [0.1, 0.2, 0.3]}, "column 'hard' is double, expected a list of numbers"),
        (HARD | {"theta": [[0.5], [float("nan")], [0.5]]}, "event 2: theta is not finite"),
        (HARD | {"weight": [1.0, 1.0, float("inf")]}, "event 3: weight is not finite"),
        (
            HARD | observed(jet_eta=20.0) | {"accepted": [False, True, True]},
            "event 2: jets[1].eta = 20 must be within ±10",
        ),
        ({"photons": pa.array([], pa.list_(pa.int8())), "jets": pa.array([], pa.list_(pa.int8()))}, "holds no events"),
    ],
)
def test_import_faults_are_named(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "bad.parquet", columns)
    with pytest.raises(EventFileError, match=re.escape(f"{path}: {message}")):
        parquet.import_parquet(path)


def test_import_of_foreign_and_cut_files(tmp_path: Path) -> None:
    path = write(tmp_path / "u.parquet", observed())
    whole = path.read_bytes()
    for content in (b"", b"<html></html>", whole[: len(whole) // 2], b"PAR1" + bytes(100), whole[len(whole) // 2 :]):
        path.write_bytes(content)
        with pytest.raises(EventFileError, match="not a readable Parquet file"):
            parquet.import_parquet(path)
    with pytest.raises(EventFileError, match="not a readable Parquet file"):
        parquet.import_parquet(tmp_path / "absent.parquet")


def test_no_flipped_byte_escapes(tmp_path: Path, reco: RecoEvents) -> None:
    """A user's file has no checksum: a flip may give another value there, but never an untyped error."""
    path = tmp_path / "o.parquet"
    parquet.write_reco(path, reco)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(ArtifactError, match="checksum differs"):
            parquet.read_reco(path)
        try:
            with warnings.catch_warnings(action="ignore", category=EventWarning):
                parquet.import_parquet(path)
        except EventFileError:
            refused += 1
    assert refused > 10


def test_nuisance_parameters_of_events_are_kept(tmp_path: Path, pairs: Make) -> None:
    events = pairs(100)
    varied = replace(events.hard, nuisances={"jes": torch.linspace(-1, 1, 100, dtype=torch.float64)})
    parquet.write_pairs(tmp_path / "p.parquet", replace(events, hard=varied))
    again = parquet.read_pairs(tmp_path / "p.parquet")
    assert torch.equal(again.hard.nuisance("jes"), varied.nuisances["jes"])
    assert_same_reco(events.reco, again.reco)
