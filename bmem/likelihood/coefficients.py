"""Coefficients: everything that integration leaves behind, from which every likelihood is made.

The density of an observed event n in replica r is p(x_n | θ) = Σ_k b_k(θ) I_k[r, n] / Σ_k b_k(θ) σ_k[r].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bmem import artifacts
from bmem.errors import ArtifactError, InputError
from bmem.likelihood.coefficients_file import write_blocks

Array = NDArray[np.float64]
KIND = "coefficients"
_DIAGNOSTIC = "diagnostic_"


@dataclass(frozen=True)
class Coefficients:
    """MEM integrals of N events, for R replicas and K components of the morphing basis.

    ``values`` [R, N, K] the integrals I_k and ``covariance`` [R, N, K, K] of their Monte Carlo estimate; ``fiducial`` [R, K]
    the fiducial cross sections σ_k in pb and ``fiducial_covariance`` [R, K, K]; ``diagnostics`` arrays [N] by name
    (``effective_fraction``, ``pareto_k``, ``points``, ``flagged``, ...); ``bootstrap`` [R, B, N, K] and
    ``fiducial_bootstrap`` [R, B, K] resamples, or None; ``resampled``: networks and σ_k of a replica are of one resample of
    the simulation.
    """

    values: Array
    covariance: Array
    fiducial: Array
    fiducial_covariance: Array
    diagnostics: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    bootstrap: Array | None = None
    fiducial_bootstrap: Array | None = None
    resampled: bool = False

    def __post_init__(self) -> None:
        if self.values.ndim != 3:
            raise InputError(
                f"Coefficients: values has shape {self.values.shape}, but [replica, event, component] is needed"
            )
        if (self.bootstrap is None) != (self.fiducial_bootstrap is None):
            raise InputError("Coefficients: bootstrap and fiducial_bootstrap are needed both or not at all")
        replicas, events, components = self.values.shape
        resamples = 0 if self.bootstrap is None else self.bootstrap.shape[1]
        expected = {
            "covariance": (replicas, events, components, components),
            "fiducial": (replicas, components),
            "fiducial_covariance": (replicas, components, components),
            "bootstrap": (replicas, resamples, events, components),
            "fiducial_bootstrap": (replicas, resamples, components),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise InputError(f"Coefficients: {name} has shape {array.shape}, where {shape} is needed")
        for name, array in self.diagnostics.items():
            if len(array) != events:
                raise InputError(f"Coefficients: diagnostic {name!r} has {len(array)} entries for {events} events")

    @classmethod
    def exact(cls, values: Array, fiducial: Array) -> Coefficients:
        """Integrals ``values`` [N, K] and ``fiducial`` σ_k in pb [K] without errors; in replicas [R, N, K] and [R, K]."""
        if values.ndim == 2:
            values, fiducial = values[None], fiducial[None]
        replicas, events, components = values.shape
        return cls(
            values=values,
            covariance=np.zeros((replicas, events, components, components)),
            fiducial=fiducial,
            fiducial_covariance=np.zeros((replicas, components, components)),
        )

    @property
    def n_replicas(self) -> int:
        return self.values.shape[0]

    @property
    def n_events(self) -> int:
        return self.values.shape[1]

    def select(self, events: Sequence[int] | NDArray[Any] | slice) -> Coefficients:
        """The same for a subset of the events (indices or a boolean mask)."""
        index = events if isinstance(events, slice) else np.asarray(events)
        return replace(
            self,
            values=self.values[:, index],
            covariance=self.covariance[:, index],
            diagnostics={name: array[index] for name, array in self.diagnostics.items()},
            bootstrap=None if self.bootstrap is None else self.bootstrap[:, :, index],
        )

    def nominal(self, components: int) -> Coefficients:
        """The same with nuisance parameters held at 0: the first of the ``components`` that go with their monomials."""
        first = slice(0, components)
        return replace(
            self,
            values=self.values[..., first],
            covariance=self.covariance[..., first, first],
            fiducial=self.fiducial[..., first],
            fiducial_covariance=self.fiducial_covariance[..., first, first],
            bootstrap=None if self.bootstrap is None else self.bootstrap[..., first],
            fiducial_bootstrap=None if self.fiducial_bootstrap is None else self.fiducial_bootstrap[..., first],
        )

    def replica(self, r: int) -> Coefficients:
        """One replica, as Coefficients with a replica axis of length 1."""
        one = slice(r, r + 1)
        return replace(
            self,
            values=self.values[one],
            covariance=self.covariance[one],
            fiducial=self.fiducial[one],
            fiducial_covariance=self.fiducial_covariance[one],
            bootstrap=None if self.bootstrap is None else self.bootstrap[one],
            fiducial_bootstrap=None if self.fiducial_bootstrap is None else self.fiducial_bootstrap[one],
        )

    def resample(self, b: int) -> Coefficients:
        """The central values replaced by bootstrap resample ``b`` (of the events' integrals and of σ_k).

        Raises:
            InputError: no resamples were kept.
        """
        if self.bootstrap is None or self.fiducial_bootstrap is None:
            raise InputError("these Coefficients keep no bootstrap resamples; integrate with [integration] resamples > 0")
        return replace(
            self,
            values=self.bootstrap[:, b],
            fiducial=self.fiducial_bootstrap[:, b],
            bootstrap=None,
            fiducial_bootstrap=None,
        )

    def to_dataset(self) -> xr.Dataset:
        """As an xarray Dataset with named dimensions."""
        variables: dict[str, Any] = {
            "values": (("replica", "event", "component"), self.values),
            "covariance": (("replica", "event", "component", "component2"), self.covariance),
            "fiducial": (("replica", "component"), self.fiducial),
            "fiducial_covariance": (("replica", "component", "component2"), self.fiducial_covariance),
        }
        if self.bootstrap is not None and self.fiducial_bootstrap is not None:
            variables["bootstrap"] = (("replica", "resample", "event", "component"), self.bootstrap)
            variables["fiducial_bootstrap"] = (("replica", "resample", "component"), self.fiducial_bootstrap)
        variables |= {f"{_DIAGNOSTIC}{name}": (("event",), array) for name, array in self.diagnostics.items()}
        return xr.Dataset(variables, attrs={"fiducial_unit": "pb", "resampled": int(self.resampled)})

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Coefficients:
        """The inverse of ``to_dataset``."""
        arrays = {str(name): variable.to_numpy() for name, variable in dataset.data_vars.items()}
        names = [name for name in arrays if name.startswith(_DIAGNOSTIC)]
        diagnostics = {name.removeprefix(_DIAGNOSTIC): arrays.pop(name) for name in names}
        return cls(diagnostics=diagnostics, resampled=bool(dataset.attrs.get("resampled", False)), **arrays)

    def save(
        self, path: Path, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None
    ) -> artifacts.Header:
        """Write as NetCDF with a header."""
        return CoefficientBlocks(self.n_events, [(0, self)]).save(path, settings, parents)

    @classmethod
    def load(cls, path: Path, events: slice = slice(None)) -> Coefficients:
        """Read what ``save`` wrote, of some ``events`` or of all.

        Raises:
            ArtifactError: the file is missing, foreign, damaged or of a newer format.
        """
        with _opened(path) as dataset:
            return cls.from_dataset(dataset.isel(event=events).load())


@dataclass(frozen=True)
class CoefficientBlocks:
    """The coefficients of ``n_events`` events that come in ``blocks``: (number of the first event, its coefficients).

    The blocks, in any order, have everything but the events in common. They are taken when the file is written, once.
    ``remarks`` are kept in the header beside the settings.
    """

    n_events: int
    blocks: Iterable[tuple[int, Coefficients]]
    remarks: Mapping[str, Any] = field(default_factory=dict)

    def save(
        self, path: Path, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None
    ) -> artifacts.Header:
        """Write as NetCDF with a header; ``Coefficients.load`` reads the file."""
        told = {**(settings or {}), **self.remarks}
        return artifacts.write(path, KIND, lambda p: write_blocks(p, self.n_events, self.blocks), told, parents)


def load_diagnostics(path: Path) -> dict[str, NDArray[Any]]:
    """Only the diagnostics of the events in a file of ``Coefficients``.

    Raises:
        ArtifactError: as ``Coefficients.load``.
    """
    with _opened(path) as dataset:
        names = [str(name) for name in dataset.data_vars if str(name).startswith(_DIAGNOSTIC)]
        return {name.removeprefix(_DIAGNOSTIC): dataset[name].to_numpy() for name in names}


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    """The data set of a file that has been checked; what is not read is not in memory."""
    artifacts.verify(path, KIND)
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            yield dataset
    except (OSError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not the layout of Coefficients ({error}); run the integration again") from error
