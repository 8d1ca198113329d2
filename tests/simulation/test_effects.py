"""Nuisance parameters of the detector: the same random numbers, and what they change changed by the right factor."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bmem.channels.thj.channel import ThjChannel
from bmem.channels.thj.nuisances import BTagEfficiency, JetEnergyResolution, JetEnergyScale, Mistag, PhotonEnergyScale
from bmem.errors import ConfigError
from bmem.events.record import HardEvents, RecoEvents
from bmem.rng import generator
from bmem.simulation.effects import DetectorEffect, Shifts, shifts_of

CHANNEL = ThjChannel()


@pytest.fixture(scope="module")
def hard() -> HardEvents:
    return CHANNEL.process.sample(2000, torch.zeros(1, dtype=torch.float64), generator(1, "hard"))


def seen(hard: HardEvents, kinds: dict[str, object], **nu: float) -> RecoEvents:
    values = {name: torch.full_like(hard.x[:, 0], value) for name, value in nu.items()}
    response = CHANNEL.varied_response(kinds)  # type: ignore[arg-type]
    return response(replace(hard, nuisances=values), generator(2, "response"))


def test_nothing_changes_at_zero(hard: HardEvents) -> None:
    nominal = CHANNEL.response(hard, generator(2, "response"))
    for reco in (seen(hard, {"jes": JetEnergyScale()}, jes=0.0), seen(hard, {"jes": JetEnergyScale()})):
        for name, objects in nominal.collections.items():
            assert torch.equal(objects.features, reco.collections[name].features)


@pytest.mark.parametrize(("kind", "collection"), [(JetEnergyScale(0.04), "jets"), (PhotonEnergyScale(0.02), "photons")])
def test_scales_multiply_momenta(hard: HardEvents, kind: object, collection: str) -> None:
    nominal, reco = (seen(hard, {"s": kind}, s=nu).collections[collection] for nu in (0.0, 2.0))
    same = (nominal.mask.sum(1) == reco.mask.sum(1)) & (nominal.mask.sum(1) > 0)
    ratio = reco.feature("pt")[same, 0] / nominal.feature("pt")[same, 0]
    # which jet lies nearest to the threshold for being seen may change: the hardest one of most events does not
    assert ratio.median() == pytest.approx((1 + kind.size) ** 2)  # type: ignore[attr-defined]


def test_resolution_widens_the_momenta(hard: HardEvents) -> None:
    """The logarithm of the smearing is a Gaussian number times the resolution: its size at ν = 1 is 1.5 times that at 0."""
    up = replace(hard, nuisances={"r": hard.x[:, 0] * 0 + 1})
    shifts = shifts_of([("r", DetectorEffect("jet_energy_resolution", 0.5))], up)
    assert shifts.jet_energy_resolution == pytest.approx(torch.full((len(hard), 1), 1.5, dtype=torch.float64))
    narrow, wide = (seen(hard, {"r": JetEnergyResolution(0.5)}, r=nu).jets for nu in (0.0, 1.0))
    assert not torch.equal(narrow.features[:, 0], wide.features[:, 0])


@pytest.mark.parametrize("kind", [BTagEfficiency(0.1), Mistag(0.5)])
def test_tags_only_become_more(hard: HardEvents, kind: object) -> None:
    few, many = (seen(hard, {"b": kind}, b=nu).jets.feature("btag") for nu in (-1.0, 1.0))
    assert bool((few <= many).all())
    assert few.sum() < many.sum()


def test_two_of_one_kind_multiply(hard: HardEvents) -> None:
    effect = DetectorEffect("jet_energy_scale", 0.1)
    one = hard.x[:, 0] * 0 + 1
    shifts = shifts_of([("a", effect), ("b", effect)], replace(hard, nuisances={"a": one, "b": -one}))
    assert shifts.jet_energy_scale == pytest.approx(torch.ones(len(hard), 1, dtype=torch.float64))
    assert shifts_of([("a", effect)], hard) == Shifts()


def test_a_size_is_a_positive_number() -> None:
    with pytest.raises(ConfigError, match=r"size = -0\.1"):
        JetEnergyScale(-0.1)
