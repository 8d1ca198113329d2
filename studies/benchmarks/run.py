"""bmem against its peers: python run.py [--points N] [--repeats N] [--out OUT].

Prints tables and writes them to OUT/benchmarks.md and OUT/benchmarks.json; see README.md.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from peers import CONDITIONS, DIM, FLOORS, PEERS, Flow, products
from torch import Tensor

from bmem.replicas import Replicas

BATCH = 1024
REPLICAS = 16
Clock = Callable[[Callable[[], object]], float]


def best(repeats: int) -> Clock:
    """A clock that gives the shortest of ``repeats`` times in seconds, after a first call that is not counted."""

    def clock(function: Callable[[], object]) -> float:
        function()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return min(times)

    return clock


def in_slices(flow: Flow, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """The rows as the flow is called with them."""
    size = flow.slice or len(tensors[0])
    return list(zip(*(tensor.split(size) for tensor in tensors), strict=True))


def evaluation(flows: dict[str, Flow], points: int, clock: Clock) -> dict[str, dict[str, float]]:
    """Points per second: log_prob, sampling with density, and rows per second of a training step."""
    x, c = 0.02 + 0.96 * torch.rand(points, DIM), torch.randn(points, CONDITIONS)
    found: dict[str, dict[str, float]] = {}
    for name, flow in flows.items():
        with torch.no_grad():
            density = clock(lambda flow=flow: [flow.log_prob(*rows) for rows in in_slices(flow, x, c)])
            sampling = clock(lambda flow=flow: [flow.sample(*rows) for rows in in_slices(flow, c)])
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


def replicas(points: int, clock: Clock) -> dict[str, float]:
    """Seconds for log_prob of 16 networks at the same points: bmem's one call, and loops over bmem's and zuko's modules."""
    x, c = 0.02 + 0.96 * torch.rand(points, DIM), torch.randn(points, CONDITIONS)
    own, zuko = PEERS["bmem"](), [PEERS["zuko"]() for _ in range(REPLICAS)]
    modules = [copy.deepcopy(own.module) for _ in range(REPLICAS)]
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


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"))
    arguments = parser.parse_args()
    torch.manual_seed(1)
    clock = best(arguments.repeats)
    flows = {name: build() for name, build in PEERS.items()} | {name: products(dtype) for name, dtype in FLOORS.items()}
    speeds = evaluation(flows, arguments.points, clock)
    counted = {points: replicas(points, clock) for points in (16, 64, 256, 1024, 4096)}
    text = f"{torch.get_num_threads()} threads, torch {torch.__version__}\n\n{tables(speeds, counted)}"
    print(text)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmarks.md").write_text(text, encoding="utf-8")
    content = {"flows": speeds, "replicas": counted, "threads": torch.get_num_threads()}
    (arguments.out / "benchmarks.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
