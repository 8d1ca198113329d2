"""bmem against its peers: python run.py [flows] [physics] [measurement --run RUN] [stages --config TOML] [--out OUT].

Writes OUT/PART.md and OUT/PART.json for every part; see README.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from clock import best


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["flows", "physics"])
    parser.add_argument("--points", type=int, default=40_000, help="points of the flows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="of the flows")
    parser.add_argument("--run", type=Path, default=Path("out/quickstart"), help="folder of a finished run")
    parser.add_argument("--config", type=Path, default=Path("studies/quickstart/quickstart.toml"))
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"))
    arguments = parser.parse_args()
    torch.manual_seed(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts:
        text, numbers = measured(part, arguments)
        text = f"{torch.get_num_threads()} threads, torch {torch.__version__}, {arguments.device}\n\n{text}"
        print(text, flush=True)
        (arguments.out / f"{part}.md").write_text(text, encoding="utf-8")
        (arguments.out / f"{part}.json").write_text(json.dumps(numbers, indent=1), encoding="utf-8")


def measured(part: str, arguments: argparse.Namespace) -> tuple[str, Any]:
    """The table of a part as text, and its numbers; a part needs only its own packages."""
    clock = best(arguments.repeats)
    if part == "flows":
        import flows

        return flows.measure(arguments.points, clock, arguments.device)
    if part == "physics":
        import physics

        return physics.measure(clock)
    if part == "measurement":
        import measurement

        return measurement.measure(arguments.run, clock)
    if part == "stages":
        import stages

        return stages.measure(arguments.config, arguments.out / "run")
    raise SystemExit(f"there is no part {part!r}: flows, physics, measurement or stages")


if __name__ == "__main__":
    main()
