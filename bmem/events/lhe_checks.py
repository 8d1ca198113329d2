"""Is an event of an LHE file a sound one of pp → tHj: finite, of the right content, on shell, balanced?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmem.errors import EventFileError
from bmem.events.lhe_format import AGAIN, Chunk

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
TOLERANCE = 1e-6
"""Largest violation of momentum balance (relative to the energy) and of a mass shell (of m² relative to E²)."""

_ROLES = ("incoming parton along +z", "incoming parton along -z", "top", "Higgs boson", "light jet")


@dataclass(frozen=True)
class Masses:
    """Masses of top and Higgs boson in GeV."""

    top: float = 172.5
    higgs: float = 125.0


NOMINAL = Masses()


def checked(path: Path, chunk: Chunk, beam_energy: float, masses: Masses) -> tuple[Array, NDArray[np.int64], Array, Array]:
    """Return momenta [n, 5, 4], codes [n, 5], weights [n] and scales [n] of the ``chunk`` if every event is sound.

    Raises:
        EventFileError: an event is not; the message names the first one.
    """
    heads, particles = chunk.heads, chunk.particles

    def demand(sound: Mask | np.bool_, what: str) -> None:
        if not np.all(sound):
            bad = np.flatnonzero(~sound)
            more = f" (and {len(bad) - 1} of the {len(heads)} events read with it)" if len(bad) > 1 else ""
            raise EventFileError(f"{path}: event {chunk.first + bad[0]}{more} {what}")

    finite = np.isfinite(particles).all(axis=(1, 2)) & np.isfinite(heads).all(axis=1)
    demand(finite, "holds a number that is not finite (NaN or inf); generate the file again")
    demand(~(particles[:, :, 1] == 2).any(axis=1), "has particles that have decayed (status 2); leave the decays to bmem")
    order = _order(particles)
    particles = np.take_along_axis(particles, order[..., None], axis=1)
    pdg = particles[..., 0].astype(np.int64)
    demand(_is_thj(particles), "is not q b → q' t H (or its conjugate); generate p p > t h j, t-channel, five flavours")
    momenta = particles[..., [9, 6, 7, 8]]
    demand(_along_beam(momenta), "has incoming particles that do not run along ±z; write the events in the laboratory frame")
    for role, mass in enumerate((0.0, 0.0, masses.top, masses.higgs, 0.0)):
        demand(
            _on_shell(momenta[:, role], mass),
            f"has its {_ROLES[role]} off the mass shell of {mass:g} GeV; "
            "generate with these masses, zero widths and massless light quarks, or give the masses of the file",
        )
    excess = np.abs(momenta[:, :2].sum(axis=1) - momenta[:, 2:].sum(axis=1)).max(axis=1)
    demand(excess <= TOLERANCE * momenta[:, :2, 0].sum(axis=1), f"does not balance energy and momentum; {AGAIN}")
    within = (momenta[:, :2, 0] <= beam_energy * (1 + TOLERANCE)).all(axis=1)
    demand(within, f"has a parton above the beam energy {beam_energy:g} GeV; {AGAIN}")
    demand(heads[:, 2] > 0, "has a weight that is not positive; generate at leading order")
    return momenta, pdg, heads[:, 2], heads[:, 3]


def _order(particles: Array) -> NDArray[np.intp]:
    """Indices [n, 5] that bring the particles of each event to the order of the record."""
    code, incoming, pz = np.abs(particles[..., 0]), particles[..., 1] == -1, particles[..., 8]
    role = np.where(incoming, np.where(pz > 0, 0, 1), np.where(code == 6, 2, np.where(code == 25, 3, 4)))
    return role.argsort(axis=1, kind="stable")


def _is_thj(particles: Array) -> Mask:
    """Whether the ordered ``particles`` [n, 5, 13] are a b quark, another light quark → top, Higgs boson, light quark."""
    code, status = particles[..., 0], particles[..., 1]
    top, higgs, jet = code[:, 2], code[:, 3], code[:, 4]
    is_b = np.abs(code[:, :2]) == 5
    b = np.where(is_b, code[:, :2], 0).sum(axis=1)
    light = np.where(is_b, 0, code[:, :2]).sum(axis=1)
    return (
        (status == [-1, -1, 1, 1, 1]).all(axis=1)
        & (is_b.sum(axis=1) == 1)
        & (higgs == 25)
        & (np.abs(top) == 6)
        & (b * top == 30)
        & _between(light, 1, 4)
        & _between(jet, 1, 4)
        & (light * jet > 0)
        # the W takes one unit of charge from the light line to the heavy one: u → d and d̄ → ū with b → t
        & ((np.abs(light) % 2 == 1) == (light * top < 0))
        & (np.abs(light) % 2 != np.abs(jet) % 2)
    )


def _between(code: Array, low: int, high: int) -> Mask:
    return (np.abs(code) >= low) & (np.abs(code) <= high)


def _along_beam(momenta: Array) -> Mask:
    """Whether the first two of ``momenta`` [n, 5, 4] run along +z and -z."""
    energy, pz = momenta[:, :2, 0], momenta[:, :2, 3]
    transverse = np.abs(momenta[:, :2, 1:3]).max(axis=2) <= TOLERANCE * energy
    return transverse.all(axis=1) & (pz[:, 0] > 0) & (pz[:, 1] < 0)


def _on_shell(p: Array, mass: float) -> Mask:
    """Whether four-vectors [n, 4] have ``mass`` and positive energy."""
    square = p[:, 0] ** 2 - (p[:, 1:] ** 2).sum(axis=1)
    return (p[:, 0] > 0) & (np.abs(square - mass**2) <= TOLERANCE * p[:, 0] ** 2)
