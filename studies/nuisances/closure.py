"""Closure with learned networks: samples of another detector, fitted with its nuisance parameter free and held."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from iminuit.cost import NormalConstraint

import bmem
from bmem.chain import hypotheses
from bmem.config import FitSection
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.minima import Minimum, fit
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.networks import TrainedNetworks
from bmem.process.toy import LinearGaussian

TOY_NETWORK = {"blocks": 4, "hidden": 32, "layers": 2, "bins": 6}
TOY = {
    "transfer": {"network": TOY_NETWORK, "training": {"epochs": 8, "batch_size": 512}},
    "acceptance": {"network": {"hidden": 16, "layers": 1}, "training": {"epochs": 2, "batch_size": 1024}},
    "posterior": {"method": "point"},
    "proposal": {"network": TOY_NETWORK, "training": {"epochs": 4, "batch_size": 512}, "pairs": 20_000},
    "integration": {"pilot": 64, "min_points": 256, "max_points": 256, "resamples": 0},
}
SIZE = 0.2
"""Shift of x of the toy at ν = 1; its width is 1.3."""
Results = dict[str, Any]


def toy(training: int = 40_000, events: int = 800, theta: float = 2.0) -> Results:
    """The toy, whose expected bias without the nuisance parameter is in closed form."""
    chain = bmem.Chain("toy", seed=2, nuisances=[{"name": "shift", "kind": "shift", "size": SIZE}], **TOY)
    networks, process, found = chain.train(chain.simulate(training)), LinearGaussian(), Results()
    for nu in (-1.0, 0.0, 1.0):
        sample = chain.simulate(events, name=f"shift{nu:g}", theta=theta, shift=nu)
        exact = Coefficients.exact(process.integrals(chain.channel.observe(sample.reco)).numpy(), process.strengths.numpy())
        expected = fit(Hypothesis.of(exact, MorphingBasis.of(process)).likelihood()).nearest([theta])
        found[f"{nu:g}"] = _fitted(chain, networks, sample, (theta, nu)) | {"held_by_closed_form": expected.theta[0]}
        print("toy", nu, found[f"{nu:g}"], flush=True)
    return found


def _fitted(chain: bmem.Chain, networks: TrainedNetworks, sample: Any, truth: tuple[float, float]) -> Results:
    """Estimates from all events: with ν free and nothing known of it, and with ν held at 0."""
    coefficients = chain.integrate(sample, networks, name=f"{truth[1]:g}")
    name, components = chain.nuisances.entries[0].name, len(chain.channel.process.basis(torch.zeros(1)))
    unknown = [NormalConstraint(name, 0.0, 100.0)]
    free, _ = hypotheses(coefficients, chain.channel, FitSection(), constraints=unknown, nuisances=chain.nuisances.basis)
    held, _ = hypotheses(coefficients.nominal(components), chain.channel, FitSection())
    best = fit(free.constrained(free.likelihood())).nearest(truth)
    nominal = fit(held.likelihood()).nearest(truth[:1])
    return {
        "events": coefficients.n_events,
        "excluded": len(free.excluded),
        "free": _of(best, 0),
        "nu": _of(best, 1),
        "held": _of(nominal, 0),
        "interpolation_median": float(np.median(coefficients.diagnostics["interpolation"])),
        "interpolation_above_20_percent": float(np.mean(coefficients.diagnostics["interpolation"] > 0.2)),
    }


def _of(minimum: Minimum, index: int) -> list[float]:
    """Value and error, stored."""
    return [round(float(minimum.theta[index]), 5), round(float(minimum.error[index]), 5)]
