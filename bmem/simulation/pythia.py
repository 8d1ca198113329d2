"""The Pythia response: hard events → shower, hadrons and decays by Pythia 8 → anti-kt jets → detector.

Pythia: C. Bierlich et al., SciPost Phys. Codebases 8 (2022). The top decays to hadrons only and the Higgs boson to two
photons only, so that every event is one of the channel that is measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import awkward as ak
import numpy as np
import pythia8mc
import torch
from torch import Tensor

from bmem.errors import ConfigError, InputError
from bmem.events.lhe import LHERecord, write_lhe
from bmem.events.lhe_content import LHEContent
from bmem.events.record import HardEvents
from bmem.process.phase_space import PhaseSpace
from bmem.simulation.checks import check_numbers
from bmem.simulation.contract import THJ_PHASE_SPACE, SimulatedEvents
from bmem.simulation.detector import DetectorSettings, TruthEvents, detect
from bmem.simulation.particles import truth_events

_BATCH = 200
"""Events whose records are in memory at once; the result does not depend on it."""
_FIELDS = ["id", "status", "mother1", "p"]
_HARD_RESONANCE = -22
"""Pythia's status of the t and H of the hard process."""


@dataclass(frozen=True)
class PythiaSettings:
    """Settings of the Pythia response; masses and widths in GeV."""

    detector: DetectorSettings = field(default_factory=DetectorSettings)
    mpi: bool = True
    """Multiple parton interactions (the underlying event): realistic, but several times slower than without."""
    attempts: int = 3
    """How often an event is tried before it counts as failed."""
    w_mass: float = 80.419
    """Mass of the W boson."""
    w_width: float = 2.085
    """Width of the W boson."""
    extra: tuple[str, ...] = ()
    """Further Pythia settings, like "Tune:pp = 14"; they come last and so overrule the others."""

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.attempts < 1:
            raise ConfigError(f"PythiaSettings: attempts = {self.attempts} must be at least 1")

    def lines(self, lhe: Path, seed: int) -> list[str]:
        """The settings in Pythia's own words; the masses of t and H are those of the LHE file."""
        return [
            "Print:quiet = on",
            "SLHA:verbose = 0",
            "Beams:frameType = 4",
            f"Beams:LHEF = {lhe}",
            "Random:setSeed = on",
            f"Random:seed = {seed}",
            f"PartonLevel:MPI = {'on' if self.mpi else 'off'}",
            f"24:m0 = {self.w_mass}",
            f"24:mWidth = {self.w_width}",
            "24:onMode = off",
            "24:onIfAny = 1 2 3 4 5",
            "25:onMode = off",
            "25:onIfMatch = 22 22",
            *self.extra,
        ]


@dataclass(frozen=True)
class PythiaResponse:
    """tHj hard events → Pythia → detector; see `bmem.simulation.contract.Response`.

    ``content`` says how the hard events are written for Pythia.
    """

    settings: PythiaSettings = field(default_factory=PythiaSettings)
    phase_space: PhaseSpace = THJ_PHASE_SPACE
    content: LHEContent = field(kw_only=True)

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> SimulatedEvents:
        """Simulate ``hard``, which must carry ``pdg``; what Pythia gives up is tried again and in the end left empty.

        Raises:
            InputError: ``hard`` has no particle codes, or Pythia cannot make use of any of the events.
            ConfigError: Pythia refuses the settings.
        """
        truth, failed = self.truth(hard, rng)
        return SimulatedEvents(detect(truth, self.settings.detector, rng).collections, failed)

    def truth(self, hard: HardEvents, rng: torch.Generator) -> tuple[TruthEvents, Tensor]:
        """Higgs photons and particle jets before the detector, and which events [N] failed and have neither."""
        if hard.pdg is None:
            raise InputError("PythiaResponse: the hard events have no particle codes (pdg), which a shower needs; add them")
        record = lhe_record(hard.x, hard.pdg, self.phase_space)
        pending = torch.arange(len(hard))
        parts, positions = [_nothing()], [pending[:0]]
        for _ in range(self.settings.attempts):
            if len(pending) == 0:
                break
            seed = int(torch.randint(1, 900_000_000, (1,), generator=rng))
            truth, finished = shower(record[pending], seed, self.settings, self.content)
            parts.append(truth)
            positions.append(pending)
            pending = pending[~finished]
        failed = torch.zeros(len(hard), dtype=torch.bool)
        failed[pending] = True
        return _scatter(parts, positions, len(hard)), failed


def lhe_record(x_hard: Tensor, pdg: Tensor, phase_space: PhaseSpace) -> LHERecord:
    """Hard events as an LHE record of unit weights; ``x_hard`` [N, 7], ``pdg`` [N, 5]."""
    outgoing = phase_space.to_momenta(x_hard.double())[0]
    incoming = torch.zeros(len(outgoing), 2, 4, dtype=outgoing.dtype)
    total = outgoing.sum(dim=1)
    incoming[:, 0, 0] = incoming[:, 0, 3] = (total[:, 0] + total[:, 3]) / 2
    incoming[:, 1, 0] = (total[:, 0] - total[:, 3]) / 2
    incoming[:, 1, 3] = -incoming[:, 1, 0]
    momenta = torch.cat([incoming, outgoing], dim=1)
    weight = torch.ones(len(momenta), dtype=torch.float64)
    return LHERecord(momenta, pdg, weight, theta=None, cross_section=1.0, sqrt_s=phase_space.sqrt_s)


def shower(
    hard: LHERecord, seed: int, settings: PythiaSettings, content: LHEContent
) -> tuple[TruthEvents, Tensor]:
    """Let Pythia finish the events ``hard`` and cluster what comes out.

    Returns:
        the truth, and which events [N] Pythia finished; the others are empty.

    Raises:
        ConfigError: Pythia does not know one of the settings, or does not start with them.
        InputError: Pythia leaves out an event.
    """
    parts, positions, finished = [_nothing()], [torch.arange(0)], []
    with tempfile.TemporaryDirectory(prefix="bmem-") as folder:
        lhe = Path(folder) / "hard.lhe"
        write_lhe(lhe, hard, content)
        pythia = start(settings.lines(lhe, seed))
        for index in torch.arange(len(hard)).split(_BATCH):
            batch = pythia.nextBatch(len(index), "none")
            there = torch.from_numpy(~ak.to_numpy(ak.is_none(batch)))
            finished.append(there)
            if there.any():
                particles = ak.drop_none(batch).prt[_FIELDS]
                _check_alignment(particles, hard.momenta[index[there], 3])
                parts.append(truth_events(particles, settings.detector))
                positions.append(index[there])
    there = torch.cat(finished)
    return _scatter(parts, positions, len(hard)), there


def start(lines: list[str]) -> pythia8mc.Pythia:
    """Pythia, initialised with these settings.

    Raises:
        ConfigError: it does not know one of the settings, or does not start with them.
    """
    pythia = pythia8mc.Pythia("", False)
    for line in lines:
        if not pythia.readString(line):
            raise ConfigError(f"PythiaSettings: Pythia does not understand {line!r}; correct it or take it out of `extra`")
    if not pythia.init():
        raise ConfigError("PythiaSettings: Pythia does not start with the settings\n" + "\n".join(lines))
    return pythia


def _check_alignment(particles: ak.Array, higgs: Tensor) -> None:
    """Pythia passes over an event of the file that it finds impossible: then all that follow would be paired wrongly."""
    found = particles.p[(particles.id == 25) & (particles.status == _HARD_RESONANCE)]
    momenta = torch.from_numpy(np.stack([ak.to_numpy(ak.flatten(found[name])) for name in ("e", "px", "py", "pz")], axis=-1))
    # a charm quark among the outgoing gets its mass from Pythia, which moves the others by some 1e-5 of their energy
    if momenta.shape != higgs.shape or ((momenta - higgs).abs() > 1e-3 * higgs[:, :1]).any():
        raise InputError("PythiaResponse: Pythia left out a hard event; check the flavours and momenta of the hard events")


def _nothing() -> TruthEvents:
    """No events, with no room for objects."""
    momenta, mask = torch.zeros(0, 0, 4, dtype=torch.float64), torch.zeros(0, 0, dtype=torch.bool)
    return TruthEvents(momenta, mask, momenta[..., 0], momenta, mask, mask.long())


def _scatter(parts: Sequence[TruthEvents], positions: Sequence[Tensor], n: int) -> TruthEvents:
    """Join parts into ``n`` events, each part's at its ``positions``, later parts over earlier ones; the rest are empty."""

    def join(name: str) -> Tensor:
        tensors = [getattr(part, name) for part in parts]
        width = max(tensor.shape[1] for tensor in tensors)
        joined = tensors[0].new_zeros(n, width, *tensors[0].shape[2:])
        for tensor, position in zip(tensors, positions, strict=True):
            joined[position, : tensor.shape[1]] = tensor
        return joined

    return TruthEvents(**{entry.name: join(entry.name) for entry in fields(TruthEvents)})
