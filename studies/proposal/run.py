"""What each step of the proposal gains, on the folder OUT of a finished run: python run.py CONFIG OUT [--pairs N ...].

The proposal is trained on the simulated pairs as the run did it, then refined on different numbers of pairs of the learned
transfer density. For held-out events the effective sample at several α and the share of heavy tails (Pareto k > 0.7) are
printed, of the first replica of the networks. Nothing is written.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from bmem.config import TRAINING, VALIDATION, load
from bmem.integration.diagnostics import PARETO_K_LIMIT, effective_fraction, pareto_k
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.refinement import learned_pairs, negative_log_likelihood
from bmem.rng import generator
from bmem.stages import Run
from bmem.stages.train import Networks, Pairs, build
from bmem.training.loop import fit

ANGLES = (0, 45, 90, 180)
POINTS = 512
EVENTS_AT_ONCE = 64
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """A finished run: its networks, its training pairs, and the held-out observables [E, 11]."""

    run: Run
    networks: Networks
    data: Pairs
    x_reco: torch.Tensor

    @classmethod
    def open(cls, config: Path, out: Path, events: int) -> Study:
        run = Run(load(config), out, Console(soft_wrap=True))
        x_reco = Pairs.load(run, VALIDATION).x_reco[:events]
        return cls(run, Networks.load(run), Pairs.load(run, TRAINING), x_reco)

    def trained_on_pairs(self) -> ResidualDensity:
        """The proposal before any refinement."""
        x_reco, x_hard = self.data.accepted_pairs
        proposal: ResidualDensity = build(self.run, "proposal")
        proposal.fit_scales(x_hard, x_reco)
        settings = self.run.config.proposal.training
        fit(proposal, negative_log_likelihood, (x_hard, x_reco), settings, self.run.seed("train", "proposal"))
        return proposal

    def refined(self, proposal: ResidualDensity, pairs: int) -> ResidualDensity:
        """A copy of ``proposal``, trained on so many pairs of the learned transfer."""
        rng = generator(self.run.config.seed, "refinement", "pairs")
        rows = learned_pairs(self.networks.transfer, self.data.accepted_pairs[1], pairs, rng)
        better = copy.deepcopy(proposal)
        settings = self.run.config.proposal.refinement
        fit(better, negative_log_likelihood, rows, settings, self.run.seed("train", "proposal.refinement"))
        return better

    def quality(self, proposal: ResidualDensity) -> tuple[Array, Array]:
        """Effective fractions and Pareto k at each of ``ANGLES``: [A, E]."""
        theta = torch.deg2rad(torch.tensor(ANGLES, dtype=torch.float64))[:, None]
        basis = self.run.process.basis(theta)
        n = self.networks
        integrand = Integrand(self.run.process, n.transfer.replica(0), n.acceptance.replica(0), proposal.eval(), self.x_reco)
        weights = [
            integrand(chunk, POINTS, [generator(1, "study", int(event)) for event in chunk])[0] @ basis.T
            for chunk in torch.arange(len(self.x_reco)).split(EVENTS_AT_ONCE)
        ]
        total = torch.cat(weights).permute(2, 0, 1).numpy()
        return effective_fraction(total), pareto_k(total)

    def steps(self, pairs: list[int]) -> Iterator[tuple[str, ResidualDensity, float]]:
        """(what it is, proposal, seconds) of every row of the table."""
        start = time.perf_counter()
        first = self.trained_on_pairs()
        yield "simulated pairs alone", first, time.perf_counter() - start
        for n in pairs:
            start = time.perf_counter()
            better = self.refined(first, n)
            yield f"refined on {n} pairs", better, time.perf_counter() - start
        yield "the proposal of the run", self.networks.proposal, math.nan


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=int, nargs="*", help="numbers of pairs; without: a third of the run's, and all")
    parser.add_argument("--events", type=int, default=256)
    arguments = parser.parse_args()
    study = Study.open(arguments.config, arguments.out, arguments.events)
    everything = study.run.config.proposal.refinement_pairs
    pairs = arguments.pairs if arguments.pairs is not None else [everything // 3, everything]
    titles = "".join(f" {angle}° |" for angle in ANGLES)
    print(f"| proposal | seconds |{titles} k > {PARETO_K_LIMIT} |\n|---|---|{'---|' * len(ANGLES)}---|")
    for name, proposal, seconds in study.steps(pairs):
        fractions, tails = study.quality(proposal)
        cells = "".join(f" {100 * np.median(f):.1f} / {100 * np.quantile(f, 0.05):.1f} |" for f in fractions)
        heavy = 100 * (tails > PARETO_K_LIMIT).mean()
        print(f"| {name} | {'' if math.isnan(seconds) else f'{seconds:.0f}'} |{cells} {heavy:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
