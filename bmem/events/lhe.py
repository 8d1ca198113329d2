"""Les Houches event files: every event is checked when it is read, and what is written Pythia can shower.

What an event must be, and where the header tells its parameters, is said by an ``LHEContent`` of the process.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch import Tensor

from bmem import artifacts
from bmem.errors import EventFileError, InputError
from bmem.events.lhe_checks import checked
from bmem.events.lhe_content import LHEContent
from bmem.events.lhe_format import AGAIN, CHUNK, Preamble, open_lhe
from bmem.events.observed import tell_repeated

Theta = tuple[float, ...]


@dataclass(frozen=True)
class LHERecord:
    """Hard events in the laboratory frame, in the order incoming along +z, incoming along -z, outgoing.

    ``momenta`` [N, n, 4] = (E, px, py, pz) in GeV, float64; ``pdg`` [N, n] codes, int64, 0 where an event has fewer
    particles than others; ``weight`` [N] with mean 1 over a file; ``theta`` the values of the parameters (angles in
    radians), None where events of several are mixed; ``cross_section`` and its error in pb; ``sqrt_s`` in GeV; ``scale``
    [N], where a shower begins, in GeV, or None for half the sum of the outgoing masses.
    """

    momenta: Tensor
    pdg: Tensor
    weight: Tensor
    theta: Theta | None
    cross_section: float
    cross_section_error: float = 0.0
    sqrt_s: float = 13_000.0
    scale: Tensor | None = None

    def __post_init__(self) -> None:
        n, particles = self.momenta.shape[:2]
        shapes = {"momenta": (n, particles, 4), "pdg": (n, particles), "weight": (n,), "scale": (n,)}
        for name, shape in shapes.items():
            part = getattr(self, name)
            if part is not None and tuple(part.shape) != shape:
                raise InputError(f"LHERecord: {name} has shape {tuple(part.shape)}, expected {shape}")

    def __len__(self) -> int:
        return len(self.momenta)

    def __getitem__(self, index: Tensor | slice) -> LHERecord:
        scale = None if self.scale is None else self.scale[index]
        return replace(self, momenta=self.momenta[index], pdg=self.pdg[index], weight=self.weight[index], scale=scale)


def read_lhe(path: Path, content: LHEContent, theta: Theta | None = None) -> LHERecord:
    """Read and check an LHE file, plain or gzip.

    Args:
        path: the file.
        content: what its events must be.
        theta: parameters as the computation knows them (angles in radians); replace those of the header, and are needed
            where the header has none.

    Raises:
        EventFileError: the file is missing, foreign, damaged or truncated, its header has no usable parameters, or an event
            is not finite, not of the process, off shell or unbalanced; the message names the event.
        InputError: ``theta`` is not what the parameters can be.

    Warns:
        EventWarning: events occur more than once.
    """
    path = Path(path)
    with open_lhe(path) as reader:
        preamble = reader.preamble()
        beams = _Beams.of(path, preamble, content.beams)
        found = _theta(path, preamble.header, content, theta)
        parts = [checked(path, chunk, beams.energy, content) for chunk in reader.chunks()]
    if not parts:
        raise EventFileError(f"{path}: holds no events; {AGAIN}")
    momenta, pdg, weight, scale = (torch.from_numpy(np.concatenate(columns)) for columns in zip(*parts, strict=True))
    tell_repeated(str(path), momenta.flatten(1), torch.arange(1, len(momenta) + 1, device="cpu"))
    return LHERecord(
        momenta=momenta,
        pdg=pdg,
        weight=weight / weight.mean(),
        theta=found,
        cross_section=beams.cross_section,
        cross_section_error=beams.cross_section_error,
        sqrt_s=2 * beams.energy,
        scale=scale,
    )


@dataclass(frozen=True)
class _Beams:
    """What is used of the <init> block: energy of one beam in GeV, cross section of all processes in pb."""

    energy: float
    cross_section: float
    cross_section_error: float

    @classmethod
    def of(cls, path: Path, preamble: Preamble, codes: tuple[int, int]) -> _Beams:
        try:
            lines = [[float(x.replace("D", "e")) for x in line.split()] for line in _numbers_of(preamble.init)]
            run, processes = lines[0], lines[1:]
            found = cls(run[2], math.fsum(p[0] for p in processes), math.hypot(*(p[1] for p in processes)))
        except (ValueError, IndexError) as error:
            raise EventFileError(f"{path}: its <init> block is malformed ({error}); {AGAIN}") from error
        if tuple(run[:2]) != codes or run[2] != run[3] or not 0 < run[2] < math.inf:
            raise EventFileError(
                f"{path}: its beams are {run[0]:g} at {run[2]:g} GeV and {run[1]:g} at {run[3]:g} GeV; "
                f"{codes[0]} and {codes[1]} of equal energy are needed"
            )
        if not processes or not 0 < found.cross_section < math.inf:
            raise EventFileError(f"{path}: the cross section in its <init> block is missing or not positive; {AGAIN}")
        return found


def _numbers_of(init: tuple[str, ...]) -> tuple[str, ...]:
    """The line of the beams and those of the processes; ValueError if there are fewer than announced."""
    count = int(init[0].split()[9])
    if len(init) < 1 + count:
        raise ValueError(f"{count} processes are announced, {len(init) - 1} are there")
    return init[: 1 + count]


def _theta(path: Path, header: str, content: LHEContent, given: Theta | None) -> Theta:
    """Parameters as given, or from the header."""
    if given is not None:
        return tuple(where.given(float(value)) for where, value in zip(content.parameters, given, strict=True))
    try:
        return tuple(where.value(header) for where in content.parameters)
    except InputError as error:
        raise EventFileError(f"{path}: {error}") from error


def write_lhe(path: Path, record: LHERecord, content: LHEContent) -> None:
    """Write an LHE 3.0 file with mothers and colour flow, gzip where the name ends in .gz, atomically.

    Numbers are written with 17 digits: ``read_lhe`` gives them back exactly (the weights up to their mean).

    Raises:
        ArtifactError: the file cannot be written.
        InputError: the events have another number of particles than the content.
    """
    path = Path(path)
    n = len(content.roles)
    if record.pdg.shape[1] != n:
        raise InputError(f"the record has {record.pdg.shape[1]} particles, {content.title} has {n}")
    with artifacts.atomic_path(path) as temporary, _text_file(temporary, zipped=path.suffix == ".gz") as stream:
        stream.write(_preamble(record, content))
        for start in range(0, len(record), CHUNK):
            stream.write("".join(_event(n) % tuple(row) for row in _rows(record[start : start + CHUNK], content)))
        stream.write("</LesHouchesEvents>\n")


def _event(n: int) -> str:
    line = "%d %d %d %d %d %d %.16e %.16e %.16e %.16e %.16e %d %d\n"
    return "<event>\n%d %d %.16e %.16e %.16e %.16e\n" + n * line + "</event>\n"


@contextmanager
def _text_file(path: Path, zipped: bool) -> Iterator[TextIO]:
    """A text file to write; its gzip form holds neither name nor time, so equal events give equal files."""
    with path.open("wb") as raw:
        if not zipped:
            with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as text:
                yield text
            return
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
            io.TextIOWrapper(packed, encoding="ascii") as text,
        ):
            yield text


def _preamble(record: LHERecord, content: LHEContent) -> str:
    """The header with parameters and masses, and the <init> block of one process with weights of mean σ (IDWTUP -4)."""
    known = [] if record.theta is None else list(zip(content.parameters, record.theta, strict=True))
    parameters = "".join(where.line(value) for where, value in known)
    codes = [abs(int(code)) for code in record.pdg[0]] if len(record) else []
    massive = {code: mass for code, mass in zip(codes, content.masses, strict=False) if mass > 0}
    masses = "Block mass\n" + "".join(f"   {code} {mass:.8e}\n" for code, mass in sorted(massive.items()))
    cross_section = f"{record.cross_section:.16e} {record.cross_section_error:.16e}"
    beam = f"{record.sqrt_s / 2:.16e}"
    return (
        '<LesHouchesEvents version="3.0">\n<header>\n<slha>\n' + parameters + masses + "</slha>\n</header>\n<init>\n"
        f"{content.beams[0]} {content.beams[1]} {beam} {beam} 0 0 247000 247000 -4 1\n"
        f"{cross_section} {record.cross_section:.16e} 1\n"
        f"<generator name='bmem' version='{artifacts.software_versions().get('bmem', 'unknown')}'></generator>\n</init>\n"
    )


def _rows(record: LHERecord, content: LHEContent) -> list[list[float]]:
    """All numbers of each event, in the order of ``_event``."""
    n, pdg = len(record), record.pdg.numpy()
    heads = np.zeros((n, 6))
    heads[:] = [len(content.roles), 1, 0, 0, -1, -1]  # -1: let the reader compute the couplings
    heads[:, 2] = record.weight.numpy() * record.cross_section
    heads[:, 3] = sum(content.masses[2:]) / 2 if record.scale is None else record.scale.numpy()
    particles = np.zeros((n, len(content.roles), 13))
    particles[..., 0] = pdg
    particles[..., 1] = np.where(np.arange(len(content.roles)) < 2, -1, 1)
    particles[:, 2:, 2:4] = [1, 2]
    particles[..., 4:6] = content.colours(pdg)
    particles[..., [9, 6, 7, 8]] = record.momenta.numpy()
    particles[..., 10] = content.masses
    particles[..., 12] = 9  # helicity unknown
    return np.concatenate([heads, particles.reshape(n, -1)], axis=1).tolist()
