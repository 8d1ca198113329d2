"""Results for arviz: posterior draws, the likelihood of every event, and how far the integrals can be trusted.

A draw is a pair of a replica of the networks, all with the same probability, and of the parameter in it: the draws are those
of the average of the replicas' posteriors, and given such a pair the events are independent, which is what ``arviz.loo`` and
``arviz.compare`` need. How many replicas the draws are worth is the attribute ``effective_replicas`` of ``sample_stats``.
Everything of arviz, 0.x or 1.x, works on the result unchanged; files are written by xarray alone and are the same for both.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bmem import artifacts
from bmem.errors import ArtifactError, InputError
from bmem.inference.bayes import FLAT, Prior, posterior
from bmem.inference.nuts import Chains
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood, Objective, effective_number

Array = NDArray[np.float64]
KIND = "inference data"
_DRAW = ("chain", "draw")
Replicas = tuple[NegativeTwoLogLikelihood, ...]


@dataclass(frozen=True)
class DrawSettings:
    """``chains`` of ``draws`` independent draws each; several chains because arviz compares them."""

    chains: int = 4
    draws: int = 500

    def __post_init__(self) -> None:
        if self.chains < 1 or self.draws < 4:
            raise InputError(f"DrawSettings: 1 chain of 4 draws is the least, not {self.chains} of {self.draws}")


def inference_data(
    objective: Objective,
    rng: np.random.Generator,
    prior: Prior = FLAT,
    settings: DrawSettings = DrawSettings(),
    diagnostics: Mapping[str, NDArray[Any]] | None = None,
) -> Any:
    """What the installed arviz works with (0.x: its ``InferenceData``, 1.x: ``xarray.DataTree``), of one parameter.

    Its groups: ``posterior`` has the parameter [chain, draw] and, with several replicas, ``<parameter>_by_replica``
    [chain, draw, replica], the posterior in each of them; ``log_likelihood`` has ``events`` [chain, draw, event], up to a
    constant of each event (shape only: a rate belongs to no event); ``sample_stats`` has ``lp`` (log posterior,
    unnormalised) and ``replica`` of each draw and the diagnostics [event] of the importance weights, ``pareto_k`` and
    ``effective_points`` among them. The prior is named in the attributes of ``posterior``.

    Args:
        objective: the likelihood in one replica, or averaged over replicas.
        rng: of the draws.
        prior: the prior.
        settings: chains and draws.
        diagnostics: of the ``Coefficients`` of the same events.

    Raises:
        InputError: not the likelihood of events, several parameters, or diagnostics of another number of events.
        RangeError: see ``bmem.inference.bayes.posterior``.
    """
    replicas = _replicas(objective)
    posteriors = [posterior(replica, prior) for replica in replicas]
    count, name = settings.chains * settings.draws, objective.parameters[0].name
    each = np.stack([p.sample(count, rng) for p in posteriors], axis=-1)
    chosen = rng.integers(len(replicas), size=count)
    theta = each[np.arange(count), chosen][:, None]
    shape = (settings.chains, settings.draws)
    draws = _Draws(shape, theta, chosen, prior.log_density(theta[:, 0]) + _log_likelihood(replicas, theta, chosen))
    variables: dict[str, Any] = {}
    if len(replicas) > 1:
        variables[f"{name}_by_replica"] = ((*_DRAW, "replica"), each.reshape(*shape, -1))
    return _inference_data(objective, draws, diagnostics or {}, xr.Dataset(variables, attrs={"prior": prior.description}))


def inference_data_of_chains(
    objective: Objective, chains: Chains, rng: np.random.Generator, diagnostics: Mapping[str, NDArray[Any]] | None = None
) -> Any:
    """The same of NUTS ``chains`` of any number of parameters, without the posteriors of single replicas.

    ``rng`` draws the replica that goes with each θ, with what it contributes to the average there; ``lp`` is the log
    posterior averaged over replicas, and the number of steps that diverged is an attribute of ``sample_stats``.

    Raises:
        InputError: the chains are of other parameters, and as ``inference_data``.
    """
    if chains.parameters != objective.parameters:
        names = [[p.name for p in both] for both in (chains.parameters, objective.parameters)]
        raise InputError(f"the chains are of {names[0]}, the likelihood is of {names[1]}; draw them from this likelihood")
    theta = chains.samples.reshape(-1, len(chains.parameters))
    chosen = np.zeros(len(theta), np.int64)
    if isinstance(objective, MarginalLikelihood):
        logs = objective.normalised(theta)
        chosen = np.argmax(logs + rng.gumbel(size=logs.shape), axis=0)
    draws = _Draws(chains.samples.shape[:2], theta, chosen, chains.log_posterior.ravel())
    data = _inference_data(objective, draws, diagnostics or {}, xr.Dataset(attrs={"prior": chains.prior}))
    data.sample_stats.attrs["divergences"] = chains.divergences
    return data


@dataclass(frozen=True)
class _Draws:
    """``theta`` [S, P], the ``replica`` and ``log_posterior`` [S] of S draws, in ``shape`` = (chains, draws)."""

    shape: tuple[int, ...]
    theta: Array
    replica: NDArray[np.int64]
    log_posterior: Array


def _inference_data(objective: Objective, draws: _Draws, diagnostics: Mapping[str, NDArray[Any]], more: xr.Dataset) -> Any:
    """The groups of ``inference_data``; ``more`` variables and attributes for its posterior."""
    shape = draws.shape
    columns = {p.name: (_DRAW, x.reshape(shape)) for p, x in zip(objective.parameters, draws.theta.T, strict=True)}
    steps = {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}
    events = steps | {"event": np.delete(np.arange(objective.n_events), objective.excluded)}
    logs = _log_densities(_replicas(objective), draws.theta, draws.replica).reshape(*shape, -1)
    stats: dict[str, Any] = {key: (("event",), values) for key, values in _of_events(diagnostics, objective).items()}
    stats |= {"lp": (_DRAW, draws.log_posterior.reshape(shape)), "replica": (_DRAW, draws.replica.reshape(shape))}
    counts = {"n_events": objective.n_events, "excluded": len(objective.excluded)}
    number = effective_number(np.bincount(draws.replica))
    return _as_arviz(
        {
            "posterior": more.assign(columns).assign_coords(steps).assign_attrs(counts),
            "log_likelihood": xr.Dataset({"events": ((*_DRAW, "event"), logs)}, coords=events),
            "sample_stats": xr.Dataset(stats, coords=events, attrs={"effective_replicas": number}),
        }
    )


def with_predictive(data: Any, observed: Mapping[str, Array], predicted: Mapping[str, Array]) -> Any:
    """The same with ``observed_data`` [n] and ``posterior_predictive`` [chain, draw, n] of observables.

    It is for ``arviz.plot_ppc`` (1.x: ``arviz.plot_ppc_dist``).
    ``bmem.calibration.predictive`` makes the predictions from a bank of simulated events.

    Raises:
        InputError: the two do not name the same observables, or their shapes do not fit to the draws.
    """
    groups = _groups(data)
    draws = tuple(groups["posterior"].sizes[d] for d in _DRAW)
    if set(observed) != set(predicted):
        raise InputError(f"observed are {sorted(observed)}, predicted {sorted(predicted)}; give the same observables")
    for name, values in observed.items():
        if predicted[name].shape != (*draws, len(values)):
            raise InputError(f"{name!r}: predictions have shape {predicted[name].shape}, not {(*draws, len(values))}")
    groups["observed_data"] = xr.Dataset({k: ((f"{k}_event",), v) for k, v in observed.items()})
    groups["posterior_predictive"] = xr.Dataset({k: ((*_DRAW, f"{k}_event"), v) for k, v in predicted.items()})
    return _as_arviz(groups)


def save(
    data: Any, path: Path, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None
) -> artifacts.Header:
    """Write as NetCDF, which ``arviz.from_netcdf`` reads, with a header."""
    # through memory: HDF5 does not survive a full disk, it crashes when the program ends
    content = io.BytesIO()
    xr.DataTree.from_dict(_groups(data)).to_netcdf(content, engine="h5netcdf")

    def writer(temporary: Path) -> None:
        temporary.write_bytes(content.getvalue())

    return artifacts.write(path, KIND, writer, settings, parents)


def load(path: Path) -> Any:
    """Read what ``save`` wrote.

    Raises:
        ArtifactError: the file is missing, foreign, damaged or of a newer format.
    """
    artifacts.verify(path, KIND)
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return _as_arviz({name: child.to_dataset().load() for name, child in tree.children.items()})
    except (OSError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not the layout of inference data ({error}); export it again") from error


def _replicas(objective: Objective) -> Replicas:
    if isinstance(objective, MarginalLikelihood):
        return objective.replicas
    if isinstance(objective, NegativeTwoLogLikelihood):
        return (objective,)
    raise InputError(f"an export needs the likelihood of events, not a {type(objective).__name__}")


def _log_densities(replicas: Replicas, theta: Array, chosen: NDArray[np.int64]) -> Array:
    """log p(x_n | θ) [S, N] at θ [S, P], each draw in the replica chosen for it."""
    result = np.empty((len(theta), len(replicas[0].integrals)))
    for r, replica in enumerate(replicas):
        b = replica.basis.value(theta[chosen == r])
        result[chosen == r] = np.log(replica.densities(b)) - np.log(b @ replica.fiducial)[:, None]
    return result


def _log_likelihood(replicas: Replicas, theta: Array, chosen: NDArray[np.int64]) -> Array:
    """log L(θ) [S], each draw in the replica chosen for it."""
    result = np.empty(len(theta))
    for r in np.unique(chosen):
        result[chosen == r] = -replicas[r].value(theta[chosen == r]) / 2
    return result


def _of_events(diagnostics: Mapping[str, NDArray[Any]], objective: Objective) -> dict[str, NDArray[Any]]:
    """``diagnostics`` of the events that are not excluded; the effective number of points is added where it is known."""
    for name, values in diagnostics.items():
        if len(values) != objective.n_events:
            raise InputError(f"{name!r} is known of {len(values)} events, the sample has {objective.n_events}")
    every = dict(diagnostics)
    if {"effective_fraction", "points"} <= set(every):
        every["effective_points"] = every["effective_fraction"] * every["points"]
    return {name: np.delete(values, objective.excluded) for name, values in every.items()}


def _as_arviz(groups: Mapping[str, xr.Dataset]) -> Any:
    """The groups as the installed arviz takes them: 0.x has a class of its own, from 1.0 on it is xarray's tree."""
    # Two seconds to import: paid by who needs it.
    import arviz

    if hasattr(arviz, "convert_to_datatree"):  # 1.x
        return xr.DataTree.from_dict(dict(groups))
    of_groups: Any = arviz.InferenceData
    return of_groups(**groups)


def _groups(data: Any) -> dict[str, xr.Dataset]:
    if isinstance(data, xr.DataTree):
        return {name: child.to_dataset() for name, child in data.children.items()}
    return {name: data[name] for name in data.groups()}
