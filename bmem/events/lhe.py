"""Les Houches event files of pp → tHj: every event is checked when it is read, and what is written Pythia can shower."""

from __future__ import annotations

import gzip
import io
import math
import re
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
from bmem.events.lhe_checks import NOMINAL, Masses, checked
from bmem.events.lhe_format import AGAIN, CHUNK, Preamble, open_lhe

_BLOCK = re.compile(r"^[ \t]*block[ \t]+cpyuk\b.*\n((?:(?![ \t]*(?:block|decay)\b).*\n)*)", re.IGNORECASE | re.MULTILINE)
_ENTRY = re.compile(r"^[ \t]*1[ \t]+(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class LHERecord:
    """Hard events of pp → tHj in the laboratory frame, in the order incoming along +z, incoming along -z, top, Higgs, jet.

    ``momenta`` [N, 5, 4] = (E, px, py, pz) in GeV, float64; ``pdg`` [N, 5] codes, int64; ``weight`` [N] with mean 1 over a
    file; ``alpha`` in radians, None where events of several α are mixed; ``cross_section`` and its error in pb;
    ``sqrt_s`` in GeV; ``scale`` [N], where a shower begins, in GeV, or None for (m_t + m_H)/2; ``masses`` of top and
    Higgs boson.
    """

    momenta: Tensor
    pdg: Tensor
    weight: Tensor
    alpha: float | None
    cross_section: float
    cross_section_error: float = 0.0
    sqrt_s: float = 13_000.0
    scale: Tensor | None = None
    masses: Masses = NOMINAL

    def __post_init__(self) -> None:
        n = len(self.momenta)
        shapes = {"momenta": (n, 5, 4), "pdg": (n, 5), "weight": (n,), "scale": (n,)}
        for name, shape in shapes.items():
            part = getattr(self, name)
            if part is not None and tuple(part.shape) != shape:
                raise InputError(f"LHERecord: {name} has shape {tuple(part.shape)}, expected {shape}")

    def __len__(self) -> int:
        return len(self.momenta)

    def __getitem__(self, index: Tensor | slice) -> LHERecord:
        scale = None if self.scale is None else self.scale[index]
        return replace(self, momenta=self.momenta[index], pdg=self.pdg[index], weight=self.weight[index], scale=scale)


def read_lhe(path: Path, alpha: float | None = None, masses: Masses = NOMINAL) -> LHERecord:
    """Read and check an LHE file, plain or gzip.

    Args:
        path: the file.
        alpha: in radians; replaces the header's value (block cpyuk, entry 1), and is needed where the header has none.
        masses: that the events must have.

    Raises:
        EventFileError: the file is missing, foreign, damaged or truncated, its header has no usable α, or an event is not
            finite, not tHj, off shell or unbalanced; the message names the event.
    """
    path = Path(path)
    with open_lhe(path) as reader:
        preamble = reader.preamble()
        beams = _Beams.of(path, preamble)
        angle = _angle(path, preamble.header, alpha)
        parts = [checked(path, chunk, beams.energy, masses) for chunk in reader.chunks()]
    if not parts:
        raise EventFileError(f"{path}: holds no events; {AGAIN}")
    momenta, pdg, weight, scale = (torch.from_numpy(np.concatenate(columns)) for columns in zip(*parts, strict=True))
    return LHERecord(
        momenta=momenta,
        pdg=pdg,
        weight=weight / weight.mean(),
        alpha=angle,
        cross_section=beams.cross_section,
        cross_section_error=beams.cross_section_error,
        sqrt_s=2 * beams.energy,
        scale=scale,
        masses=masses,
    )


@dataclass(frozen=True)
class _Beams:
    """What is used of the <init> block: energy of one beam in GeV, cross section of all processes in pb."""

    energy: float
    cross_section: float
    cross_section_error: float

    @classmethod
    def of(cls, path: Path, preamble: Preamble) -> _Beams:
        try:
            run = [float(field) for field in preamble.init[0].split()]
            processes = [[float(x) for x in line.split()] for line in preamble.init[1 : 1 + int(run[9])]]
            values, errors = [p[0] for p in processes], [p[1] for p in processes]
            found = cls(run[2], math.fsum(values), math.hypot(*errors))
        except (ValueError, IndexError) as error:
            raise EventFileError(f"{path}: its <init> block is malformed ({error}); {AGAIN}") from error
        if run[:2] != [2212, 2212] or run[2] != run[3] or not 0 < run[2] < math.inf:
            raise EventFileError(
                f"{path}: its beams are {run[0]:g} at {run[2]:g} GeV and {run[1]:g} at {run[3]:g} GeV; "
                "two protons of equal energy are needed"
            )
        if len(processes) != int(run[9]) or not 0 < found.cross_section < math.inf:
            raise EventFileError(f"{path}: the cross section in its <init> block is missing or not positive; {AGAIN}")
        return found


def _angle(path: Path, header: str, given: float | None) -> float:
    """α in radians: as given, or from the header."""
    if given is not None:
        if not abs(given) <= 2 * math.pi:
            raise InputError(f"alpha = {given} is not an angle in radians within ±2π; convert it from degrees")
        return float(given)
    texts = sorted({text for block in _BLOCK.findall(header) for text in _ENTRY.findall(block)})
    mend = "give alpha (in radians) as an argument"
    if not texts:
        raise EventFileError(f"{path}: its header has no α (SLHA block cpyuk, entry 1 alphaCP); {mend}")
    try:
        values = {float(text) for text in texts}
    except ValueError as error:
        raise EventFileError(f"{path}: α in its header (block cpyuk) is not a number: {', '.join(texts)}; {mend}") from error
    if len(values) > 1:
        raise EventFileError(f"{path}: its header has several α ({', '.join(texts)}); split the file by α or {mend}")
    value = values.pop()
    if not abs(value) <= 2 * math.pi:
        raise EventFileError(f"{path}: α = {value} in its header is not an angle in radians within ±2π; {mend}")
    return value


def write_lhe(path: Path, record: LHERecord) -> None:
    """Write an LHE 3.0 file with mothers and colour flow, gzip where the name ends in .gz, atomically.

    Numbers are written with 17 digits: ``read_lhe`` gives them back exactly (the weights up to their mean).

    Raises:
        ArtifactError: the file cannot be written.
    """
    path = Path(path)
    with artifacts.atomic_path(path) as temporary, _text_file(temporary, zipped=path.suffix == ".gz") as stream:
        stream.write(_preamble(record))
        for start in range(0, len(record), CHUNK):
            stream.write("".join(_EVENT % tuple(row) for row in _rows(record[start : start + CHUNK])))
        stream.write("</LesHouchesEvents>\n")


_EVENT = (
    "<event>\n%d %d %.16e %.16e %.16e %.16e\n" + 5 * "%d %d %d %d %d %d %.16e %.16e %.16e %.16e %.16e %d %d\n" + "</event>\n"
)


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


def _preamble(record: LHERecord) -> str:
    """The header with α and the masses, and the <init> block of one process with weights of mean σ (IDWTUP -4)."""
    alpha = "" if record.alpha is None else f"Block cpyuk\n    1 {record.alpha:.16e} # alphaCP (radians)\n"
    masses = f"Block mass\n    6 {record.masses.top:.8e} # MT\n   25 {record.masses.higgs:.8e} # MH\n"
    cross_section = f"{record.cross_section:.16e} {record.cross_section_error:.16e}"
    return (
        '<LesHouchesEvents version="3.0">\n<header>\n<slha>\n' + alpha + masses + "</slha>\n</header>\n<init>\n"
        f"2212 2212 {record.sqrt_s / 2:.16e} {record.sqrt_s / 2:.16e} 0 0 247000 247000 -4 1\n"
        f"{cross_section} {record.cross_section:.16e} 1\n"
        f"<generator name='bmem' version='{artifacts.software_versions().get('bmem', 'unknown')}'></generator>\n</init>\n"
    )


def _rows(record: LHERecord) -> list[list[float]]:
    """All numbers of each event, in the order of ``_EVENT``."""
    n, pdg = len(record), record.pdg.numpy()
    scale = np.full(n, (record.masses.top + record.masses.higgs) / 2) if record.scale is None else record.scale.numpy()
    heads = np.zeros((n, 6))
    heads[:] = [5, 1, 0, 0, -1, -1]  # -1: let the reader compute the couplings
    heads[:, 2], heads[:, 3] = record.weight.numpy() * record.cross_section, scale
    particles = np.zeros((n, 5, 13))
    particles[..., 0] = pdg
    particles[..., 1] = [-1, -1, 1, 1, 1]
    particles[:, 2:, 2:4] = [1, 2]
    # the t-channel W carries no colour: one line runs from b to t, the other along the light quark
    line = np.where((np.abs(pdg) >= 5) & (np.abs(pdg) <= 6), 501, np.where(pdg == 25, 0, 502))
    particles[..., 4], particles[..., 5] = np.where(pdg > 0, line, 0), np.where(pdg < 0, line, 0)
    particles[..., [9, 6, 7, 8]] = record.momenta.numpy()
    particles[..., 10] = [0, 0, record.masses.top, record.masses.higgs, 0]
    particles[..., 12] = 9  # helicity unknown
    return np.concatenate([heads, particles.reshape(n, -1)], axis=1).tolist()
