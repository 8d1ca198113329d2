"""x_hard given a set of objects, and what people read of the set: known events, symmetries, and events with few jets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bmem import kinematics as kin
from bmem.channels.thj.objects import ThjObjects
from bmem.channels.thj.objects_hard import ThjHardOfObjects
from bmem.channels.thj.objects_read import quantities, read
from bmem.channels.thj.settings import SelectionSettings

OBJECTS = ThjObjects(SelectionSettings(min_jets=1), max_jets=5)
HARD = ThjHardOfObjects(OBJECTS)
PHOTONS = [80.0, 0.3, 0.4, 40.0, -0.6, 1.9]
JETS = [[90.0, 0.2, -2.0, 12.0, 1.0], [60.0, 3.5, 1.1, 9.0, 0.0], [40.0, -0.7, 2.9, 5.0, 0.0], [30.0, 1.0, -0.3, 4.0, 0.0]]


def rows(jets: list[list[float]] = JETS) -> Tensor:
    """One event."""
    there = torch.ones(1, len(jets))
    return OBJECTS.target.pack(torch.tensor([PHOTONS]).double(), torch.tensor([jets]).double(), there)


def hard_points(n: int = 40) -> Tensor:
    u = torch.rand(n, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    low = torch.tensor([20.0, -math.pi, -2.0, 25.0, -math.pi, -4.0, -2.0], dtype=torch.float64)
    high = torch.tensor([220.0, math.pi, 2.0, 150.0, math.pi, 4.0, 2.0], dtype=torch.float64)
    return low + (high - low) * u


def moved(x_hard: Tensor, event: Tensor, symmetry: str) -> tuple[Tensor, Tensor]:
    """Both after a rotation or a reflection."""
    x_hard, (values, jets, mask) = x_hard.clone(), (part.clone() for part in OBJECTS.target.unpack(event))
    if symmetry == "beams":
        x_hard[:, [2, 5, 6]] *= -1
        values[:, [1, 4]] *= -1
        jets[..., 1] *= -1
    else:
        sign, shift = (1, 1.3) if symmetry == "rotation" else (-1, 0.0)
        x_hard[:, [1, 4]] = kin.wrap(sign * x_hard[:, [1, 4]] + shift)
        values[:, [2, 5]] = sign * values[:, [2, 5]] + shift
        jets[..., 2] = sign * jets[..., 2] + shift
    return x_hard, OBJECTS.target.pack(values, jets, mask)


@pytest.mark.parametrize("symmetry", ["rotation", "beams", "reflection"])
def test_symmetric_events_are_the_same(symmetry: str) -> None:
    x_hard = hard_points()
    event = rows().expand(len(x_hard), -1)
    there, turned = moved(x_hard, event, symmetry)
    torch.testing.assert_close(HARD.forward(there, turned), HARD.forward(x_hard, event), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(HARD.features(turned), HARD.features(event), rtol=1e-9, atol=1e-9)
    sign = 1 if symmetry == "rotation" else -1
    odd = torch.tensor([1, 1, sign, 1, sign, 1])
    torch.testing.assert_close(HARD.component_signs(turned), HARD.component_signs(event) * odd)


def test_the_order_of_the_jets_is_only_an_order() -> None:
    x_hard, event, turned = hard_points(), rows(), rows([JETS[i] for i in (2, 0, 3, 1)])
    expected = HARD.forward(x_hard, event.expand(len(x_hard), -1))
    torch.testing.assert_close(HARD.forward(x_hard, turned.expand(len(x_hard), -1)), expected, rtol=1e-12, atol=1e-9)


def test_the_frame_is_that_of_the_most_energetic_jet_without_a_tag() -> None:
    """The forward one; if all jets are tagged the most energetic of them."""
    jets = HARD.layout.unpack(HARD.features(rows()))[1]
    assert jets[0, :4, -1].tolist() == [0, 1, 0, 0]
    tagged = [[*jet[:4], 1.0] for jet in (JETS[0], JETS[2])]
    jets = HARD.layout.unpack(HARD.features(rows(tagged)))[1]
    assert jets[0, :2, -1].tolist() == [1, 0]


def test_a_single_jet_has_finite_coordinates() -> None:
    x_hard, event = hard_points(), rows(JETS[1:2]).expand(40, -1)
    residual, log_jacobian = HARD.forward(x_hard, event)
    assert torch.isfinite(residual).all()
    assert torch.isfinite(log_jacobian).all()
    assert torch.isfinite(HARD.features(event)).all()
    torch.testing.assert_close(HARD.inverse(residual, event)[0], x_hard, rtol=1e-9, atol=1e-9)


def test_people_read_the_sums_and_the_jets_that_are_there() -> None:
    seen = dict(zip([q.name for q in quantities(5)], read(rows(), OBJECTS.target)[0].tolist(), strict=True))
    first = kin.from_pt_eta_phi(*torch.tensor(PHOTONS[:3]).double().unbind())
    pair = first + kin.from_pt_eta_phi(*torch.tensor(PHOTONS[3:]).double().unbind())
    assert seen["m_H"] == pytest.approx(float(kin.mass(pair)))
    assert seen["pt_H"] == pytest.approx(float(kin.pt(pair)))
    assert (seen["n_jets"], seen["n_btags"], seen["ht"]) == (4, 1, 220)
    assert (seen["pt_j2"], seen["eta_j2"]) == pytest.approx((60.0, 3.5))
    assert seen["dphi_j1"] == pytest.approx(abs(float(kin.wrap(-2.0 - kin.phi(pair)))))
    assert math.isnan(seen["pt_j5"])
    assert len(quantities(3)) == len(read(rows(), OBJECTS.target)[0]) - 6
