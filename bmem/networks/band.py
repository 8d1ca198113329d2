"""Learned densities with their network uncertainty: what R replicas make of a density in bins of one or two coordinates.

Two ways to it: ``band_on_grid`` evaluates a density of one or two dimensions, exactly up to the size of the bins, and
``band_of_sample`` draws from a density of any dimension and bins any observable. Both may be held against a reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.rng import uniform
from bmem.transforms.contract import Transform

Array = NDArray[np.float64]

_ROWS = 1 << 16


@dataclass(frozen=True)
class DensityBand:
    """A density in bins, as R networks have it.

    Attributes:
        edges: of the bins of each of the one or two coordinates [B + 1].
        values: density of each network, averaged over the bins [R, ...]; per unit of the coordinates.
        sampling: standard error of their mean from a finite sample [...]; 0 where none was drawn.
        reference: what the density should be [...]; None if that is not known.
        reference_error: of the reference [...]; 0 if it is exact.
    """

    edges: tuple[Array, ...]
    values: Array
    sampling: Array
    reference: Array | None = None
    reference_error: Array | None = None

    def __post_init__(self) -> None:
        shape = tuple(len(edges) - 1 for edges in self.edges)
        if self.values.ndim != 1 + len(shape) or self.values.shape[1:] != shape or len(self.values) < 2:
            raise InputError(f"a band needs the densities of 2 or more networks in {shape} bins, not {self.values.shape}")
        for name in ("sampling", "reference", "reference_error"):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise InputError(f"DensityBand.{name} has shape {value.shape}, there are {shape} bins")

    @property
    def mean(self) -> Array:
        """Over the networks [...]."""
        return self.values.mean(axis=0)

    @property
    def error(self) -> Array:
        """Standard deviation over the networks [...]: the network uncertainty."""
        return self.values.std(axis=0, ddof=1)

    @property
    def relative_error(self) -> Array:
        """Of the mean [...]; infinite where that is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.mean > 0, self.error / self.mean, np.inf)

    @property
    def pull(self) -> Array:
        """(mean - reference) over the errors of network, sample and reference in quadrature [...]; NaN where they are 0.

        Raises:
            InputError: there is no reference.
        """
        if self.reference is None:
            raise InputError("a pull needs a reference density: compare the band with one first (against, against_sample)")
        known = 0.0 if self.reference_error is None else self.reference_error
        total = np.sqrt(self.error**2 + self.sampling**2 + known**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, (self.mean - self.reference) / total, np.nan)

    def against(self, exact: Array) -> DensityBand:
        """The same with an exact reference: its averages over the bins [...]."""
        return replace(self, reference=np.asarray(exact, dtype=np.float64), reference_error=np.zeros(self.mean.shape))

    def against_sample(self, sample: Array) -> DensityBand:
        """The same with a reference sample [N, d] of the coordinates, binned; errors are those of the counts."""
        values = np.asarray(sample, dtype=np.float64).reshape(len(sample), -1)
        counts = np.histogramdd(values, bins=self.edges)[0]
        scale = 1 / (len(values) * _volumes(self.edges))
        variance = np.maximum(counts * (1 - counts / len(values)), 1.0)
        return replace(self, reference=counts * scale, reference_error=np.sqrt(variance) * scale)

    def marginal(self, axis: int) -> DensityBand:
        """The band of one of two coordinates, integrated over the bins of the other; what lies beyond them is left out."""
        if len(self.edges) != 2:
            raise InputError("only a band of two coordinates has a marginal")
        widths = np.diff(self.edges[1 - axis])
        other = 1 - axis
        sampling = np.sqrt(np.tensordot(self.sampling**2, widths**2, axes=(other, 0)))
        known = self.reference_error
        return DensityBand(
            (self.edges[axis],),
            np.tensordot(self.values, widths, axes=(1 + other, 0)),
            sampling,
            None if self.reference is None else np.tensordot(self.reference, widths, axes=(other, 0)),
            None if known is None else np.sqrt(np.tensordot(known**2, widths**2, axes=(other, 0))),
        )


def band_on_grid(
    replicas: Replicas,
    edges: tuple[Array, ...],
    condition: Tensor,
    transform: Transform | None = None,
    points: int = 4,
) -> DensityBand:
    """The densities of R networks over D = 1 or 2 coordinates, averaged over ``points`` midpoints per bin and coordinate.

    Args:
        replicas: with a method ``log_prob`` of points [N, D] and conditions [N, C].
        edges: of the bins of each coordinate.
        condition: under which the density is taken [C].
        transform: from the network's own coordinates to those of the bins; default: they are the same.
        points: in each bin, along each coordinate.

    Raises:
        InputError: edges that do not increase.
    """
    _check(edges)
    fine = [_midpoints(each, points) for each in edges]
    mesh = np.stack(np.meshgrid(*fine, indexing="ij"), axis=-1).reshape(-1, len(edges))
    grid = torch.as_tensor(mesh, device=condition.device)
    x, log_jacobian = (grid, torch.zeros_like(grid[:, 0])) if transform is None else transform.inverse(grid)
    dtype = condition.dtype
    with torch.no_grad():
        parts = [
            replicas("log_prob", rows.to(dtype), condition.expand(len(rows), -1)).double() + log_part
            for rows, log_part in zip(x.split(_ROWS), log_jacobian.split(_ROWS), strict=True)
        ]
    densities = torch.cat(parts, dim=1).exp().cpu().numpy()
    shape = [size for each in edges for size in (len(each) - 1, points)]
    values = densities.reshape(len(densities), *shape).mean(axis=tuple(range(2, 2 * len(edges) + 1, 2)))
    return DensityBand(edges, values, np.zeros(values.shape[1:]))


def band_of_sample(
    replicas: Replicas,
    edges: tuple[Array, ...],
    condition: Tensor,
    observable: Callable[[Tensor, Tensor], Tensor],
    rng: torch.Generator,
) -> DensityBand:
    """Histograms of an observable of one draw per condition, from R networks that are given the same noise.

    The noise is common, so that the differences of the networks are hardly touched by it; its own error is ``sampling``.

    Args:
        replicas: with a method ``from_noise``, as every ``ConditionalDensity`` has.
        edges: of the bins of each coordinate of the observable.
        condition: of the draws [N, C].
        observable: maps draws [R, N, D] and their conditions [N, C] to its one or two coordinates [R, N, d].
        rng: of the noise.

    Raises:
        InputError: edges that do not increase.
    """
    _check(edges)
    noise_dim: int = replicas.module.noise_dim  # type: ignore[assignment]
    noise = uniform((len(condition), noise_dim), rng, condition)
    with torch.no_grad():
        parts = [
            observable(replicas("from_noise", rows, own)[0], own)
            for rows, own in zip(noise.split(_ROWS), condition.split(_ROWS), strict=True)
        ]
    drawn = torch.cat(parts, dim=1).double().cpu().numpy()
    fractions = np.stack([np.histogramdd(values, bins=edges)[0] for values in drawn]) / len(condition)
    volumes = _volumes(edges)
    mean = fractions.mean(axis=0)
    return DensityBand(edges, fractions / volumes, np.sqrt(mean * (1 - mean) / len(condition)) / volumes)


def _check(edges: tuple[Array, ...]) -> None:
    if len(edges) not in (1, 2) or any(len(each) < 2 or not (np.diff(each) > 0).all() for each in edges):
        raise InputError("a band has one or two coordinates with edges that increase")


def _midpoints(edges: Array, points: int) -> Array:
    parts = (np.arange(points) + 0.5) / points
    return (edges[:-1, None] + np.diff(edges)[:, None] * parts).reshape(-1)


def _volumes(edges: tuple[Array, ...]) -> Array:
    """Of the bins [...]."""
    return np.multiply.outer(*map(np.diff, edges)) if len(edges) == 2 else np.diff(edges[0])
