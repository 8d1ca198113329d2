"""Matrix elements, parton densities and simulation, against Pythia called event by event."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from clock import Clock, once

from bmem.channels.thj.response import ParametricResponse, pythia_response
from bmem.channels.thj.selection import Selection
from bmem.events.lhe import write_lhe
from bmem.events.record import HardEvents
from bmem.process import THJ, PDFGrid, pythia_grid
from bmem.rng import generator
from bmem.simulation.pairs import simulate
from bmem.simulation.pythia import PythiaResponse, start
from bmem.simulation.settings import PythiaSettings

POINTS = 100_000
LOOPED = 20_000
SHOWERED = 1000
SCALE = 148.75


def measure(clock: Clock) -> tuple[str, dict[str, float]]:
    """The table as text, and the rates per second."""
    rates = matrix_elements(clock) | densities(clock) | simulation()
    lines = ["| what | per second |", "|---|---|", *(f"| {name} | {rate:,.0f} |" for name, rate in rates.items())]
    return "\n".join(lines) + "\n", rates


def matrix_elements(clock: Clock) -> dict[str, float]:
    """|M|² of one channel at one α, and the components of dσ/dx_hard: all channels, both beams, every α."""
    process = THJ()
    hard = process.sample(POINTS, torch.zeros(1, dtype=torch.float64), generator(1, "benchmark"))
    momenta = process.to_momenta(hard)[:, (0, 1, 4, 2, 3)]
    return {
        "matrix elements of u b > d t h": POINTS / clock(lambda: process.squared_amplitude((2, 5, 1, 6, 25), momenta, 0.5)),
        "points of dσ/dx_hard with all channels, for every α": POINTS / clock(lambda: process.components(hard.x)),
    }


def densities(clock: Clock) -> dict[str, float]:
    """One flavour at points in x, in a batch and by Pythia in a loop."""
    grid = PDFGrid.read(pythia_grid())
    x = torch.logspace(-4, -0.5, POINTS, dtype=torch.float64)
    scale = torch.full_like(x, SCALE)
    # The same grid as bmem's: NNPDF2.3 LO with α_s = 0.130.
    pythia = start(["Print:quiet = on", "PDF:pSet = 13", "ProcessLevel:all = off"])
    pdf, values = pythia.getPDFPtr(2212), x[:LOOPED].tolist()
    return {
        "parton densities, batched": POINTS / clock(lambda: grid.xf(2, x, scale)),
        "parton densities, Pythia in a loop": LOOPED / clock(lambda: [pdf.xf(2, value, SCALE**2) for value in values]),
    }


def simulation() -> dict[str, float]:
    """Events of the two chains with selection, one process, and Pythia's own loop over the same hard events."""
    process, selection = THJ(), Selection()
    hard = process.sample(POINTS, torch.zeros(1, dtype=torch.float64), generator(2, "benchmark"))
    few, showering = hard[:SHOWERED], pythia_response(PythiaSettings(mpi=False), process.space)
    return {
        "events, parametric chain": POINTS / once(lambda: simulate(hard, ParametricResponse(), selection, seed=1)),
        "events, Pythia chain to the selected event": SHOWERED
        / once(lambda: simulate(few, showering, selection, seed=1)),
        "events, Pythia alone in a loop": SHOWERED / _plain_pythia(few, showering),
    }


def _plain_pythia(hard: HardEvents, response: PythiaResponse) -> float:
    """Seconds of Pythia's event loop alone: no jets, no detector, no Python objects made of the particles."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hard.lhe"
        write_lhe(path, response.hard.record(hard), response.hard.content)
        pythia = start(response.lines(path, 1))
        return once(lambda: [pythia.next() for _ in range(SHOWERED)])
