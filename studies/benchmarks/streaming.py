"""Seconds per event and peak memory of integration from 10³ to 10⁶ events, each number of events in a process of its own.

    python studies/benchmarks/streaming.py --events 1000 10000 100000 --points 256

The toy is linear and Gaussian, its transfer density and proposal are known in closed form, so that the cost is that of
integration itself: random numbers, means and covariances, diagnostics, files. Integrals go to checkpoint files and from
there into one file of coefficients, as in ``bmem integrate``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.distributions import Normal

from bmem.integration.importance import stream
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coefficients import CoefficientBlocks, Coefficients
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.integrals_file import integral_blocks
from bmem.likelihood.integrand import Integrand
from bmem.networks.contract import Classifier, ConditionalDensity
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.rng import generator

TOY = LinearGaussian()
WIDTH = 0.8
"""Of the proposal, wider than any posterior of the toy."""


class Transfer(ConditionalDensity):
    """The response of the toy; x_reco is scaled by a weight, that there may be replicas."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        return TOY.transfer_log_prob(x / self.scale, condition) - x.shape[-1] * self.scale.log()


class Proposal(ConditionalDensity):
    """A Gaussian around A⁻¹ x_reco."""

    noise_dim = 2

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        normal = Normal(condition @ torch.linalg.inv(TOY.response_matrix).T, WIDTH)
        x = normal.icdf(noise)
        return x, normal.log_prob(x).sum(-1)


class Everything(Classifier):
    """Accepts every event; its only weight is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unused", torch.zeros(1, dtype=torch.float64))

    def logit(self, features: Tensor) -> Tensor:
        return torch.full_like(features[..., 0], 60.0)


def integrate_to_file(n: int, points: int, replicas: int, folder: Path) -> None:
    """Integrate ``n`` events and write their coefficients."""
    x_hard = TOY.sample(n, torch.zeros(1, dtype=torch.float64), generator(1, "hard")).x
    x_reco = TOY.response(x_hard, generator(1, "response"))
    transfer = Replicas.of(*(Transfer(1 + 0.01 * r) for r in range(replicas)))
    acceptance = Replicas.of(*(Everything() for _ in range(replicas)))
    integrand = Integrand(TOY, transfer, acceptance, Proposal(), x_reco)
    settings = IntegrationSettings(min_points=points, max_points=points)
    kept = integral_blocks(folder / "blocks", {})
    fiducial = np.tile(TOY.fiducial().numpy(), (replicas, 1))

    def blocks() -> Iterator[tuple[int, Coefficients]]:
        for block, found in stream(integrand, n, mixture_coefficients(TOY), settings, 1, kept=kept):
            error = np.zeros((*fiducial.shape, fiducial.shape[1]))
            yield block.start, Coefficients(found.values, found.covariance, fiducial, error, found.diagnostics())

    CoefficientBlocks(n, blocks()).save(folder / "coefficients.nc")


def measure(n: int, points: int, replicas: int) -> dict[str, float]:
    """One process: seconds and peak memory before and after."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        integrate_to_file(2, points, replicas, Path(folder) / "first")
        before, start, busy = _peak(), time.perf_counter(), time.process_time()
        integrate_to_file(n, points, replicas, Path(folder) / "own")
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        size = (Path(folder) / "own" / "coefficients.nc").stat().st_size
    return {"events": n, "seconds": seconds, "cpu": busy, "before": before, "peak": _peak(), "file": size / 2**20}


def _peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--points", type=int, default=256)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.events[0], options.points, options.replicas)))
        return
    table = Table("events", "seconds", "ms per event", "CPU ms per event", "peak MiB", "file MiB")
    shared = ["--points", str(options.points), "--replicas", str(options.replicas), "--one"]
    for n in options.events:
        command = [sys.executable, __file__, "--events", str(n), *shared]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rates = f"{1e3 * found['seconds'] / n:.2f}", f"{1e3 * found['cpu'] / n:.2f}"
        table.add_row(f"{n}", f"{found['seconds']:.0f}", *rates, f"{found['peak']:.0f}", f"{found['file']:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
