"""Parton densities from LHAPDF ``lhagrid1`` files: a bicubic spline in (log x, log Q²), evaluated in torch.

``PDFGrid.xf`` evaluates any flavour anywhere; ``PDFGrid.at_scale`` gives sums of flavours at one Q as a single cubic
spline in log x, which is what a fixed factorisation scale needs.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from bmem.errors import InputError, RangeError

DEFAULT_GRID = "NNPDF23_lo_as_0130_qed_0000.dat"
LHAPDF_PATH = "LHAPDF_DATA_PATH"
"""Where LHAPDF looks for its sets: folders, separated as in PATH."""
GLUON = 21


def default_grid(name: str = DEFAULT_GRID) -> Path:
    """The path of a PDF grid that this machine has: in the wheel of Pythia 8, or else in a folder of ``LHAPDF_DATA_PATH``.

    Raises:
        InputError: neither has it; the message tells the three ways to a grid.
    """
    found = _in_wheel(name) or _in_lhapdf(name)
    if found is None:
        raise InputError(
            f"no PDF grid {name}: give the path of an LHAPDF grid file (.dat) as 'pdf' of [channel], or in Python as "
            f"PDFGrid.read(PATH); or set {LHAPDF_PATH} to the folder that holds the LHAPDF set {_set_of(name)}; or install "
            "Pythia, whose wheel has the default grid: pip install 'bmem[pythia]'"
        )
    return found


def pythia_grid(name: str = DEFAULT_GRID) -> Path:
    """The path of a PDF grid that comes inside the wheel of Pythia 8.

    Raises:
        InputError: Pythia is not installed or has no such grid.
    """
    found = _in_wheel(name)
    if found is None:
        raise InputError(f"no PDF grid {name} in the package pythia8mc; pip install 'bmem[pythia]' or give a grid file")
    return found


def _in_wheel(name: str) -> Path | None:
    try:
        files = importlib.metadata.files("pythia8mc") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    inside = (Path(str(file.locate())) for file in files if file.name == name and "pdfdata" in file.parts)
    return next((path.resolve() for path in inside if path.is_file()), None)


def _in_lhapdf(name: str) -> Path | None:
    folders = [Path(folder) for folder in os.environ.get(LHAPDF_PATH, "").split(os.pathsep) if folder]
    paths = (folder / _set_of(name) / name for folder in folders)
    return next((path.resolve() for path in paths if path.is_file()), None)


def _set_of(name: str) -> str:
    """The LHAPDF set of a member: ``SET/SET_0000.dat``."""
    return name.removesuffix(".dat").rsplit("_", 1)[0]


@dataclass(frozen=True)
class _Subgrid:
    """A bicubic spline: knots in log x [nx] and log Q² [nq]; ``coefficients`` [nq-1, nx-1, 4 (Q), 4 (x), flavours]."""

    log_x: Tensor
    log_q2: Tensor
    coefficients: Tensor

    def in_x(self, log_q2: Tensor) -> Tensor:
        """Coefficients [..., nx-1, 4, flavours] of the cubics in log x at the scales ``log_q2`` [...]."""
        cell = _cell(self.log_q2, log_q2)
        step = (log_q2 - self.log_q2[cell])[..., None, None, None]
        return _cubic(self.coefficients[cell].unbind(-3), step)


def _cell(knots: Tensor, value: Tensor) -> Tensor:
    return torch.bucketize(value.contiguous(), knots[1:-1], right=True)


def _cubic(coefficients: Sequence[Tensor], step: Tensor) -> Tensor:
    c3, c2, c1, c0 = coefficients
    return ((c3 * step + c2) * step + c1) * step + c0


@dataclass(frozen=True)
class ScalePDF:
    """Sums of x f(x) at one scale: ``table`` [nx-1, 4 · n] of cubics between the ``log_x`` knots [nx]."""

    log_x: Tensor
    table: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """x f(x) [..., n] of every sum for x [...]; x must lie within the grid (the end values are used outside)."""
        knots = self.log_x.to(x)
        log_x = torch.log(x).clamp(float(self.log_x[0]), float(self.log_x[-1]))
        cell = _cell(knots, log_x)
        rows = self.table.to(x).index_select(0, cell.flatten()).reshape(*cell.shape, self.table.shape[1])
        return _cubic(rows.chunk(4, dim=-1), (log_x - knots[cell])[..., None])


@dataclass(frozen=True)
class PDFGrid:
    """A member of a PDF set.

    Example:
        >>> import torch
        >>> grid = PDFGrid.read(default_grid())
        >>> round(grid.xf(2, torch.tensor(0.1), torch.tensor(148.75)).item(), 3)
        0.582
    """

    path: Path
    flavours: tuple[int, ...]
    subgrids: tuple[_Subgrid, ...]

    @classmethod
    def read(cls, path: str | Path) -> PDFGrid:
        """Read an ``lhagrid1`` file.

        Raises:
            InputError: the file cannot be read or is not such a grid.
        """
        path = Path(path)
        try:
            header, *blocks = re.split(r"^---\s*$", path.read_text(), flags=re.MULTILINE)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a readable PDF grid ({error}); give an LHAPDF .dat file") from error
        if "lhagrid1" not in header:
            raise InputError(f"{path}: its header does not say 'Format: lhagrid1'; give an LHAPDF .dat file")
        parsed = [_parse(path, block) for block in blocks if block.strip()]
        if not parsed or any(flavours != parsed[0][0] for flavours, _ in parsed):
            raise InputError(f"{path}: no subgrid, or subgrids of different flavours; the file is damaged")
        return cls(path, parsed[0][0], tuple(subgrid for _, subgrid in parsed))

    def xf(self, pdg: int, x: Tensor, q: Tensor) -> Tensor:
        """x f(x, Q) of the parton ``pdg`` (0 and 21 are the gluon) for x and Q in GeV, broadcast against each other.

        Raises:
            RangeError: x or Q outside the grid, or NaN.
            InputError: a parton that the grid does not have.
        """
        column = self._column(pdg)
        x, log_q2 = torch.broadcast_tensors(x, 2 * torch.log(q))
        self._check_x(x)
        result = torch.full_like(x, math.nan)
        for subgrid, inside in self._of_scale(log_q2):
            c = subgrid.coefficients[..., column].to(x)
            knots_x, knots_q = subgrid.log_x.to(x), subgrid.log_q2.to(x)
            at_x, at_q = torch.log(x[inside]), log_q2[inside].clamp(float(knots_q[0]), float(knots_q[-1]))
            cell_x, cell_q = _cell(knots_x, at_x), _cell(knots_q, at_q)
            in_x = _cubic(c[cell_q, cell_x].unbind(-2), (at_q - knots_q[cell_q])[..., None])
            result[inside] = _cubic(in_x.unbind(-1), at_x - knots_x[cell_x])
        return result

    def at_scale(self, q: float, sums: Sequence[Sequence[int]]) -> ScalePDF:
        """x f(x) at Q = ``q`` GeV summed over the partons of each of ``sums``.

        Raises:
            RangeError: Q outside the grid.
            InputError: a parton that the grid does not have.
        """
        log_q2 = self.subgrids[0].log_q2.new_tensor(2 * math.log(q))
        ((subgrid, _),) = self._of_scale(log_q2)
        cubics = subgrid.in_x(log_q2)
        table = torch.stack([cubics[..., [self._column(pdg) for pdg in group]].sum(-1) for group in sums], dim=-1)
        return ScalePDF(subgrid.log_x, table.flatten(1).contiguous())

    def _column(self, pdg: int) -> int:
        code = GLUON if pdg == 0 else int(pdg)
        if code not in self.flavours:
            raise InputError(f"{self.path.name}: no parton {pdg}; it has {', '.join(map(str, self.flavours))}")
        return self.flavours.index(code)

    def _check_x(self, x: Tensor) -> None:
        low = max(float(torch.exp(grid.log_x[0])) for grid in self.subgrids)
        if not bool(((x >= low * (1 - 1e-12)) & (x <= 1)).all()):
            raise RangeError(f"{self.path.name}: x in [{float(x.min()):.4g}, {float(x.max()):.4g}] leaves [{low:.4g}, 1]")

    def _of_scale(self, log_q2: Tensor) -> list[tuple[_Subgrid, Tensor]]:
        """The subgrids that hold some of the scales, each with the mask of those; a threshold belongs to the upper one."""
        ends = torch.stack([g.log_q2[0] for g in self.subgrids] + [self.subgrids[-1].log_q2[-1]]).to(log_q2)
        tolerance = 1e-6 if log_q2.dtype == torch.float32 else 1e-9
        if not bool(((log_q2 >= ends[0] - tolerance) & (log_q2 <= ends[-1] + tolerance)).all()):
            q = torch.exp(log_q2 / 2)
            low, high = torch.exp(ends[[0, -1]] / 2).tolist()
            raise RangeError(
                f"{self.path.name}: Q in [{float(q.min()):.4g}, {float(q.max()):.4g}] GeV leaves [{low:.4g}, {high:.4g}] GeV"
            )
        index = _cell(ends, log_q2)
        return [(grid, index == i) for i, grid in enumerate(self.subgrids) if bool((index == i).any())]


def _parse(path: Path, block: str) -> tuple[tuple[int, ...], _Subgrid]:
    try:
        x_line, q_line, flavour_line, *rows = block.strip().splitlines()
        x, q = np.array(x_line.split(), float), np.array(q_line.split(), float)
        flavours = tuple(int(code) for code in flavour_line.split())
        values = np.array(" ".join(rows).split(), float).reshape(len(x), len(q), len(flavours))
    except ValueError as error:
        raise InputError(f"{path}: a damaged subgrid ({error}); fetch the file again") from error
    knots = np.log(x), 2 * np.log(q)
    if not all(np.isfinite(k).all() and len(k) >= 4 and all(a < b for a, b in pairwise(k)) for k in knots):
        raise InputError(f"{path}: the knots of a subgrid do not increase; the file is damaged")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: a subgrid has values that are not finite; the file is damaged")
    in_x = CubicSpline(knots[0], values, axis=0).c
    both = CubicSpline(knots[1], in_x, axis=2).c
    coefficients = torch.from_numpy(np.ascontiguousarray(both.transpose(1, 3, 0, 2, 4)))
    return flavours, _Subgrid(torch.from_numpy(knots[0]), torch.from_numpy(knots[1]), coefficients)
