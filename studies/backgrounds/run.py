"""Signal of a finished run and diphoton background, fraction floating: python run.py RUN_FOLDER [--background N].

RUN_FOLDER is that of ``bmem run studies/quickstart/quickstart.toml``, up to the stage integrate. Its networks integrate the
background events under the signal hypothesis; nothing is trained. Disjoint samples of SIZE events with the share SHARE of
background are fitted with and without the photon pair's mass, and with the background ignored.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from bmem.calibration.pulls import moments
from bmem.channels.thj.backgrounds import WINDOW, DiphotonBackground, FallingMass, MassPeak
from bmem.channels.thj.reconstruction import Reconstruction, photon_pair
from bmem.config import load
from bmem.inference.minima import fit
from bmem.inference.mixture import mixture_by_fractions
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.integration.importance import integrate
from bmem.kinematics import mass
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.rng import generator
from bmem.stages import Run
from bmem.stages.simulate import load_sample
from bmem.stages.train import load_networks

SIZE, SHARE = 100, 0.3
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Events of one kind: ``signal``, the coefficients under the signal hypothesis, and by event log p_b(x) and the
    log-ratio of background to signal in the mass."""

    signal: Coefficients
    log_background: Array
    log_mass_ratio: Array


def background_events(run: Run, n: int) -> tuple[Tensor, Coefficients]:
    """Observables [n, 11] of background events and their coefficients with the networks of ``run``."""
    networks, process = load_networks(run), run.process
    x = DiphotonBackground().sample(n, generator(run.config.seed, "background"))
    integrand = Integrand(process, networks.transfer, networks.acceptance, networks.proposal, x)
    settings = replace(run.config.integration, resamples=0)
    found = integrate(integrand, n, mixture_coefficients(process), settings, run.seed("integrate", "background"))
    like = Coefficients.load(run.coefficients("alpha45"))
    diagnostics = found.diagnostics() | {"outside": (~networks.proposal.seen(x)).numpy()}
    return x, Coefficients(found.values, found.covariance, like.fiducial, like.fiducial_covariance, diagnostics)


def samples(run: Run, n: int) -> tuple[Sample, Sample]:
    """Signal at 45° and background, in the mass window."""
    reco, _ = load_sample(run, "alpha45")
    coefficients = Coefficients.load(run.coefficients("alpha45"))
    used = replace(coefficients, bootstrap=None, fiducial_bootstrap=None)
    masses = mass(photon_pair(reco.photons))
    # the peak from events that are not fitted, where there are enough of them
    peak, falling = MassPeak.fit(mass(photon_pair(load_sample(run, "training")[0].photons))), FallingMass()
    run.say(f"mass peak: {peak}")
    m = masses[: used.n_events]
    inside = (m > WINDOW[0]) & (m < WINDOW[1])
    background = DiphotonBackground()

    def ratio(m: Tensor) -> Array:
        return (falling.log_density(m) - peak.log_density(m)).numpy()

    x = Reconstruction()(reco[: used.n_events])[inside]
    signal = Sample(used.select(inside.numpy()), background.log_density(x).numpy(), ratio(m[inside]))
    other, integrals = background_events(run, n)
    m = falling.sample(n, generator(run.config.seed, "background mass"))
    return signal, Sample(integrals, background.log_density(other).numpy(), ratio(m))


def joined(run: Run, signal: Sample, background: Sample, toy: int) -> tuple[Coefficients, Array, Array]:
    """The toy-th disjoint sample of SIZE events: coefficients, log p_b(x), and the log-ratio in the mass."""
    n = int(np.random.default_rng((run.config.seed, toy)).binomial(SIZE, SHARE))
    first, second = slice(toy * SIZE, toy * SIZE + SIZE - n), slice(toy * SIZE, toy * SIZE + n)
    a, b = signal.signal.select(first), background.signal.select(second)
    both = replace(
        a,
        values=np.concatenate([a.values, b.values], 1),
        covariance=np.concatenate([a.covariance, b.covariance], 1),
        diagnostics={},
    )
    parts = ((signal.log_background, background.log_background), (signal.log_mass_ratio, background.log_mass_ratio))
    log_p, ratio = (np.concatenate([s[first], t[second]]) for s, t in parts)
    return both, log_p, ratio


def main() -> None:
    """Print the table of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--background", type=int, default=2000)
    arguments = parser.parse_args()
    run = Run(load(Path(__file__).parents[1] / "quickstart" / "quickstart.toml"), arguments.folder, Console(soft_wrap=True))
    signal, background = samples(run, arguments.background)
    outside = background.signal.diagnostics["outside"].mean()
    run.say(f"{100 * outside:.1f} % of the background events lie outside the training range of the signal")
    basis, truth = MorphingBasis.of(run.process), np.array([np.pi / 4, SHARE])
    estimates: dict[str, list[tuple[Array, Array]]] = {"with mass": [], "without mass": [], "background ignored": []}
    toys = min(signal.signal.n_events, background.signal.n_events) // SIZE
    for toy in range(toys):
        both, log_p, ratio = joined(run, signal, background, toy)
        for name, log_density in (("with mass", log_p + ratio), ("without mass", log_p)):
            result = fit(NegativeTwoLogLikelihood.of(*mixture_by_fractions(both, basis, {"diphoton": log_density})))
            near = result.nearest(truth)
            estimates[name].append((np.array(near.theta), np.array(near.error)))
        near = fit(NegativeTwoLogLikelihood.of(both, basis)).nearest(truth[:1])
        estimates["background ignored"].append((np.array(near.theta), np.array(near.error)))
    for name, found in estimates.items():
        theta, error = (np.array(column) for column in zip(*found, strict=True))
        for i, (label, scale) in enumerate((("alpha in degrees", 180 / np.pi), ("f", 1.0))[: theta.shape[1]]):
            pull = (theta[:, i] - truth[i]) / error[:, i]
            mean, mean_error, spread, _ = moments(theta[:, i] * scale)
            width, width_error = moments(pull[np.isfinite(pull)])[2:]
            run.say(
                f"{name}, {label}: {toys} samples, bias {mean - truth[i] * scale:+.3f} ± {mean_error:.3f}, "
                f"spread {spread:.3f}, pull width {width:.2f} ± {width_error:.2f}"
            )


if __name__ == "__main__":
    main()
