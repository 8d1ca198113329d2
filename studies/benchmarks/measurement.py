"""With the networks of a finished run: the integral of one event against vegas, candidates, the fit and the belt."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import gvar
import numpy as np
import torch
import vegas
from clock import Clock, once
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from bmem.channels.thj.reconstruction import Reconstruction
from bmem.config import parse
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.integration.importance import integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.rng import generator, numpy_generator
from bmem.stages import Run
from bmem.stages.simulate import load_sample
from bmem.stages.train import load_networks

Array = NDArray[np.float64]
EVENTS = 3
CANDIDATES = 20_000
TARGET = 0.01
MOST_EVALUATIONS = 10_000_000
BOX = ((np.log(0.1), np.log(3000)), (-np.pi, np.pi), (-6, 6)) * 2 + ((-6, 6),)
"""Of (log pT_H, φ_H, y_H, log pT_j, φ_j, y_j, y_t): what vegas is told of the phase space."""


@dataclass(frozen=True)
class Bench:
    """The last sample of the run in ``folder``, with its networks."""

    folder: Path

    @cached_property
    def run(self) -> Run:
        path = self.folder / "config.json"
        return Run(parse(json.loads(path.read_text(encoding="utf-8")), str(path)), self.folder, Console(stderr=True))

    @cached_property
    def integrand(self) -> Integrand:
        """In all replicas, of the first events."""
        networks = load_networks(self.run)
        x_reco = Reconstruction()(load_sample(self.run, self.run.config.sample[-1].name)[0])[:EVENTS]
        return Integrand(self.run.process, networks.transfer, networks.acceptance, networks.proposal, x_reco)

    @property
    def mixture(self) -> Tensor:
        """The combination of the components that stands for the whole integrand [K]."""
        return mixture_coefficients(self.run.process)


def measure(folder: Path, clock: Clock) -> tuple[str, dict[str, Any]]:
    """The tables as text, and the numbers."""
    bench = Bench(folder)
    rows = [_integral(bench, event) for event in range(EVENTS)]
    times = _candidates(bench, clock) | _fit(bench, clock)
    lines = [
        "| event | bmem | vegas, phase space | vegas, residuals |",
        "|---|---|---|---|",
        *(f"| {n} | {' | '.join(map(_evaluations, row.values()))} |" for n, row in enumerate(rows)),
        "",
        "| what | time |",
        "|---|---|",
        *(f"| {name} | {1000 * seconds:.0f} ms |" for name, seconds in times.items()),
    ]
    return "\n".join(lines) + "\n", {"evaluations for 1 %": rows, "seconds": times}


def _evaluations(found: dict[str, float]) -> str:
    mark = "" if found["error"] <= TARGET else f" (error still {100 * found['error']:.0f} %)"
    return f"{found['evaluations']:,.0f}{mark}"


def _integral(bench: Bench, event: int) -> dict[str, dict[str, float]]:
    """Evaluations of the integrand until the error is 1 %, by bmem and by vegas in two sets of coordinates."""
    own = replace(bench.integrand.replica(0), x_reco=bench.integrand.x_reco[event : event + 1])
    settings = IntegrationSettings(min_points=1 << 15, max_points=1 << 15)
    found = integrate(own, 1, bench.mixture, settings, seed=event)
    points = float(found.points[0]) * (found.relative_error[0] / TARGET) ** 2
    row = {"bmem": {"evaluations": points, "error": TARGET, "value": float(found.values[0, 0] @ bench.mixture.numpy())}}
    for name, target in (
        ("phase space", PhaseSpaceTarget(own, bench.mixture)),
        ("residuals", ResidualTarget(own, bench.mixture)),
    ):
        row[name] = _vegas(target, event)
    print(json.dumps(row), flush=True)
    return row


@dataclass(frozen=True)
class PhaseSpaceTarget:
    """The integrand of one event in the coordinates of ``BOX``, [N, 7] → [N]."""

    integrand: Integrand
    mixture: Tensor
    box = BOX

    def __call__(self, y: Array) -> Array:
        x = torch.from_numpy(np.array(y))
        x[:, (0, 3)] = x[:, (0, 3)].exp()
        return _density(self.integrand, self.mixture, x, torch.log(x[:, 0] * x[:, 3]))


@dataclass(frozen=True)
class ResidualTarget:
    """The same in the proposal's residual coordinates on the unit cube, which know the scale of the resolution."""

    integrand: Integrand
    mixture: Tensor
    box = ((0.0, 1.0),) * 7

    def __call__(self, y: Array) -> Array:
        proposal, u = self.integrand.proposal, torch.from_numpy(np.array(y)).clamp(1e-9, 1 - 1e-9)
        condition = self.integrand.x_reco.expand(len(u), -1)
        residual, log_cube = proposal.to_cube.inverse(u)
        x, log_residual = proposal.residuals.inverse(residual, condition)
        return _density(self.integrand, self.mixture, x, log_cube + log_residual)


def _density(integrand: Integrand, mixture: Tensor, x: Tensor, log_jacobian: Tensor) -> Array:
    """s ε p times a Jacobian at x_hard [N, 7]; points outside of the phase space cost nothing."""
    value = integrand.process.components(torch.nan_to_num(x, nan=torch.inf)) @ mixture
    inside = value > 0
    x_reco = integrand.x_reco.expand(len(x), -1)
    with torch.no_grad():
        for rows in inside.nonzero()[:, 0].split(4096):
            log_p = integrand.transfer("log_prob", x_reco[rows], x[rows])[0] + log_jacobian[rows]
            value[rows] *= integrand.acceptance("probability", x[rows])[0] * torch.exp(log_p)
    return value.numpy()


def _vegas(target: PhaseSpaceTarget | ResidualTarget, seed: int) -> dict[str, float]:
    """Ten iterations to adapt and ten to integrate, each time with four times the evaluations, until the error is 1 %.

    A result of which the iterations disagree (p < 0.01) does not count. Only the last attempt is counted.
    """
    each = 2000
    while True:
        rng = numpy_generator(seed, "vegas", each)
        integrator = vegas.Integrator(target.box, ran_array_generator=rng.random)
        function = vegas.lbatchintegrand(target)
        integrator(function, nitn=10, neval=each)
        result: Any = integrator(function, nitn=10, neval=each, adapt=False)
        mean, error = gvar.mean(result), gvar.sdev(result)
        relative = error / mean if mean > 0 and result.Q > 0.01 else np.inf
        if relative <= TARGET or 4 * 20 * each > MOST_EVALUATIONS:
            return {"evaluations": 20.0 * each, "error": float(relative), "value": float(mean)}
        each *= 4


def _candidates(bench: Bench, clock: Clock) -> dict[str, float]:
    """Hard-scattering candidates of one event with their weights for every α."""
    rng, event = generator(1, "candidates"), torch.tensor([0])
    replicas = bench.integrand
    names = {"one network": replicas.replica(0), f"{len(replicas.transfer)} replicas": replicas}
    return {f"{CANDIDATES} candidates, {name}": clock(lambda f=f: f(event, CANDIDATES, [rng])) for name, f in names.items()}


def _fit(bench: Bench, clock: Clock) -> dict[str, float]:
    """All minima of 100 events from their coefficients, and the belt where the run has a bank."""
    basis, run = MorphingBasis.of(bench.run.process), bench.run
    observed = Coefficients.load(run.coefficients(run.config.sample[-1].name)).select(np.arange(100))
    first = NegativeTwoLogLikelihood(observed.values[0], observed.fiducial[0], basis)
    times = {"fit of 100 events": clock(lambda: fit(first))}
    if run.config.belt.bank_events:
        from bmem.calibration.neyman import make_belt
        from bmem.stages.belt import LEVELS, belt_settings, load_bank

        bank = load_bank(run)
        name = f"belt of {run.config.belt.points} values of α with {run.config.belt.toys} toys each"
        times[name] = once(lambda: make_belt(bank, 100, 1, belt_settings(run, LEVELS)))
    return times
