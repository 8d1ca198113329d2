"""Coupling flows of one architecture: densities, sampling, a training step, and 16 replicas."""

from __future__ import annotations

import copy

import torch
from clock import Clock
from peers import CONDITIONS, DIM, FLOORS, PEERS, Flow, products
from torch import Tensor

from bmem.replicas import Replicas

BATCH = SLICE = 1024
REPLICAS = 16
REPLICA_POINTS = (16, 64, 256, 1024, 4096)


def measure(points: int, clock: Clock, device: torch.device) -> tuple[str, dict[str, object]]:
    """The tables as text, and the numbers."""
    flows = {name: build() for name, build in PEERS.items()} | {name: products(dtype) for name, dtype in FLOORS.items()}
    speeds = evaluation(flows, points, clock, device)
    counted = {n: replicas(n, clock, device) for n in REPLICA_POINTS}
    return tables(speeds, counted), {"flows": speeds, "replicas": counted}


def in_slices(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """The rows as every flow is called with them: on a CPU so many that what a layer makes stays in the cache."""
    size = len(tensors[0]) if tensors[0].is_cuda else SLICE
    return list(zip(*(tensor.split(size) for tensor in tensors), strict=True))


def drawn(points: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Points inside the unit cube, and conditions."""
    return 0.02 + 0.96 * torch.rand(points, DIM, device=device), torch.randn(points, CONDITIONS, device=device)


def evaluation(flows: dict[str, Flow], points: int, clock: Clock, device: torch.device) -> dict[str, dict[str, float]]:
    """Points per second: log_prob, sampling with density, and rows per second of a training step."""
    x, c = drawn(points, device)
    found: dict[str, dict[str, float]] = {}
    for name, flow in flows.items():
        flow.module.to(device)
        with torch.no_grad():
            density = clock(lambda flow=flow: [flow.log_prob(*rows) for rows in in_slices(x, c)])
            sampling = clock(lambda flow=flow: [flow.sample(*rows) for rows in in_slices(c)])
        step = clock(lambda flow=flow: training_step(flow, x[:BATCH], c[:BATCH]))
        found[name] = {"log_prob": points / density, "sample": points / sampling, "training": BATCH / step}
        print(f"{name:20s}" + "".join(f"  {key} {value:9.0f}/s" for key, value in found[name].items()), flush=True)
    return found


def training_step(flow: Flow, x: Tensor, c: Tensor) -> None:
    """Loss, gradients and a step of Adam."""
    optimizer = torch.optim.Adam(flow.module.parameters(), lr=0.0, fused=True)
    loss = -flow.log_prob(x, c).float().mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def replicas(points: int, clock: Clock, device: torch.device) -> dict[str, float]:
    """Seconds for log_prob of 16 networks at the same points: bmem's one call, and loops over bmem's and zuko's modules."""
    x, c = drawn(points, device)
    own, zuko = PEERS["bmem"](), [PEERS["zuko"]() for _ in range(REPLICAS)]
    modules = [copy.deepcopy(own.module).to(device) for _ in range(REPLICAS)]
    for flow in zuko:
        flow.module.to(device)
    stacked = Replicas.of(*modules)
    with torch.no_grad():
        return {
            "one call": clock(lambda: stacked("log_prob", x, c)),
            "loop over bmem": clock(lambda: [module.log_prob(x, c) for module in modules]),
            "loop over zuko": clock(lambda: [flow.log_prob(x, c) for flow in zuko]),
        }


def tables(speeds: dict[str, dict[str, float]], counted: dict[int, dict[str, float]]) -> str:
    """Everything as ratios within this run."""
    fastest = {key: max(speeds[name][key] for name in PEERS if name != "bmem") for key in speeds["bmem"]}
    lines = ["| flow | log_prob | sampling | training step |", "|---|---|---|---|"]
    for name, row in speeds.items():
        cells = (f"{row[key]:,.0f}/s ({row[key] / fastest[key]:.2f})" for key in fastest)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"| points | one call of {REPLICAS} replicas | loop over bmem | loop over zuko |", "|---|---|---|---|"]
    for points, row in counted.items():
        cells = (f"{1000 * value:.0f} ms ({value / row['one call']:.1f})" for value in row.values())
        lines.append(f"| {points} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
