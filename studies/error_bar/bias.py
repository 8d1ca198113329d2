"""The bias of the networks of a run: mean scores of its validation events, with those of x_hard as control variate."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from bmem.chain import validation
from bmem.config import TRAINING, VALIDATION, parse
from bmem.events import parquet
from bmem.inference.bias import Validation
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.cross_section import FiducialCrossSection, simulated_cross_section
from bmem.stages import Run
from bmem.stages.train import chain_of, load_networks, load_pairs

ANGLES = (15, 30, 45, 60)
EVENTS, POINTS = 30_000, 64
"""More than a run takes: most of the fluctuation is between events, not between the points of one."""


def biases(folder: Path, events: int) -> dict[str, float]:
    """Shift of the estimate in degrees, its error, and for comparison the error of the counted σ_k, at ``ANGLES``."""
    run = Run(parse(json.loads((folder / "config.json").read_text(encoding="utf-8"))), folder, Console(stderr=True))
    sigma, covariance = simulated_cross_section(run.process, parquet.read_pairs(run.events(TRAINING)))
    counted = FiducialCrossSection(sigma[None], covariance[None], None)
    basis, found = MorphingBasis.of(run.process), integrated(run, counted, events)
    results = {"bias_events": float(len(found.exact))}
    for degrees in ANGLES:
        theta = np.radians([degrees])
        mean, variance, _ = found.score(basis, theta)
        information = hard_information(found, basis, theta)
        b, slope = basis.value(theta), basis.gradient(theta)[0]
        moved = slope / (b @ sigma) - (slope @ sigma) * b / (b @ sigma) ** 2
        errors = {"": mean[0], "_error": np.sqrt(variance[0, 0]), "_counting": np.sqrt(moved @ covariance @ moved)}
        results |= {f"bias_deg{what}_{degrees}": float(np.degrees(value / information)) for what, value in errors.items()}
    return results


def integrated(run: Run, fiducial: FiducialCrossSection, events: int) -> Validation:
    """The first ``events`` validation events, in the replicas of the run in turns."""
    x_reco, x_hard = (rows[:events] for rows in load_pairs(run, VALIDATION).accepted_pairs)
    points = replace(run.config.integration, min_points=POINTS, max_points=POINTS, resamples=0)
    integrator = replace(chain_of(run).integrator(load_networks(run), fiducial, "bias", points), in_turns=True)
    observed = integrator.coefficients(x_reco, partial(print, end="\r"))
    return validation(run.process, observed, x_hard)


def hard_information(found: Validation, basis: MorphingBasis, theta: np.ndarray) -> float:
    """Fisher information on the only parameter in one event made at ``theta``, with x_hard known."""
    b, slope = basis.value(theta), basis.gradient(theta)[0]
    weight = found.exact @ b / (found.exact @ found.mixture)
    score = found.exact @ slope / (found.exact @ b)
    return float(np.average((score - np.average(score, weights=weight)) ** 2, weights=weight))
