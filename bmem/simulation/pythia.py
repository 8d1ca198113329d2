"""The Pythia response: hard events → shower, hadrons and decays by Pythia 8 → anti-kt jets → detector.

Pythia: C. Bierlich et al., SciPost Phys. Codebases 8 (2022). What the hard process is, and how its resonances decay, a
channel says with a ``Showered``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import awkward as ak
import numpy as np
import torch
from torch import Tensor

from bmem.errors import ConfigError, InputError, MissingExtraError
from bmem.events.lhe import LHERecord, write_lhe
from bmem.events.lhe_content import LHEContent
from bmem.events.record import HardEvents
from bmem.simulation.contract import SimulatedEvents
from bmem.simulation.detector import TruthEvents, detect
from bmem.simulation.effects import DetectorEffect, shifts_of
from bmem.simulation.particles import truth_events
from bmem.simulation.settings import PythiaSettings

if TYPE_CHECKING:
    import pythia8mc

_BATCH = 200
"""Events whose records are in memory at once; the result does not depend on it."""
_FIELDS = ["id", "status", "mother1", "p"]
_HARD_RESONANCE = -22
"""Pythia's status of the resonances of the hard process."""


class Showered(Protocol):
    """What Pythia has to be told of a hard process; its ``repr`` must name all of it, as a dataclass's does.

    ``lines`` are settings in Pythia's words: masses of the resonances and their decays. ``resonance`` is the particle code
    of the one, single in every event, whose photons are the signal's. ``content`` says how the events are written.
    """

    @property
    def content(self) -> LHEContent: ...

    @property
    def lines(self) -> tuple[str, ...]: ...

    @property
    def resonance(self) -> int: ...

    def record(self, hard: HardEvents) -> LHERecord:
        """The events for Pythia, with the masses of the process."""
        ...


@dataclass(frozen=True)
class PythiaResponse:
    """Hard events → Pythia → detector; see `bmem.simulation.contract.Response`.

    Raises:
        MissingExtraError: Pythia is not installed.
    """

    settings: PythiaSettings
    hard: Showered
    effects: tuple[tuple[str, DetectorEffect], ...] = ()
    slow: ClassVar[bool] = True
    """Its events are kept in blocks, and it is given processes of its own."""

    def __post_init__(self) -> None:
        # now, and not in the middle of a run or in a worker
        _pythia_class()

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> SimulatedEvents:
        """Simulate ``hard``, which must carry ``pdg``; what Pythia gives up is tried again and in the end left empty.

        Raises:
            InputError: ``hard`` has no particle codes, or Pythia cannot make use of any of the events.
            ConfigError: Pythia refuses the settings.
        """
        device = hard.x.device
        truth, failed = self.truth(hard.to("cpu"), rng)  # Pythia knows no other
        seen = detect(truth, self.settings.detector, rng, shifts_of(self.effects, hard.to("cpu")))
        return SimulatedEvents(seen.to(device).collections, failed.to(device))

    def truth(self, hard: HardEvents, rng: torch.Generator) -> tuple[TruthEvents, Tensor]:
        """Signal photons and particle jets before the detector, and which events [N] failed and have neither."""
        if hard.pdg is None:
            raise InputError("PythiaResponse: the hard events have no particle codes (pdg), which a shower needs; add them")
        record = self.hard.record(hard)
        pending = torch.arange(len(hard), device="cpu")
        parts, positions = [_nothing()], [pending[:0]]
        for _ in range(self.settings.attempts):
            if len(pending) == 0:
                break
            seed = int(torch.randint(1, 900_000_000, (1,), generator=rng, device=rng.device))
            truth, finished = self._shower(record[pending], seed)
            parts.append(truth)
            positions.append(pending)
            pending = pending[~finished]
        failed = torch.zeros(len(hard), dtype=torch.bool, device="cpu")
        failed[pending] = True
        return _scatter(parts, positions, len(hard)), failed

    def lines(self, lhe: Path, seed: int) -> list[str]:
        """All settings in Pythia's own words."""
        return [
            "Print:quiet = on",
            "SLHA:verbose = 0",
            "Beams:frameType = 4",
            f"Beams:LHEF = {lhe}",
            "Random:setSeed = on",
            f"Random:seed = {seed}",
            f"PartonLevel:MPI = {'on' if self.settings.mpi else 'off'}",
            f"24:m0 = {self.settings.w_mass}",
            f"24:mWidth = {self.settings.w_width}",
            *self.hard.lines,
            *self.settings.extra,
        ]

    def _shower(self, hard: LHERecord, seed: int) -> tuple[TruthEvents, Tensor]:
        """Let Pythia finish the events ``hard`` and cluster what comes out.

        Returns:
            the truth, and which events [N] Pythia finished; the others are empty.

        Raises:
            ConfigError: Pythia does not know one of the settings, or does not start with them.
            InputError: Pythia leaves out an event.
        """
        resonances = hard.momenta[hard.pdg == self.hard.resonance]
        parts, positions, finished = [_nothing()], [torch.arange(0, device="cpu")], []
        with tempfile.TemporaryDirectory(prefix="bmem-") as folder:
            lhe = Path(folder) / "hard.lhe"
            write_lhe(lhe, hard, self.hard.content)
            pythia = start(self.lines(lhe, seed))
            for index in torch.arange(len(hard), device="cpu").split(_BATCH):
                batch = pythia.nextBatch(len(index), "none")
                there = torch.from_numpy(~ak.to_numpy(ak.is_none(batch)))
                finished.append(there)
                if there.any():
                    particles = ak.drop_none(batch).prt[_FIELDS]
                    _check_alignment(particles, resonances[index[there]], self.hard.resonance)
                    parts.append(truth_events(particles, self.settings.detector, self.hard.resonance))
                    positions.append(index[there])
        there = torch.cat(finished)
        return _scatter(parts, positions, len(hard)), there


def start(lines: list[str]) -> pythia8mc.Pythia:
    """Pythia, initialised with these settings.

    Raises:
        ConfigError: it does not know one of the settings, or does not start with them.
        MissingExtraError: it is not installed.
    """
    pythia = _pythia_class()("", False)
    for line in lines:
        if not pythia.readString(line):
            raise ConfigError(f"PythiaSettings: Pythia does not understand {line!r}; correct it or take it out of `extra`")
    if not pythia.init():
        raise ConfigError("PythiaSettings: Pythia does not start with the settings\n" + "\n".join(lines))
    return pythia


def _pythia_class() -> type[pythia8mc.Pythia]:
    try:
        from pythia8mc import Pythia
    except ImportError as error:
        raise MissingExtraError("pythia8mc", "pythia") from error
    return Pythia


def _check_alignment(particles: ak.Array, hard: Tensor, resonance: int) -> None:
    """Pythia passes over an event of the file that it finds impossible: then all that follow would be paired wrongly."""
    found = particles.p[(particles.id == resonance) & (particles.status == _HARD_RESONANCE)]
    momenta = torch.from_numpy(np.stack([ak.to_numpy(ak.flatten(found[name])) for name in ("e", "px", "py", "pz")], axis=-1))
    # a charm quark among the outgoing gets its mass from Pythia, which moves the others by some 1e-5 of their energy
    if momenta.shape != hard.shape or ((momenta - hard).abs() > 1e-3 * hard[:, :1]).any():
        raise InputError("PythiaResponse: Pythia left out a hard event; check the flavours and momenta of the hard events")


def _nothing() -> TruthEvents:
    """No events, with no room for objects."""
    momenta = torch.zeros(0, 0, 4, dtype=torch.float64, device="cpu")
    mask = momenta[..., 0].bool()
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
