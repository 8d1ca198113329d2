"""How far the theory moves the estimate: accepted events with x_hard known, fitted under the nominal and another theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from iminuit.cost import NormalConstraint

import bmem
from bmem.channels.thj.channel import ThjChannel
from bmem.config import NuisanceSection
from bmem.events.record import PairedEvents
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.minima import fit
from bmem.inference.ranking import impacts
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import simulated_cross_section
from bmem.likelihood.nuisances import Nuisances

TRAINING, EVENTS, MEASURED = 200_000, 40_000, 100
"""Hard events for σ_k and of each sample, and the size of the measurement whose impacts are quoted."""
ALPHAS = (15.0, 30.0, 45.0, 60.0, 90.0)
GRIDS = ("NNPDF31_lo_as_0130_0000.dat", "NNPDF31_lo_as_0118_0000.dat", "NNPDF31_nnlo_as_0118_luxqed_0000.dat")
"""Parton densities that come with Pythia 8."""
STATED = (
    *(NuisanceSection(name=f"pdf{i}", kind="parton_densities", up=grid) for i, grid in enumerate(GRIDS)),
    NuisanceSection(name="scale", kind="factorisation_scale"),
)


@dataclass(frozen=True)
class Known:
    """σ_k(ν), and the integrals of a sample as if x_hard had been measured."""

    channel: ThjChannel
    nuisances: Nuisances
    sigma: np.ndarray

    @classmethod
    def of(cls, chain: bmem.Chain) -> Known:
        pairs = chain.simulate(TRAINING)
        channel = chain.channel
        assert isinstance(channel, ThjChannel)
        return cls(channel, chain.nuisances, simulated_cross_section(channel.process, pairs, chain.nuisances)[0])

    def coefficients(self, pairs: PairedEvents) -> Coefficients:
        x = pairs.accepted_hard.x
        s = self.channel.process.components(x)
        values = self.nuisances.components(x, s, self.nuisances.points)
        monomials = torch.as_tensor(self.nuisances.transform) @ values
        return Coefficients.exact(monomials.flatten(1).numpy(), self.sigma)

    def shifts(self, coefficients: Coefficients, alpha: float) -> dict[str, list[float]]:
        """Shift in degrees of the estimate from all events where one ν is held at each of its nodes instead of 0."""
        basis = MorphingBasis.of(self.channel.process)
        found = {}
        nominal = self._estimate(coefficients.nominal(6), basis, alpha)
        for j, entry in enumerate(self.nuisances.entries):
            found[entry.name] = []
            for node in sorted(entry.nodes):
                at = np.zeros(len(self.nuisances))
                at[j] = node
                weights = np.kron(self.nuisances.basis.value(at), np.eye(6))
                moved = Coefficients.exact(coefficients.values[0] @ weights.T, coefficients.fiducial[0] @ weights.T)
                found[entry.name].append(round(self._estimate(moved, basis, alpha) - nominal, 3))
        return found

    def _estimate(self, coefficients: Coefficients, basis: MorphingBasis, alpha: float) -> float:
        result = fit(Hypothesis.of(coefficients, basis).likelihood())
        return float(np.degrees(result.nearest([np.radians(alpha)]).theta[0]))

    def measured(self, coefficients: Coefficients, alpha: float) -> dict[str, float]:
        """Errors of a measurement of ``MEASURED`` events with the last PDF and the scale free, from that of all events."""
        kept = Hypothesis.of(
            coefficients,
            MorphingBasis.of(self.channel.process),
            constraints=[NormalConstraint(e.name, 0.0, 1.0) for e in self.nuisances.entries],
            nuisances=self.nuisances.basis,
        )
        total = kept.constrained(kept.likelihood())
        best = fit(total).nearest([np.radians(alpha), *np.zeros(len(self.nuisances))])
        ranked = impacts(total.estimator, best, kept.constraints)
        return {impact.parameter.name: round(float(np.degrees(impact.size)), 3) for impact in ranked}


def sizes() -> dict[str, dict[str, list[float]]]:
    """Shifts in degrees by α and nuisance parameter."""
    chain = bmem.Chain("thj", nuisances=STATED)
    known = Known.of(chain)
    found = {}
    for alpha in ALPHAS:
        coefficients = known.coefficients(chain.simulate(EVENTS, alpha=alpha))
        found[f"{alpha:g}"] = known.shifts(coefficients, alpha)
        print(alpha, found[f"{alpha:g}"], flush=True)
    return found
