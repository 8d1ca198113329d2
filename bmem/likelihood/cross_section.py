"""Fiducial cross sections σ_k = ∫ dx s_k(x) ε(x): counted from simulated events, or integrated with a known ε.

Every event is normalised by the same σ_k, so an error of theirs shifts a measurement as the score of all events would. The
events of the simulation know them to 1/√N, which no acceptance that was learned from the same events improves on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem import artifacts
from bmem.errors import InputError
from bmem.events.record import HardEvents, PairedEvents
from bmem.integration.bootstrap import bootstrap_means, mean_with_covariance
from bmem.likelihood.nuisances import NONE, Nuisances
from bmem.process.contract import Process
from bmem.replicas.contract import Replicas
from bmem.rng import numpy_generator

Array = NDArray[np.float64]
KIND = "fiducial"
_GRID = 24
_CHUNK = 1 << 16
_LEARNED = 100_000
"""Hard events that are enough for the dependence of σ_k on nuisance parameters, which all of them share."""


@dataclass(frozen=True)
class FiducialCrossSection:
    """``values`` [R, K] in pb, their ``covariance`` [R, K, K] and ``bootstrap`` resamples [R, B, K] (or None).

    ``resampled``: those of a replica are of the resample of the simulation on which its networks were trained.
    """

    values: Array
    covariance: Array
    bootstrap: Array | None
    resampled: bool = False

    @property
    def mean(self) -> FiducialCrossSection:
        """The mean over the replicas as a single one, with the mean of their own errors."""
        return FiducialCrossSection(self.values.mean(0, keepdims=True), self.covariance.mean(0, keepdims=True), None)

    def nominal(self, components: int) -> FiducialCrossSection:
        """The same with nuisance parameters held at 0: the first of the ``components`` that go with their monomials."""
        first = slice(0, components)
        bootstrap = None if self.bootstrap is None else self.bootstrap[..., first]
        return replace(
            self, values=self.values[..., first], covariance=self.covariance[..., first, first], bootstrap=bootstrap
        )

    def with_coefficients(self, values: Array, exact: list[int]) -> FiducialCrossSection:
        """The same with other ``values`` [R, K], of which the ``exact`` ones have no error of their own."""
        covariance = self.covariance.copy()
        covariance[:, exact], covariance[:, :, exact] = 0.0, 0.0
        bootstrap = None
        if self.bootstrap is not None:
            bootstrap = self.bootstrap.copy()
            bootstrap[..., exact] = values[:, None, exact]
        return replace(self, values=values, covariance=covariance, bootstrap=bootstrap)

    def save(self, path: Path, settings: Mapping[str, Any], parents: Mapping[str, Path]) -> None:
        """Write as an artifact."""
        arrays: dict[str, Any] = {name: array for name, array in vars(self).items() if array is not None}
        artifacts.write(path, KIND, lambda p: np.savez(p, **arrays), settings, parents)

    @classmethod
    def load(cls, path: Path) -> FiducialCrossSection:
        """Read what ``save`` wrote.

        Raises:
            ArtifactError: the file is missing, foreign, damaged or of a newer format.
        """
        artifacts.verify(path, KIND)
        with np.load(path, allow_pickle=False) as stored:
            resampled = bool(stored.get("resampled"))
            return cls(stored["values"], stored["covariance"], stored.get("bootstrap"), resampled)


def fiducial_cross_section(
    process: Process, acceptance: Replicas, n: int, rng: torch.Generator, resamples: int = 0
) -> FiducialCrossSection:
    """Integrate an acceptance with ``n`` unweighted events of a mixture over θ, so that every component is well covered.

    The events are made on the CPU, the rest is done where the acceptance is.
    """
    thetas, device = mixture_grid(process), acceptance.device
    hard = process.sample(n, thetas[torch.arange(n, device=thetas.device) % len(thetas)], rng).to(device)
    mixture = mixture_coefficients(process).to(device)
    with torch.no_grad():
        weights = torch.cat([_weights(process, acceptance, x, mixture) for x in hard.x.split(_CHUNK)], dim=1)
    # events above the ceiling of the unweighting carry a weight, which says how often they should have come
    weights = weights * (hard.weight / hard.weight.mean())[:, None]
    values, covariance = mean_with_covariance(weights[:, None])
    bootstrap = bootstrap_means(weights, resamples, rng).cpu().numpy() if resamples else None
    return FiducialCrossSection(values[:, 0].cpu().numpy(), covariance[:, 0].cpu().numpy(), bootstrap)


def counted_cross_section(
    process: Process, pairs: PairedEvents, replicas: int, seed: int, resamples: int = 0, *, nuisances: Nuisances = NONE
) -> FiducialCrossSection:
    """σ_k of simulated ``pairs`` that were made uniform in θ, with the error of their finite number.

    One replica has this error in its covariance and resamples. Several have it in their differences, as it is of the sample
    that the networks were trained on: their mean is the counted value. The number of events is large, so it is Gaussian.
    With ``nuisances`` there are M K of them, see ``simulated_cross_section``.

    Raises:
        InputError: no event was accepted, or the pairs were not made with the nuisances of the detector.
    """
    sigma, covariance = simulated_cross_section(process, pairs, nuisances)
    rng = numpy_generator(seed, "fiducial")

    def errors(n: int) -> Array:
        return rng.multivariate_normal(np.zeros_like(sigma), covariance, size=n, method="eigh")

    if replicas == 1:
        return FiducialCrossSection(sigma[None], covariance[None], (sigma + errors(resamples))[None] if resamples else None)
    shifts = errors(replicas)
    values = sigma + (shifts - shifts.mean(0)) * np.sqrt(replicas / (replicas - 1))
    bootstrap = np.repeat(values[:, None], resamples, axis=1) if resamples else None
    return FiducialCrossSection(values, np.zeros((replicas, *covariance.shape)), bootstrap)


def resampled_cross_section(
    process: Process, pairs: PairedEvents, counts: Tensor, resamples: int = 0, *, nuisances: Nuisances = NONE
) -> FiducialCrossSection:
    """σ_k of the same ``pairs`` in each replica r, which takes hard event i as often as ``counts`` [R, N] say.

    The numbers of the hard events are those of ``HardEvents.numbers``. The error of the finite simulation is in the
    differences between replicas. With ``nuisances`` there are M K of them, see ``simulated_cross_section``.

    Raises:
        InputError: no event was accepted, or the pairs were not made with the nuisances of the detector.
    """
    accepted, tried, _ = _per_hard_event(process, pairs, nuisances)
    taken = (one.to(accepted) for one in counts)  # one after the other: all of them as float64 are large
    values = torch.stack([(one @ accepted) / (one @ tried) for one in taken]).cpu().numpy()
    bootstrap = np.repeat(values[:, None], resamples, axis=1) if resamples else None
    covariance = np.zeros((*values.shape, values.shape[1]))
    return FiducialCrossSection(values, covariance, bootstrap, resampled=True)


def with_learned_detector(
    process: Process, counted: FiducialCrossSection, acceptance: Replicas, hard: HardEvents, nuisances: Nuisances
) -> FiducialCrossSection:
    """``counted`` σ_k whose coefficients of the detector's ν are those of the learned ``acceptance``, relative to ν = 0.

    The densities of events have the learned acceptance in them: where its mean is wrong by c(ν), every event is, and n
    events shift ν by n d(log c)/dν times its variance. So what is learned of ν is normalised by itself, in each replica, at
    the same points ν. The ``hard`` events were made uniform in θ, with or without a response.
    """
    if not nuisances.detector:
        return counted
    device = acceptance.device
    events = hard[:_LEARNED].to(device)
    with torch.no_grad():
        parts = [_learned(process, acceptance, x, nuisances) for x in events.x.split(_CHUNK)]
    learned = (torch.stack(parts).sum(0) / len(events)).cpu().numpy()
    components = learned.shape[-1]
    mixture = mixture_coefficients(process).cpu().numpy()
    scale = (counted.values[:, :components] @ mixture) / (learned[:, 0] @ mixture)
    own = [m for m, power in enumerate(nuisances.basis.powers) if any(power[j] for j in nuisances.detector)]
    values = counted.values.reshape(len(learned), -1, components).copy()
    values[:, own] = scale[:, None, None] * learned[:, own]
    exact = [m * components + k for m in own for k in range(components)]
    return counted.with_coefficients(values.reshape(len(learned), -1), exact)


def _learned(process: Process, acceptance: Replicas, x: Tensor, nuisances: Nuisances) -> Tensor:
    """Sums over points x [n, D] of s_k ε over their mixture, as coefficients of the monomials [R, M, K]."""
    s = process.components(x)
    conditions, owner = nuisances.conditions(nuisances.points)
    varied = [torch.cat([x, row.to(x).expand(len(x), -1)], -1) for row in conditions]
    probability = torch.stack([acceptance("probability", one) for one in varied], -1)[..., owner]
    weights = nuisances.components(x, s, nuisances.points) / (s @ mixture_coefficients(process).to(s))[:, None, None]
    return weights.new_tensor(nuisances.transform) @ torch.einsum("rnm,nmk->rmk", probability, weights)


def simulated_cross_section(process: Process, pairs: PairedEvents, nuisances: Nuisances = NONE) -> tuple[Array, Array]:
    """σ_k [K] in pb and their covariance [K, K] from simulated ``pairs`` that were made uniform in θ, nothing learned.

    A hard event may have several responses. With ``nuisances`` they are [M K], the coefficients of the monomials: those of
    the detector by least squares from events that each have a ν of their own, those of the theory by weights.

    Raises:
        InputError: no event was accepted, or the pairs were not made with the nuisances of the detector.
    """
    accepted, tried, expected = _per_hard_event(process, pairs, nuisances)
    total, all_tried = accepted.sum(0), tried.sum()
    covariance = (accepted.T @ accepted - expected.T @ expected) / all_tried**2
    return (total / all_tried).cpu().numpy(), covariance.cpu().numpy()


def _per_hard_event(process: Process, pairs: PairedEvents, nuisances: Nuisances) -> tuple[Tensor, Tensor, Tensor]:
    """Of each hard event the sum of s_k over their mixture of its accepted responses [N, K], and how often it was tried [N].

    Responses to one hard event share its weight; they are no independent events. With nuisances they are [N, M K], what the
    event adds to the coefficient of each monomial. Third is what it does on average, [N, K] or [N, M K].
    """
    hard, numbers = pairs.accepted_hard, pairs.hard.numbers
    if not len(hard):
        raise InputError("σ_k from simulated events: none was accepted; give more events or loosen the selection")
    s, design = process.components(hard.x), nuisances.design(pairs.hard)
    scale, estimators = hard.weight / (s @ mixture_coefficients(process).to(s)), nuisances.estimators(design)
    weights = nuisances.monomial_components(hard.x, s) * (scale[:, None] * estimators[pairs.accepted])[..., None]
    count = int(numbers.max()) + 1
    accepted, tried = _sums(weights, numbers[pairs.accepted], count), _sums(pairs.hard.weight[:, None], numbers, count)[:, 0]
    mean = (accepted.sum(0) / len(pairs)).reshape(weights.shape[1:])
    return accepted, tried, _sums(nuisances.expected(design, mean) * estimators[..., None], numbers, count)


def _sums(values: Tensor, numbers: Tensor, count: int) -> Tensor:
    """Sums [count, F] of ``values`` [n, ...] of the same number [n], flattened."""
    return values.new_zeros(count, values[0].numel()).index_add_(0, numbers, values.flatten(1))


def mixture_grid(process: Process) -> Tensor:
    """Parameters [G, P] spread evenly over their bounds (a Latin design if there are several)."""
    steps = (torch.arange(_GRID, dtype=torch.float64, device="cpu") + 0.5) / _GRID
    columns = [p.bounds[0] + (p.bounds[1] - p.bounds[0]) * steps.roll(7 * i) for i, p in enumerate(process.parameters)]
    return torch.stack(columns, dim=-1)


def mixture_coefficients(process: Process) -> Tensor:
    """c [K] such that Σ_k c_k s_k(x) is the normalised density of hard events, averaged over ``mixture_grid``."""
    thetas = mixture_grid(process)
    sigma = thetas.new_tensor([process.cross_section(theta)[0] for theta in thetas])
    return (process.basis(thetas) / sigma[:, None]).mean(0)


def _weights(process: Process, acceptance: Replicas, x: Tensor, mixture: Tensor) -> Tensor:
    """s_k ε / (mixture density) at x: [R, n, K]."""
    s = process.components(x)
    return acceptance("probability", x)[..., None] * (s / (s @ mixture)[:, None])
