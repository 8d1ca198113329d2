"""A small measurement on a device and on the CPU: python device_check.py --device cuda [--events N].

Simulates tHj, trains the three networks, evaluates their densities and integrates events, each on both, and compares
events, losses, log densities and integrals with stated tolerances; ends with an error if one is exceeded. Random numbers are
drawn on the CPU for both, so all differences are rounding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bmem.channels import load_channel
from bmem.channels.contract import Channel
from bmem.devices import chosen
from bmem.integration.importance import integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.roles import Acceptance, Pairs, Proposal, Role, Transfer
from bmem.networks.classifiers.perceptron import PerceptronSettings
from bmem.networks.densities.coupling import CouplingSettings
from bmem.replicas import PointEstimate, Replicas
from bmem.rng import generator
from bmem.simulation.pairs import simulate
from bmem.training import TrainingSettings

CPU = torch.device("cpu")
EVENTS = 1e-9
"""Relative, of coordinates in double precision: some thousand operations of 1e-16, near cancellations more."""
LOSS = 1e-2
"""In nats: single precision, whose rounding an optimiser amplifies from step to step."""
LOG_DENSITY = 2e-3
"""In nats: single precision, 6e-8 of numbers of some ten, through some dozen layers and the slopes of splines."""
INTEGRAL = 2e-3
"""Of the largest component of an event: that of the log densities, if all points err alike."""


@dataclass(frozen=True)
class Check:
    """What was compared: the largest ``difference``, what is allowed, and the seconds on CPU and device."""

    name: str
    difference: float
    tolerance: float
    seconds: tuple[float, float]

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance

    @property
    def row(self) -> str:
        cpu, device = self.seconds
        compared = f"{self.difference:.1e} | {self.tolerance:.0e}"
        return f"| {self.name} | {compared} | {cpu:.2f} s | {device:.2f} s | {cpu / device:.2g} |"


def main() -> None:
    """Compare and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", help="as in the configuration: cuda, cuda:1, auto, cpu")
    parser.add_argument("--events", type=int, default=40_000, help="hard events; some 15 %% are accepted")
    parser.add_argument("--points", type=int, default=4096, help="of each integral")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    device = chosen(arguments.device)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads against {device}\n")
    print("| what | largest difference | allowed | CPU | device | ratio |\n|---|---|---|---|---|---|", flush=True)
    failed = [check.name for check in checks(device, arguments) if not check.passed]
    if failed:
        raise SystemExit(f"differences beyond what is allowed: {', '.join(failed)}")


def checks(device: torch.device, arguments: argparse.Namespace) -> list[Check]:
    """All comparisons, printed as they are made."""
    channel, found = load_channel("thj"), []

    def compare(name: str, work: Callable[[torch.device], Any], apart: Callable[[Any, Any], float], allowed: float) -> Any:
        (here, there), seconds = zip(*(timed(work, place) for place in (CPU, device)), strict=True)
        found.append(Check(name, apart(here, there), allowed, seconds))
        print(found[-1].row, flush=True)
        return here

    seen = compare("simulated events", lambda place: simulated(channel, arguments.events, place), pairs_apart, EVENTS)
    made: dict[str, Replicas] = {}
    for name, role in named_roles(channel, arguments.epochs).items():
        work = partial(trained, role, seen, made)
        made[name] = compare(f"training, {name}", work, losses_apart, LOSS)[0]
    compare("log densities", lambda place: log_densities(made, seen, place), apart, LOG_DENSITY)
    compare("integrals", lambda place: integrals(channel, made, seen, arguments.points, place), relatively_apart, INTEGRAL)
    return found


def timed(work: Callable[[torch.device], Any], place: torch.device) -> tuple[Any, float]:
    """What ``work`` returns there, and how long the second of two calls takes: the first makes ready."""
    work(place)
    start = time.perf_counter()
    result = work(place)
    if place.type != "cpu":
        torch.accelerator.synchronize(place)
    return result, time.perf_counter() - start


def named_roles(channel: Channel, epochs: int) -> dict[str, Role]:
    """The networks of a measurement, with the sizes of the defaults and a short training."""
    training, coupling = TrainingSettings(epochs=epochs, batch_size=512), CouplingSettings()
    roles: tuple[Role, ...] = (
        Transfer("transfer", channel.transfer, training, coupling),
        Acceptance("acceptance", channel.transfer, training, PerceptronSettings()),
        Proposal("proposal", channel.proposal, training, coupling, 0.1, 4096, channel.process),
    )
    return {role.name: role for role in roles}


def simulated(channel: Channel, events: int, place: torch.device) -> Pairs:
    """Pairs of the parametric response, at angles over the whole period."""
    theta = torch.linspace(-3, 3, events, dtype=torch.float64, device=place)[:, None]
    hard = channel.process.sample(events, theta, generator(1))
    pairs = simulate(hard, channel.response, channel.selection, seed=2)
    return Pairs(pairs.hard.x, pairs.accepted, channel.observe(pairs.reco))


def trained(role: Role, seen: Pairs, made: dict[str, Replicas], place: torch.device) -> tuple[Replicas, list[float]]:
    """The network, and its held-out losses."""
    module, posterior = role.build().to(place), PointEstimate()
    data = role.prepare(module, seen.to(place), {name: made[name].to(place) for name in role.follows})
    history = posterior.fit(module, role.objective, data, role.training, seed=3)
    return posterior.sample(1, generator(4)), history.validation_loss


def log_densities(made: dict[str, Replicas], seen: Pairs, place: torch.device) -> Tensor:
    """Of the accepted pairs, under the networks trained on the CPU."""
    there = {name: replicas.to(place) for name, replicas in made.items()}
    x_reco, x_hard = seen.to(place).accepted_pairs
    with torch.no_grad():
        densities = [there["transfer"]("log_prob", x_reco, x_hard), there["proposal"]("log_prob", x_hard, x_reco)]
        return torch.cat([*densities, there["acceptance"]("logit", x_hard)])


def integrals(channel: Channel, made: dict[str, Replicas], seen: Pairs, points: int, place: torch.device) -> Tensor:
    """Of 50 events in one replica, [1, N, K], with networks trained on the CPU and the same points."""
    transfer, acceptance, proposal = (made[name].to(place) for name in ("transfer", "acceptance", "proposal"))
    integrand = Integrand(channel.process, transfer, acceptance, proposal.module, seen.x_reco[:50].to(place))  # type: ignore[arg-type]
    settings = IntegrationSettings(min_points=points, max_points=points)
    reference = mixture_coefficients(channel.process)
    return torch.as_tensor(integrate(integrand, len(integrand.x_reco), reference, settings, seed=5).values)


def pairs_apart(here: Pairs, there: Pairs) -> float:
    """Relative difference of coordinates and observables; infinite if other events are accepted."""
    there = there.to(CPU)
    if not torch.equal(here.accepted, there.accepted):
        return float("inf")
    columns = ((here.x_hard, there.x_hard), (here.x_reco, there.x_reco))
    return max(float(((a - b).abs() / a.abs().clamp(min=1.0)).max()) for a, b in columns)


def losses_apart(here: tuple[Replicas, list[float]], there: tuple[Replicas, list[float]]) -> float:
    """In nats, over the epochs."""
    return max(abs(a - b) for a, b in zip(here[1], there[1], strict=True))


def apart(here: Tensor, there: Tensor) -> float:
    """Largest absolute difference."""
    return float((here - there.to(CPU)).abs().max())


def relatively_apart(here: Tensor, there: Tensor) -> float:
    """The same over the largest component of an event."""
    return float(((here - there.to(CPU)).abs().amax(-1) / here.abs().amax(-1)).max())


if __name__ == "__main__":
    main()
