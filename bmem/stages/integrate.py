"""Stage 3: the MEM integrals of the events that the fit and the calibration use, for all α at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem import artifacts
from bmem.calibration.yardstick import yardstick
from bmem.config import BANK, TRAINING
from bmem.events import parquet
from bmem.integration.importance import (
    Block,
    Checkpoint,
    EventIntegrals,
    IntegrationSettings,
    stream,
    warn_if_broken,
)
from bmem.likelihood import coefficients, cross_section
from bmem.likelihood.coefficients import Array, Coefficients
from bmem.likelihood.cross_section import (
    FiducialCrossSection,
    counted_cross_section,
    fiducial_cross_section,
    mixture_coefficients,
)
from bmem.likelihood.integrand import Integrand
from bmem.rng import generator
from bmem.stages.backgrounds import background_events, mixed, observed
from bmem.stages.run import Run, plain
from bmem.stages.simulate import measured_samples
from bmem.stages.train import NAMES, Networks

BANK_RESAMPLES = 20
"""Resamples of the bank's integrals that are kept at most."""
_ROWS = 1 << 16
"""Events whose acceptance is computed at once."""


def integrate_all(run: Run) -> None:
    """Integrate every sample that has no coefficients yet."""
    fiducial_done = run.done(run.fiducial, cross_section.KIND, *_fiducial_origin(run))
    names = [sample.name for sample in measured_samples(run)] + [BANK] * bool(run.config.belt.bank_events)
    missing = [n for n in names if not run.done(run.coefficients(n), coefficients.KIND, *_origin(run, n))]
    if fiducial_done and not missing:
        return
    networks = Networks.load(run)
    if not fiducial_done:
        _integrate_fiducial(run, networks)
    fiducial = FiducialCrossSection.load(run.fiducial)
    for name in missing:
        _integrate_sample(run, networks, fiducial, name)


Origin = tuple[dict[str, Any], dict[str, Path]]
"""Settings and parents of an artifact."""


def _fiducial_origin(run: Run) -> Origin:
    section, resamples = run.config.likelihood, run.config.integration.resamples
    settings = {"resamples": resamples, "process": plain(run.config.process), "seed": run.config.seed}
    parents = {"acceptance": run.network("acceptance")}
    if section.fiducial == "learned":
        return settings | {"events": section.fiducial_events}, parents
    return settings | {"fiducial": section.fiducial}, parents | {"training": run.events(TRAINING)}


def _origin(run: Run, name: str) -> Origin:
    decisive = {k: v for k, v in plain(_settings(run, name)).items() if k not in ("points_per_chunk", "block")}
    settings = {"integration": decisive, "events": _wanted(run, name), "seed": run.config.seed}
    parents = {"events": run.events(name), "fiducial": run.fiducial} | {n: run.network(n) for n in NAMES}
    if mixed(run, name):
        settings["background"] = [b.model_dump(include={"name", "density", "fraction"}) for b in run.config.background]
        parents |= background_events(run)
    return settings, parents


def _settings(run: Run, name: str) -> IntegrationSettings:
    """Those of the configuration; the bank, which is large, keeps few resamples."""
    settings = run.config.integration
    return settings if name != BANK else replace(settings, resamples=min(settings.resamples, BANK_RESAMPLES))


def _wanted(run: Run, name: str) -> int:
    """Events that the fit or the calibration need; of the bank all of them."""
    if name == BANK:
        return run.config.belt.bank_events
    return max(run.config.fit.events, run.config.calibration.subsamples * run.config.calibration.size)


def _integrate_fiducial(run: Run, networks: Networks) -> None:
    section, resamples = run.config.likelihood, run.config.integration.resamples
    if section.fiducial == "learned":
        run.say(f"  σ_fid from {section.fiducial_events} events and the learned acceptance")
        rng = generator(run.config.seed, "fiducial")
        result = fiducial_cross_section(run.process, networks.acceptance, section.fiducial_events, rng, resamples)
    else:
        pairs = parquet.read_pairs(run.events(TRAINING))
        run.say(f"  σ_fid from {int(pairs.accepted.sum())} accepted of {len(pairs)} simulated events")
        result = counted_cross_section(run.process, pairs, len(networks.acceptance), run.config.seed, resamples)
    result.save(run.fiducial, *_fiducial_origin(run))


def _integrate_sample(run: Run, networks: Networks, fiducial: FiducialCrossSection, name: str) -> None:
    wanted, origin = _wanted(run, name), _origin(run, name)
    sample = observed(run, name)
    x_reco = sample.x[:wanted]
    _integrate(run, networks, x_reco, name)
    if sample.x_hard is not None:
        x_hard = sample.x_hard[:wanted]
        with torch.no_grad():
            parts = [networks.acceptance("probability", part).mean(0) for part in x_hard.split(_ROWS)]
            efficiency = torch.cat(parts)
        known = yardstick(run.process, x_hard, efficiency, fiducial.values.mean(0))
        known.save(run.hard_coefficients(name), *origin)
    outside = ~networks.proposal.seen(x_reco).numpy()
    blocks = (
        (block.start, _coefficients(fiducial, integrals, outside[block.start : block.stop]))
        for block, integrals in _blocks(run, networks, x_reco, name)
    )
    coefficients.save_blocks(run.coefficients(name), len(x_reco), blocks, *origin)
    run.forget("integrate", name)
    _describe(run, name)


def _coefficients(fiducial: FiducialCrossSection, integrals: EventIntegrals, outside: NDArray[np.bool_]) -> Coefficients:
    return Coefficients(
        values=integrals.values,
        covariance=integrals.covariance,
        fiducial=fiducial.values,
        fiducial_covariance=fiducial.covariance,
        diagnostics=integrals.diagnostics() | {"outside": outside},
        bootstrap=integrals.bootstrap,
        fiducial_bootstrap=_first_resamples(fiducial, integrals),
    )


def _first_resamples(fiducial: FiducialCrossSection, integrals: EventIntegrals) -> Array | None:
    """As many resamples of σ_k [R, B, K] as there are of the integrals."""
    if integrals.bootstrap is None or fiducial.bootstrap is None:
        return None
    return fiducial.bootstrap[:, : integrals.bootstrap.shape[1]]


def _integrate(run: Run, networks: Networks, x_reco: Tensor, name: str) -> None:
    """Integrate all blocks that are not in the cache."""
    flags, done = np.zeros(len(x_reco), np.int64), 0
    with run.progress(f"integrate {name}") as progress:
        for block, integrals in _blocks(run, networks, x_reco, name):
            flags[block.start : block.stop] = integrals.flags
            done += block.stop - block.start
            progress(done, len(x_reco))
    warn_if_broken(flags)


def _blocks(run: Run, networks: Networks, x_reco: Tensor, name: str) -> Iterator[tuple[Block, EventIntegrals]]:
    """Blocks of events, read from the cache or integrated and kept there."""
    process = run.process
    integrand = Integrand(process, networks.transfer, networks.acceptance, networks.proposal, x_reco)
    identity = {n: artifacts.read_header(run.network(n)).sha256 for n in NAMES}
    identity["events"] = artifacts.read_header(run.events(name)).sha256
    if mixed(run, name):
        identity["backgrounds"] = json.dumps(_origin(run, name)[0]["background"])
        identity |= {n: artifacts.read_header(path).sha256 for n, path in background_events(run).items()}
    return stream(
        integrand,
        len(x_reco),
        mixture_coefficients(process),
        _settings(run, name),
        run.seed("integrate", name),
        pilot=integrand.replica(0),
        checkpoint=Checkpoint(run.cache("integrate", name), identity),
        workers=run.workers,
    )


def _describe(run: Run, name: str) -> None:
    d = coefficients.load_diagnostics(run.coefficients(name))
    fraction, error = np.median(d["effective_fraction"]), np.median(d["relative_error"])
    run.say(
        f"  {name}: {len(d['flags'])} events; medians: effective sample {100 * fraction:.0f} % of the points, error "
        f"{100 * error:.1f} %; {int((d['flags'] > 0).sum())} flagged, {int(d['outside'].sum())} outside the training range"
    )
