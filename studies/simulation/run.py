"""Acceptance and speed of the two simulation chains on an LHE file: python run.py FILE.lhe.gz [EVENTS]."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from bmem.channels.thj.lhe import ThjLHE
from bmem.channels.thj.response import ParametricResponse, pythia_response
from bmem.channels.thj.selection import Selection
from bmem.events.lhe import read_lhe
from bmem.events.record import HardEvents
from bmem.process import THJ
from bmem.simulation.contract import Response
from bmem.simulation.pairs import simulate
from bmem.simulation.settings import PythiaSettings


def measure(name: str, response: Response, hard: HardEvents) -> None:
    """Print what ``response`` accepts of ``hard``, and the time that it takes in one process with one thread."""
    begin = time.perf_counter()
    pairs = simulate(hard, response, Selection(), seed=1)
    seconds = time.perf_counter() - begin
    accepted, n = int(pairs.accepted.sum()), len(pairs)
    error = (accepted * (n - accepted) / n**3) ** 0.5
    speed = f"{1e3 * seconds / n:7.3f} ms/event   {n / seconds:9.0f} events/s"
    print(f"{name:<22} {accepted / n:.4f} ± {error:.4f} accepted   {speed}")


def main(path: Path, events: int) -> None:
    """Run the parametric chain over all events of the file, the Pythia chain over the first ``events``."""
    torch.set_num_threads(1)
    hard = THJ().to_hard(read_lhe(path, ThjLHE()))
    measure("parametric", ParametricResponse(), hard)
    hard = hard[:events]
    measure("Pythia without MPI", pythia_response(PythiaSettings(mpi=False)), hard)
    measure("Pythia with MPI", pythia_response(PythiaSettings(mpi=True)), hard)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2_000)
