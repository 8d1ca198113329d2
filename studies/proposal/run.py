"""What each step of the proposal gains, on the folder OUT of a finished run: python run.py CONFIG OUT [--events N] [--long].

The proposal of the run, trained on pairs of the learned transfer density balanced for the worst α, is compared with ones
that miss one of its steps, trained on as many pairs. For held-out events the effective sample at several α and the share of
heavy tails (Pareto k > 0.7) are printed, of the first replica of the networks. --long: instead, a wider proposal trained on
twice as many pairs. Nothing is written.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from bmem.channels.thj.coordinates import ThjHard
from bmem.config import TRAINING, VALIDATION, load
from bmem.integration.diagnostics import PARETO_K_LIMIT, effective_fraction, pareto_k
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.networks import Networks
from bmem.likelihood.proposal import LearnedPairs
from bmem.likelihood.roles import Pairs
from bmem.networks import CouplingSettings, negative_log_likelihood
from bmem.rng import generator
from bmem.stages import Run
from bmem.stages.train import load_networks, load_pairs
from bmem.training import Rows, Supply, TrainingSettings, train

ANGLES = (0, 45, 90, 180)
POINTS = 512
EVENTS_AT_ONCE = 64
SHALLOW = CouplingSettings(blocks=6, hidden=192, layers=2, bins=10)
"""As many weights as the default, in wider and fewer layers."""
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
        x_reco = load_pairs(run, VALIDATION).x_reco[:events]
        return cls(run, load_networks(run), load_pairs(run, TRAINING), x_reco)

    def trained(self, data: Rows | Supply, network: CouplingSettings, training: TrainingSettings) -> ResidualDensity:
        """A proposal trained on ``data``."""
        x_reco, x_hard = self.data.accepted_pairs
        proposal = ResidualDensity(ThjHard(), network, self.run.config.proposal.defensive)
        proposal.fit_scales(x_hard, x_reco)
        train(proposal, negative_log_likelihood, data, training, self.run.seed("train", "proposal"))
        return proposal

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

    def steps(self) -> Iterator[tuple[str, ResidualDensity]]:
        """(what it is, proposal) of every row of the table."""
        section = self.run.config.proposal
        training = section.training
        x_reco, x_hard = self.data.accepted_pairs
        balanced = LearnedPairs.balanced(self.run.process, self.networks.transfer, x_hard)
        uniform = replace(balanced, weight=torch.ones_like(balanced.weight))
        passes = math.ceil(section.pairs * training.epochs / len(x_hard))
        again = replace(training, epochs=passes, patience=passes)
        yield "simulated pairs", self.trained((x_hard, x_reco), section.network, again)
        yield "learned pairs, uniform in α", self.trained(Supply(uniform.draw, section.pairs), section.network, training)
        slower = replace(training, learning_rate=training.learning_rate / 2)
        yield "balanced, wide and shallow", self.trained(Supply(balanced.draw, section.pairs), SHALLOW, slower)
        yield "balanced, of the run", self.networks.proposal

    def longer(self) -> Iterator[tuple[str, ResidualDensity]]:
        """What a wider proposal gains that sees twice as many pairs."""
        section = self.run.config.proposal
        pairs = LearnedPairs.balanced(self.run.process, self.networks.transfer, self.data.accepted_pairs[1])
        training = section.training
        twice = replace(training, epochs=2 * training.epochs, learning_rate=0.75 * training.learning_rate)
        wider = replace(section.network, hidden=section.network.hidden * 3 // 2)
        yield (
            f"balanced, {wider.hidden} units, twice the pairs",
            self.trained(Supply(pairs.draw, section.pairs), wider, twice),
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--events", type=int, default=256)
    parser.add_argument("--long", action="store_true", help="train a wider proposal on twice as many pairs")
    arguments = parser.parse_args()
    study = Study.open(arguments.config, arguments.out, arguments.events)
    titles = "".join(f" {angle}° |" for angle in ANGLES)
    print(f"| proposal | seconds |{titles} k > {PARETO_K_LIMIT} |\n|---|---|{'---|' * len(ANGLES)}---|")
    start = time.perf_counter()
    for name, proposal in study.longer() if arguments.long else study.steps():
        seconds = time.perf_counter() - start
        fractions, tails = study.quality(proposal)
        cells = "".join(f" {100 * np.median(f):.1f} / {100 * np.quantile(f, 0.05):.1f} |" for f in fractions)
        print(f"| {name} | {seconds:.0f} |{cells} {100 * (tails > PARETO_K_LIMIT).mean():.1f} % |", flush=True)
        start = time.perf_counter()


if __name__ == "__main__":
    main()
