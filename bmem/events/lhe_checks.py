"""Is an event of an LHE file a sound one of its process: finite, of the right content, on shell, balanced?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmem.errors import EventFileError
from bmem.events.lhe_content import Array, Codes, LHEContent, Mask
from bmem.events.lhe_format import AGAIN, Chunk

TOLERANCE = 1e-6
"""Largest violation of momentum balance (relative to the energy) and of a mass shell (of m² relative to E²)."""


def checked(path: Path, chunk: Chunk, beam_energy: float, content: LHEContent) -> tuple[Array, Codes, Array, Array]:
    """Momenta [N, n + extra, 4], codes [N, n + extra], weights [N] and scales [N] of the ``chunk`` if every event is sound.

    Particles come in the order of the content's roles, then the extra ones; where an event has fewer, zeros follow.

    Raises:
        EventFileError: an event is not sound; the message names the first one.
    """
    events = _Events(path, chunk, content)
    events.demand_content()
    events.demand_kinematics(beam_energy)
    events.demand(chunk.heads[:, 2] > 0, "has a weight that is not positive; generate at leading order")
    return events.momenta, events.pdg, chunk.heads[:, 2], chunk.heads[:, 3]


class _Events:
    """The events of a chunk, brought to the order of the content's roles."""

    def __init__(self, path: Path, chunk: Chunk, content: LHEContent) -> None:
        self._path, self._chunk, self._content = path, chunk, content
        self._roles = len(content.roles)
        finite = np.isfinite(chunk.particles).all(axis=(1, 2)) & np.isfinite(chunk.heads).all(axis=1)
        self.demand(finite, "holds a number that is not finite (NaN or inf); generate the file again")
        self._demand_count()
        most = self._roles + content.extra
        wide = np.pad(chunk.particles, ((0, 0), (0, max(0, most - chunk.particles.shape[1])), (0, 0)))
        decayed = (wide[..., 1] == 2).any(axis=1)
        self.demand(~decayed, f"has particles that have decayed (status 2); {content.advice}")
        particles = np.take_along_axis(wide, _order(wide, chunk.counts, content)[..., None], axis=1)
        self.pdg: Codes = particles[..., 0].astype(np.int64)
        self.momenta: Array = particles[..., [9, 6, 7, 8]]
        self._status = particles[..., 1]

    def demand(self, sound: Mask | np.bool_, what: str) -> None:
        """EventFileError that names the first event that is not ``sound`` [N]."""
        if not np.all(sound):
            bad = np.flatnonzero(~sound)
            more = f" (and {len(bad) - 1} of the {len(self._chunk.heads)} events read with it)" if len(bad) > 1 else ""
            raise EventFileError(f"{self._path}: event {self._chunk.first + bad[0]}{more} {what}")

    def _demand_count(self) -> None:
        content, counts = self._content, self._chunk.counts
        right = (counts >= self._roles) & (counts <= self._roles + content.extra)
        if right.all():
            return
        first = int(np.flatnonzero(~right)[0])
        codes = " ".join(f"{code:.0f}" for code in self._chunk.particles[first, : counts[first], 0])
        expected = f"{self._roles} to {self._roles + content.extra}" if content.extra else f"{self._roles}"
        self.demand(
            right,
            f"holds {counts[first]} particles ({codes}), but {content.title} has {expected}: "
            f"{', '.join(content.roles)}; {content.advice}",
        )

    def demand_content(self) -> None:
        n, content = self._roles, self._content
        there = np.arange(self.pdg.shape[1]) < self._chunk.counts[:, None]
        status = np.where(np.arange(self.pdg.shape[1]) < 2, -1.0, 1.0)
        sound = ((self._status == status) | ~there).all(axis=1) & content.holds(self.pdg[:, :n])
        self.demand(sound, f"is not {content.title}; {content.advice}")

    def demand_kinematics(self, beam_energy: float) -> None:
        momenta, demand = self.momenta, self.demand
        incoming = momenta[:, :2]
        demand(_along_beam(incoming), "has incoming particles that do not run along ±z; write it in the laboratory frame")
        for role, (name, mass) in enumerate(zip(self._content.roles, self._content.masses, strict=True)):
            demand(
                _on_shell(momenta[:, role], mass),
                f"has its {name} off the mass shell of {mass:g} GeV; "
                "generate with these masses and zero widths (light quarks massless), or give the masses of the file",
            )
        excess = np.abs(incoming.sum(axis=1) - momenta[:, 2:].sum(axis=1)).max(axis=1)
        demand(excess <= TOLERANCE * incoming[..., 0].sum(axis=1), f"does not balance energy and momentum; {AGAIN}")
        within = (incoming[..., 0] <= beam_energy * (1 + TOLERANCE)).all(axis=1)
        demand(within, f"has a parton above the beam energy {beam_energy:g} GeV; {AGAIN}")


def _order(particles: Array, counts: Codes, content: LHEContent) -> NDArray[np.intp]:
    """Indices [N, n + extra] that bring the particles of each event to the order of the record."""
    incoming, pz = particles[..., 1] == -1, particles[..., 8]
    role = np.where(incoming, np.where(pz > 0, 0, 1), 2 + content.outgoing(particles[..., 0].astype(np.int64)))
    there = np.arange(particles.shape[1]) < counts[:, None]
    return np.where(there, role, np.iinfo(np.int64).max).argsort(axis=1, kind="stable")


def _along_beam(incoming: Array) -> Mask:
    """Whether ``incoming`` [N, 2, 4] run along +z and -z."""
    energy, pz = incoming[..., 0], incoming[..., 3]
    transverse = np.abs(incoming[..., 1:3]).max(axis=2) <= TOLERANCE * energy
    return transverse.all(axis=1) & (pz[:, 0] > 0) & (pz[:, 1] < 0)


def _on_shell(p: Array, mass: float) -> Mask:
    """Whether four-vectors [N, 4] have ``mass`` and positive energy."""
    square = p[:, 0] ** 2 - (p[:, 1:] ** 2).sum(axis=1)
    return (p[:, 0] > 0) & (np.abs(square - mass**2) <= TOLERANCE * p[:, 0] ** 2)
