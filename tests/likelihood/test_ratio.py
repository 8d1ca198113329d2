"""The learned ratio: the score and information of the closed form, signs from the symmetries, positive at every θ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bmem.calibration.score import information_kept, score_test
from bmem.channels.thj.coordinates import ThjHard
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.cross_section import mixture_coefficients, mixture_grid
from bmem.likelihood.learning import Learner
from bmem.likelihood.ratio import Ratio, joint_ratios, ratio_coefficients
from bmem.likelihood.roles import Pairs
from bmem.networks.regressors.transformer import TransformerSettings
from bmem.process import THJ
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.replicas.settings import PosteriorSettings
from bmem.training import TrainingSettings

TOY = LinearGaussian()
NETWORK = TransformerSettings(width=16, heads=2, blocks=1, hidden=32, layers=2)
TRAINING = TrainingSettings(epochs=6, batch_size=250, learning_rate=6e-3)


def toy_pairs(n: int) -> Pairs:
    """Events uniform in θ, all accepted."""
    rng = torch.Generator().manual_seed(1)
    theta = math.pi * (2 * torch.rand(n, 1, generator=rng, dtype=torch.float64) - 1)
    x_hard = TOY.sample(n, theta, rng).x
    return Pairs(x_hard, torch.ones(n, dtype=torch.bool), TOY.response(x_hard, rng))


@pytest.fixture(scope="module")
def learned() -> Replicas:
    role = Ratio("ratio", Difference(2), TRAINING, NETWORK, TOY)
    return Learner(PosteriorSettings(method="point"), seed=1).learn(role, toy_pairs(12_000), {}).replicas


@pytest.mark.parametrize("theta", [0.7, 2.0])
def test_the_score_is_that_of_the_closed_form(learned: Replicas, theta: float) -> None:
    """The squared correlation of both is 1 less what seconds of training lack: 0.991 and 0.988 when written, within 0.0005.

    The mean score, 0 in the limit of training, is a small part of its width: 0.06 and 0.03 when written, within 0.013.
    """
    rng = torch.Generator().manual_seed(2)
    x_reco = TOY.response(TOY.sample(6000, torch.tensor([theta], dtype=torch.float64), rng).x, rng)
    basis = MorphingBasis.of(TOY)
    exact = score_test(Coefficients.exact(TOY.integrals(x_reco).numpy(), TOY.fiducial().numpy()), basis, [theta])
    found = score_test(ratio_coefficients(learned, x_reco), basis, [theta])
    kept, error = information_kept(found, exact)
    assert found.excluded == 0
    assert kept[0] > 0.975
    assert error[0] < 0.001
    assert abs(found.mean[0]) < 0.12 * math.sqrt(exact.information[0, 0])


def test_ratios_are_means_of_joint_ratios(learned: Replicas) -> None:
    """Σ_k c_k r_k = 1 for every event, and the density is positive at every θ, far outside too."""
    far = torch.tensor([[0.0, 0.0], [30.0, -20.0], [-8.0, 5.0]], dtype=torch.float64)
    values = torch.as_tensor(ratio_coefficients(learned, far).values)
    torch.testing.assert_close(values @ mixture_coefficients(TOY), torch.ones(1, 3, dtype=torch.float64))
    assert bool((values @ TOY.basis(mixture_grid(TOY)).T > 0).all())


def test_components_change_sign_under_a_reflection() -> None:
    """The joint ratios of tHj at reflected hard events are those of the signs, each reflection alone and both."""
    process, rng = THJ(), torch.Generator().manual_seed(1)
    x = process.sample(200, torch.tensor([0.8], dtype=torch.float64), rng).x
    beams, mirror = x.clone(), x.clone()
    beams[:, [2, 5, 6]] *= -1
    mirror[:, [1, 4]] *= -1
    reference = x.new_zeros(len(x), 11)
    for moved in (beams, mirror, mirror * beams / x):
        one, other = reference.clone(), reference.clone()
        for rows, hard in ((one, x), (other, moved)):
            rows[:, [1, 4, 5]] = hard[:, [1, 4, 5]]
        signs = ThjHard().component_signs(one) * ThjHard().component_signs(other)
        np.testing.assert_allclose(joint_ratios(process, moved) * signs, joint_ratios(process, x), rtol=1e-6, atol=1e-6)
