"""Selection: each cut alone decides as its definition says, by a slow count over events and objects."""

import math

import pytest
import torch

from bmem.channels.thj.selection import CutFlow, Selection
from bmem.channels.thj.settings import SelectionSettings
from bmem.errors import ConfigError
from bmem.events.record import JET_FEATURES, PHOTON_FEATURES, Objects, RecoEvents

Rows = list[tuple[float, ...]]

GOOD_PHOTONS: Rows = [(60.0, 0.5, 0.0, 1.0), (30.0, -2.4, 1.0, 1.0)]
GOOD_JETS: Rows = [
    (90.0, 0.1, 0.0, 9.0, 1.0),
    (50.0, 4.6, 1.0, 5.0, 0.0),
    (40.0, -1.0, 2.0, 5.0, 0.0),
    (26.0, 2.0, 3.0, 4.0, 0.0),
]


def collection(events: list[Rows], names: tuple[str, ...]) -> Objects:
    longest = max(map(len, events))
    features = torch.zeros(len(events), longest, len(names), dtype=torch.float64)
    mask = torch.zeros(len(events), longest, dtype=torch.bool)
    for i, rows in enumerate(events):
        for j, row in enumerate(rows):
            features[i, j], mask[i, j] = torch.tensor(row, dtype=torch.float64), True
    return Objects(features, mask, names)


def one_event(photons: Rows, jets: Rows) -> RecoEvents:
    return RecoEvents({"photons": collection([photons], PHOTON_FEATURES), "jets": collection([jets], JET_FEATURES)})


def with_change(rows: Rows, row: int, column: int, value: float) -> Rows:
    changed = [list(r) for r in rows]
    changed[row][column] = value
    return [tuple(r) for r in changed]


def test_a_good_event_is_accepted() -> None:
    assert Selection().accept(one_event(GOOD_PHOTONS, GOOD_JETS)).tolist() == [True]


@pytest.mark.parametrize(
    ("photons", "jets", "cut"),
    [
        (with_change(GOOD_PHOTONS, 1, 0, 25.0), GOOD_JETS, "two photons"),
        (with_change(GOOD_PHOTONS, 1, 1, 2.5), GOOD_JETS, "two photons"),
        (with_change(GOOD_PHOTONS, 0, 3, 0.0), GOOD_JETS, "two photons"),
        (GOOD_PHOTONS[:1], GOOD_JETS, "two photons"),
        (with_change(GOOD_PHOTONS, 0, 0, 35.0), GOOD_JETS, "leading photon"),
        (GOOD_PHOTONS, GOOD_JETS[:3], "jets"),
        (GOOD_PHOTONS, with_change(GOOD_JETS, 3, 0, 25.0), "jets"),
        (GOOD_PHOTONS, with_change(GOOD_JETS, 1, 1, -4.7), "jets"),
        (GOOD_PHOTONS, with_change(GOOD_JETS, 0, 4, 0.0), "b-tag"),
        (GOOD_PHOTONS, with_change(GOOD_JETS, 0, 1, -2.5), "b-tag"),
    ],
)
def test_each_cut_rejects(photons: Rows, jets: Rows, cut: str) -> None:
    event = one_event(photons, jets)
    assert Selection().accept(event).tolist() == [False]
    flow = Selection().cut_flow(event)
    assert flow.names[flow.passed.index(0)] == cut


def test_cuts_against_a_slow_count(reco: RecoEvents) -> None:
    settings = SelectionSettings(leading_photon_pt=120, photon_pt=20, photon_eta=3.5, min_jets=3, jet_pt=30, jet_eta=3.9)
    decisions = Selection(settings).accept(reco).tolist()
    for i, decision in enumerate(decisions):
        photons = [p.tolist() for p in reco.photons.features[i][reco.photons.mask[i]]]
        jets = [j.tolist() for j in reco.jets.features[i][reco.jets.mask[i]]]
        photons = [p for p in photons if p[0] > 20 and abs(p[1]) < 3.5 and p[3]]
        jets = [j for j in jets if j[0] > 30 and abs(j[1]) < 3.9]
        tagged = [j for j in jets if j[4] and abs(j[1]) < 2.5]
        assert decision == (len(photons) >= 2 and max(p[0] for p in photons) > 120 and len(jets) >= 3 and len(tagged) >= 1)
    assert 0 < sum(decisions) < 50


def test_cut_flow_counts_and_adds(reco: RecoEvents) -> None:
    selection = Selection(SelectionSettings(min_jets=2))
    flow = selection.cut_flow(reco)
    assert flow.total == 50
    assert list(flow.passed) == sorted(flow.passed, reverse=True)
    accepted = int(selection.accept(reco).sum())
    assert flow.passed[-1] == accepted
    assert flow.acceptance == accepted / 50
    assert flow.acceptance_error == pytest.approx(math.sqrt(flow.acceptance * (1 - flow.acceptance) / 50))
    assert selection.cut_flow(reco[:20]) + selection.cut_flow(reco[20:]) == flow


def test_no_events_have_no_acceptance() -> None:
    assert math.isnan(CutFlow(0, ("jets",), (0,)).acceptance)
    assert math.isnan(CutFlow(0, ("jets",), (0,)).acceptance_error)


def test_kept_objects_pass_their_cuts_and_are_ordered() -> None:
    jets: Rows = [
        (30.0, 0.0, 0.0, 4.0, 0.0),
        (20.0, 0.0, 0.0, 4.0, 0.0),
        (80.0, 1.0, 0.0, 4.0, 1.0),
        (70.0, 5.0, 0.0, 4.0, 0.0),
    ]
    photons: Rows = [(30.0, 0.0, 0.0, 1.0), (90.0, 0.0, 0.0, 0.0), (50.0, 1.0, 0.0, 1.0)]
    kept = Selection().keep_objects(one_event(photons, jets))
    assert kept.jets.feature("pt").tolist() == [[80.0, 30.0]]
    assert kept.jets.feature("btag").tolist() == [[1.0, 0.0]]
    assert kept.photons.feature("pt").tolist() == [[50.0, 30.0]]


def test_keeping_objects_loses_no_good_one_and_changes_no_decision(reco: RecoEvents) -> None:
    selection = Selection(SelectionSettings(min_jets=2))
    kept = selection.keep_objects(reco)
    assert torch.equal(selection.accept(kept), selection.accept(reco))
    good = reco.jets.mask & (reco.jets.feature("pt") > 25) & (reco.jets.feature("eta").abs() < 4.7)
    assert torch.equal(kept.jets.mask.sum(1), good.sum(1))
    assert kept.jets.mask.shape[1] == int(good.sum(1).max())
    assert torch.all(kept.jets.features[~kept.jets.mask] == 0)
    assert torch.all(kept.jets.feature("pt").diff(dim=1) <= 0)
    assert len(selection.keep_objects(reco[:0])) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"photon_pt": -1.0}, "photon_pt = -1.0 is not a finite number"),
        ({"jet_eta": math.inf}, "jet_eta = inf is not a finite number"),
        ({"jet_pt": math.nan}, "jet_pt = nan"),
        ({"min_jets": 3.5}, "min_jets = 3.5 is not a whole number"),
        ({"leading_photon_pt": 20.0}, "leading_photon_pt 20.0 lies below photon_pt 25.0"),
        ({"min_btags": 5}, "min_btags = 5 of min_jets = 4"),
    ],
)
def test_impossible_settings(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SelectionSettings(**settings)  # type: ignore[arg-type]


def test_events_with_more_jets_than_there_are_places_are_cut() -> None:
    """Only jets that count: the fifth is too soft."""
    event = one_event(GOOD_PHOTONS, [*GOOD_JETS, (24.0, 0.0, 0.0, 4.0, 0.0)])
    assert Selection(most_jets=4).accept(event).tolist() == [True]
    flow = Selection(most_jets=3).cut_flow(event)
    assert flow.names[flow.passed.index(0)] == "not too many jets"
