"""The VEGAS grid: an invertible, piecewise-linear map of the unit cube, one dimension at a time.

Lepage, J. Comput. Phys. 27 (1978) 192; the smoothing and damping are those of arXiv:2009.05112.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.transforms.contract import Transform


class VegasGrid(Transform):
    """u [..., D] in the unit cube → y [..., D] in the unit cube: the b-th of B equal intervals of u fills the b-th bin of y.

    The edges are sent to where the points are, so one grid serves every device.

    Args:
        edges: [D, B + 1] increasing bin edges of y from 0 to 1 in each dimension; see ``uniform``.

    Raises:
        InputError: edges that do not increase from 0 to 1.
    """

    edges: Tensor

    def __init__(self, edges: Tensor) -> None:
        super().__init__()
        ends_right = bool((edges[:, 0] == 0).all()) and bool((edges[:, -1] == 1).all())
        if not (ends_right and bool((edges.diff(dim=1) > 0).all())):
            raise InputError("VegasGrid: the edges of every dimension must increase from 0 to 1")
        self.register_buffer("edges", edges)

    @classmethod
    def uniform(cls, dimension: int, bins: int = 64) -> VegasGrid:
        """The identity in float64 with room to adapt."""
        return cls(torch.linspace(0, 1, bins + 1, dtype=torch.float64, device="cpu").repeat(dimension, 1))

    @property
    def bins(self) -> int:
        """Bins in each dimension."""
        return self.edges.shape[1] - 1

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u → y and log|dy/du|."""
        cell = (x * self.bins).long().clamp(0, self.bins - 1)
        low, width = self._bin(cell)
        return low + (x * self.bins - cell) * width, torch.log(width * self.bins).sum(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y → u and log|du/dy|."""
        cell = self.locate(y)
        low, width = self._bin(cell)
        return (cell + (y - low) / width) / self.bins, -torch.log(width * self.bins).sum(-1)

    def locate(self, y: Tensor) -> Tensor:
        """The bin [..., D] in which each coordinate of y lies."""
        columns = y.reshape(-1, y.shape[-1]).T.contiguous()
        return torch.searchsorted(self.edges[:, 1:-1].to(y.device).contiguous(), columns, right=True).T.reshape(y.shape)

    def adapted(self, y: Tensor, weight: Tensor, damping: float = 0.75) -> VegasGrid:
        """A grid whose bins share the squared weights more evenly.

        Args:
            y: [N, D] points drawn through this grid.
            weight: [N] integrand times Jacobian at those points.
            damping: 0 leaves the grid alone, 1 moves it fastest.

        Raises:
            InputError: the weights are all zero, or not finite.
        """
        if not (bool(weight.isfinite().all()) and bool((weight != 0).any())):
            raise InputError("VegasGrid: the weights to adapt to are all zero, or some are not finite")
        counts = _histogram(self.locate(y), torch.ones_like(weight), self.bins)
        power = _histogram(self.locate(y), weight**2, self.bins) / counts.clamp(min=1)
        edges = [_rebin(edge, _damped(p, damping)) for edge, p in zip(self.edges, power, strict=True)]
        return VegasGrid(torch.stack(edges))

    def _bin(self, cell: Tensor) -> tuple[Tensor, Tensor]:
        edges, dimension = self.edges.to(cell.device), torch.arange(cell.shape[-1], device=cell.device)
        low = edges[dimension, cell]
        return low, edges[dimension, cell + 1] - low


def _histogram(cell: Tensor, weight: Tensor, bins: int) -> Tensor:
    """[D, bins] sums of ``weight`` [N] over the cells [N, D]."""
    return torch.stack([torch.bincount(column, weight, minlength=bins) for column in cell.T])


def _damped(power: Tensor, damping: float) -> Tensor:
    """Share of each bin, smoothed over its neighbours and compressed: ((1 - d) / log(1/d))^damping."""
    padded = torch.cat([power[:1], power, power[-1:]])
    smooth = (padded[:-2] + 6 * padded[1:-1] + padded[2:]) / 8
    share = (smooth / smooth.sum()).clamp(1e-30, 1 - 1e-9)
    return ((1 - share) / -torch.log(share)) ** damping


def _rebin(edges: Tensor, share: Tensor) -> Tensor:
    """Edges between which ``share`` is equal, interpolating linearly within the old bins."""
    total = torch.cat([share.new_zeros(1), share.cumsum(0)])
    target = torch.linspace(0, 1, len(edges), dtype=edges.dtype, device=edges.device)[1:-1] * total[-1]
    cell = torch.searchsorted(total[1:-1].contiguous(), target, right=True)
    inner = edges[cell] + (target - total[cell]) / share[cell] * (edges[cell + 1] - edges[cell])
    return torch.cat([edges[:1], inner, edges[-1:]])
