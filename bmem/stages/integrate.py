"""Stage 3: the MEM integrals of the events that the fit and the calibration use, for all parameters at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyarrow.parquet import read_schema
from torch import Tensor

from bmem import artifacts
from bmem.artifacts import Product, Work
from bmem.calibration.yardstick import yardstick_coefficients
from bmem.config import BANK, TRAINING, VALIDATION, BackgroundSection
from bmem.events import parquet
from bmem.integration.importance import warn_if_broken
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood import coefficients, cross_section
from bmem.likelihood.coefficients import CoefficientBlocks, Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, mixture_coefficients
from bmem.likelihood.integrals_file import integral_blocks
from bmem.likelihood.networks import Networks
from bmem.stages.backgrounds import background_events, bank_name, mixed, observed
from bmem.stages.run import Run, nuisance_settings, plain
from bmem.stages.simulate import accepted_events, measured_events, measured_samples
from bmem.stages.train import NAMES, chain_of, load_networks

BANK_RESAMPLES = 20
"""Resamples of the bank's integrals that are kept at most."""
AVAILABLE = "available"
"""What the header of coefficients calls the number of events of the sample, of which the first ones are integrated."""
_ROWS = 1 << 16
"""Events whose acceptance is computed at once."""


Origin = tuple[dict[str, Any], dict[str, Path]]
"""Settings and parents of an artifact."""


def integrate_all(run: Run) -> None:
    """Integrate what has no coefficients yet."""
    run.engine.ensure(*products(run))


def products(run: Run) -> list[Product[Any]]:
    """σ_fid, the integrals of every sample, the bank and validation events, and yardsticks where x_hard is known."""
    integrals = _Integrals(run)
    banks = [BANK, *(bank_name(background) for background in run.config.background)]
    names = [sample.name for sample in measured_samples(run)] + banks * bool(run.config.belt.bank_events)
    samples = [integrals.products(name) for name in names + [VALIDATION] * tells_bias(run)]
    return [integrals.fiducial_product, *(product for found in samples for product in found)]


@dataclass(frozen=True)
class _Integrals:
    """Makes the products; networks and σ_fid are read once, and only if something has to be computed."""

    run: Run

    @cached_property
    def networks(self) -> Networks:
        return load_networks(self.run).to(self.run.device)

    @cached_property
    def fiducial(self) -> FiducialCrossSection:
        return FiducialCrossSection.load(self.run.fiducial)

    @property
    def fiducial_product(self) -> Product[FiducialCrossSection]:
        origin, section = _fiducial_origin(self.run), self.run.config.likelihood
        events = section.fiducial_events if section.fiducial == "learned" else 0
        return Product(
            "σ_fid",
            self.run.fiducial,
            cross_section.KIND,
            *origin,
            make=self._fiducial,
            read=FiducialCrossSection.load,
            cost=(Work("hard event", events),),
        )

    def products(self, name: str) -> list[Product[Coefficients]]:
        """The yardstick, if there can be one, and the integrals of a sample."""
        run, origin = self.run, _origin(self.run, name)
        of_kind = partial(Product, kind=coefficients.KIND, settings=origin[0], parents=origin[1], read=Coefficients.load)
        found = of_kind(
            name,
            run.coefficients(name),
            make=lambda: self._coefficients(name),
            cost=(Work("integral", (wanted(run, name) or 0) // turns_of(run, name)),),
            unfinished=run.cache("integrate", name),
        )
        hard = of_kind(f"{name}, x_hard known", run.hard_coefficients(name), make=lambda: self._hard_coefficients(name))
        return [hard, found] if name != VALIDATION and truth_is_kept(run, name) else [found]

    def _fiducial(self) -> FiducialCrossSection:
        run, section, acceptance = self.run, self.run.config.likelihood, self.networks.acceptance
        if section.fiducial == "learned":
            run.say(f"  σ_fid from {section.fiducial_events} events and the learned acceptance")
            return chain_of(run).fiducial(acceptance, None)
        pairs = parquet.read_pairs(run.events(TRAINING))
        run.say(f"  σ_fid from {int(pairs.accepted.sum())} accepted of {len(pairs)} simulated events")
        return chain_of(run).fiducial(acceptance, pairs)

    def _hard_coefficients(self, name: str) -> Coefficients:
        x_hard = observed(self.run, name).x_hard
        assert x_hard is not None  # truth_is_kept
        x_hard = x_hard[: wanted(self.run, name)].to(self.run.device)
        with torch.no_grad():
            nominal = torch.cat([x_hard, x_hard.new_zeros(len(x_hard), len(self.run.nuisances.widths))], -1)
            parts = [self.networks.acceptance("probability", part).mean(0) for part in nominal.split(_ROWS)]
        sigma = self.fiducial.nominal(len(mixture_coefficients(self.run.process))).values.mean(0)
        return yardstick_coefficients(self.run.process, x_hard, torch.cat(parts), sigma)

    def _coefficients(self, name: str) -> CoefficientBlocks:
        """Integrate all blocks; the file is then written from those in the cache, one after the other."""
        every = observed(self.run, name).x
        x_reco = every[: wanted(self.run, name)].to(self.run.device)
        told: dict[str, NDArray[Any]] = {}
        with self.run.progress(f"integrate {name}") as progress:
            done = 0
            for events, found in self._blocks(x_reco, name):
                for key, values in found.diagnostics.items():
                    told.setdefault(key, np.empty(len(x_reco), values.dtype))[events] = values
                done += found.n_events
                progress(done, len(x_reco))
        warn_if_broken(told["flags"])
        self.run.say(_described(name, told))
        blocks = ((events.start, found) for events, found in self._blocks(x_reco, name))
        return CoefficientBlocks(len(x_reco), blocks, {AVAILABLE: len(every)})

    def _blocks(self, x_reco: Tensor, name: str) -> Iterator[tuple[slice, Coefficients]]:
        """All blocks of events, read from the cache or integrated and kept there."""
        run = self.run
        kept = integral_blocks(run.cache("integrate", name), _identity(run, name))
        integrator = chain_of(run).integrator(self.networks, self.fiducial, name, _settings(run, name))
        return integrator.blocks(x_reco, kept, run.workers)


def tells_bias(run: Run) -> bool:
    """Whether validation events are integrated, for the bias of what is measured: of signal alone, no ν free."""
    config = run.config
    wanted_and_pure = bool(config.calibration.bias_events) and not (config.background or config.nuisance)
    return wanted_and_pure and bool(measured_samples(run)) and accepted_events(run, VALIDATION) != 0


def turns_of(run: Run, name: str) -> int:
    """Of how many replicas each event is integrated in one: validation events take turns."""
    return run.config.posterior.drawn if name == VALIDATION else 1


def truth_is_kept(run: Run, name: str) -> bool:
    """Whether x_hard of the events of a sample is known, and there is no background among them."""
    path = run.events(name)
    return artifacts.exists(path) and "hard" in read_schema(path).names and not mixed(run, name)


def _fiducial_origin(run: Run) -> Origin:
    section, resamples = run.config.likelihood, run.config.integration.resamples
    settings = {"resamples": resamples, "process": run.channel.provenance["process"], "seed": run.config.seed}
    settings |= nuisance_settings(run)
    parents = {"acceptance": run.network("acceptance")}
    if section.fiducial == "learned":
        return settings | {"events": section.fiducial_events}, parents
    return settings | {"fiducial": section.fiducial}, parents | {"training": run.events(TRAINING)}


def _origin(run: Run, name: str) -> Origin:
    decisive = {k: v for k, v in plain(_settings(run, name)).items() if k not in ("points_per_chunk", "block")}
    settings: dict[str, Any] = {"integration": decisive, "events": wanted(run, name), "seed": run.config.seed}
    settings |= nuisance_settings(run)
    parents = {"fiducial": run.fiducial} | {n: run.network(n) for n in NAMES}
    own = [b for b in run.config.background if name == bank_name(b)]
    if own or mixed(run, name):
        settings["background"] = [_told(b) for b in own or run.config.background]
        parents |= background_events(run)
    return settings, parents if own else {"events": run.events(name)} | parents


def _told(background: BackgroundSection) -> dict[str, Any]:
    """What decides the events of a background."""
    by_rate = {"cross_section"} if background.cross_section is not None else set()
    return background.model_dump(include={"name", "density", "fraction"} | by_rate)


def _identity(run: Run, name: str) -> dict[str, Any]:
    """All that the integrals of a block depend on: not on σ_fid, which may come later."""
    settings, parents = _origin(run, name)
    made_of = {key: artifacts.read_header(path).sha256 for key, path in parents.items() if key != "fiducial"}
    return settings | {"block": run.config.integration.block, "of": made_of}


def _settings(run: Run, name: str) -> IntegrationSettings:
    """Those of the configuration; the bank, which is large, keeps few resamples, and validation events none."""
    settings = run.config.integration
    if name == VALIDATION:
        return replace(settings, resamples=0)
    return settings if not _is_bank(run, name) else replace(settings, resamples=min(settings.resamples, BANK_RESAMPLES))


def wanted(run: Run, name: str) -> int | None:
    """Events that the fit or the calibration need, at most; of the bank all of them. None: all that there are."""
    if name == VALIDATION:
        return run.config.calibration.bias_events
    if _is_bank(run, name):
        return run.config.belt.bank_events if name == BANK else run.config.belt.background_events
    measured = measured_events(run, name)
    return None if measured is None else max(measured, run.config.calibration.subsamples * run.config.calibration.size)


def _is_bank(run: Run, name: str) -> bool:
    return name == BANK or any(name == bank_name(background) for background in run.config.background)


def _described(name: str, told: dict[str, NDArray[Any]]) -> str:
    fraction, error = np.median(told["effective_fraction"]), np.median(told["relative_error"])
    flagged, outside = int((told["flags"] > 0).sum()), int(told["outside"].sum())
    return (
        f"  {name}: {len(told['flags'])} events; medians: effective sample {100 * fraction:.0f} % of the points, error "
        f"{100 * error:.1f} %; {flagged} flagged, {outside} outside the training range"
    )
