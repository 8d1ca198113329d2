"""Backgrounds of a run: their densities, stated or learned, and the samples that hold them.

Events of a background are observables; samples that bmem simulates are given them at random places, in the proportion of the
configuration. A learned background reads its events from a file: what is mixed into samples is held out of the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem import artifacts
from bmem.artifacts import Product
from bmem.channels.contract import Background
from bmem.config import BANK, BackgroundSection
from bmem.errors import ConfigError, EventFileError, InputError
from bmem.events import parquet
from bmem.events.importing import read_at_any_parameters
from bmem.events.parquet import EventFile
from bmem.events.record import RecoEvents
from bmem.inference.rate import with_rate
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coordinates import nothing
from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.likelihood.roles import LearnedBackground
from bmem.replicas import Replicas
from bmem.rng import generator, numpy_generator
from bmem.stages.run import Run, plain
from bmem.stages.simulate import is_observed, load_sample
from bmem.stages.train import ensure, network_product, trainings_of
from bmem.wording import meant

Array = NDArray[np.float64]
HELD_OUT = 0.2
"""Share of the events of a learned background on which nothing is trained: for the samples and for figures."""
FEWEST = 1000
"""Events from which on a density is learned."""


@dataclass(frozen=True)
class Observed:
    """The observables ``x`` [N, D] of a sample, and of each event its place among those of the signal [N].

    Places are -1 for background. ``x_hard`` [N, H] is that of the simulation; None where it is unknown, or with background.
    """

    x: Tensor
    x_hard: Tensor | None
    signal: NDArray[np.int64]


def event_products(run: Run) -> list[Product[RecoEvents]]:
    """The selected events of the backgrounds that are to be learned."""
    return [_events_product(run, b.name, b.file) for b in run.config.background if b.file is not None]


def _events_product(run: Run, name: str, source: Path) -> Product[RecoEvents]:
    known = {"sha256": artifacts.checksum(source)} if source.is_file() else {}
    settings = {"file": source.name, "selection": run.channel.provenance["selection"]} | known
    path = _events(run, name)
    return Product(name, path, parquet.KIND, settings, {}, lambda: _selected(run, name, source), parquet.read_reco)


def _selected(run: Run, name: str, source: Path) -> EventFile:
    """The events of a background that pass the selection.

    Raises:
        EventFileError: the file is missing, damaged or holds no observed events, or too few that pass.
    """
    if not source.is_file():
        raise EventFileError(f"{source}: there is no such file; correct 'file' of [[background]] {name!r}")
    events = read_at_any_parameters(source, run.channel.lhe)
    if not isinstance(events, RecoEvents):
        raise EventFileError(f"{source}: holds no observed events; a background is learned from what a detector saw")
    selection = run.channel.selection
    kept = selection.keep_objects(events[selection.accept(events)])
    run.say(f"  background {name}: {len(kept)} of {len(events)} events pass the selection")
    if len(kept) < FEWEST:
        raise EventFileError(f"{source}: {len(kept)} events pass the selection, {FEWEST} are needed to learn a density")
    return EventFile(kept, {})


def train_backgrounds(run: Run) -> None:
    """Learn the densities that are not there yet, with replicas like the other networks."""
    for background in _learned(run):
        section = {key: plain(getattr(background, key)) for key in ("network", "training")}
        settings = {"background": section, "posterior": plain(run.config.posterior), "seed": run.config.seed}
        origin = {"events": _events(run, background.name)}
        data = partial(_training_events, run, background.name)
        ensure(run, network_product(run, _role(run, background), data, settings, origin))


def background_parents(run: Run) -> dict[str, Path]:
    """The networks of the learned backgrounds, by name."""
    return {network_name(b.name): run.network(network_name(b.name)) for b in _learned(run)}


def background_events(run: Run) -> dict[str, Path]:
    """The events of the learned backgrounds, by the names of their networks."""
    return {network_name(b.name): _events(run, b.name) for b in _learned(run)}


def background_trainings(run: Run) -> list[str]:
    """What was trained for the learned backgrounds, by the names of the histories."""
    return [training for b in _learned(run) for training in trainings_of(run, _role(run, b))]


def learned_sample(run: Run, background: BackgroundSection, n: int) -> Tensor:
    """``n`` events [R, n, D] from the learned density of a background, of the same noise in every replica."""
    replicas = _replicas(run, background)
    rng = generator(run.config.seed, "background", background.name, "drawn")
    noise = torch.rand(n, len(run.channel.observables), generator=rng, dtype=torch.float64)
    with torch.no_grad():
        points: Tensor = replicas("from_noise", noise, nothing(noise))[0]
    return points


def log_densities(run: Run, name: str, events: int) -> dict[str, Array]:
    """log p of the first ``events`` of a sample under each background, [N] or, if it is learned, [R, N]."""
    if not run.config.background:
        return {}
    x = observed(run, name).x[:events]
    return {background.name: log_density(run, background, x) for background in run.config.background}


def log_density(run: Run, background: BackgroundSection, x: Tensor) -> Array:
    """log p of observables ``x`` [N, D], [N] or with replicas [R, N]."""
    if background.file is None:
        return stated_density(run, background).log_density(x).numpy()
    with torch.no_grad():
        return np.asarray(_replicas(run, background)("log_prob", x, nothing(x)).double().numpy())


def observed(run: Run, name: str) -> Observed:
    """The observables of a sample, in their order in the likelihood.

    Raises:
        ConfigError: a learned background has held out too few events for the samples.
        InputError: no event passes the selection.
    """
    for background in run.config.background:
        if name == bank_name(background):
            x = _banked(run, background)
            return Observed(x, None, np.full(len(x), -1))
    reco, hard = load_sample(run, name)
    if len(reco) == 0:
        raise InputError(f"sample {name!r}: no event passes the selection; give more events or loosen the selection")
    x, places = run.channel.observe(reco), np.arange(len(reco))
    if not mixed(run, name):
        return Observed(x, None if hard is None else hard.x, places)
    shares = _shares(run, name)
    rng = numpy_generator(run.config.seed, "background", name)
    # in front of each signal event a geometric number of background events: every place is signal with the same chance
    gaps = rng.geometric(1 - shares.sum(), size=len(reco)) - 1
    kinds = rng.choice(len(shares), size=gaps.sum(), p=shares / shares.sum())
    signal = np.full(len(reco) + len(kinds), -1)
    signal[np.cumsum(gaps + 1) - 1] = places
    rows = torch.empty(len(signal), x.shape[1], dtype=x.dtype)
    rows[torch.as_tensor(signal >= 0)] = x
    empty = np.flatnonzero(signal < 0)
    for kind, background in enumerate(run.config.background):
        chosen = empty[kinds == kind]
        rows[torch.as_tensor(chosen)] = _mixed_in(run, background, name, len(chosen))
    return Observed(rows, None, signal)


def bank_name(background: BackgroundSection) -> str:
    """What the events of a background that join the bank are called among the samples."""
    return f"{BANK}.{background.name}"


def _banked(run: Run, background: BackgroundSection) -> Tensor:
    """Events of a background for the bank: those of a learned one that it was not trained on, be they in samples too."""
    n = run.config.belt.background_events
    if background.file is not None:
        return held_out_events(run, background.name)[:n]
    rng = generator(run.config.seed, "background", background.name, BANK)
    return stated_density(run, background).sample(n, rng)


def _shares(run: Run, name: str) -> Array:
    """Expected shares [J] of the backgrounds in a sample; by cross section beside that of the signal at its truth.

    Raises:
        ConfigError: they are given by cross sections, and the truth of the sample is not known.
    """
    expected = np.array([background.expected for background in run.config.background])
    if run.config.fit.luminosity is None:
        return expected
    theta = run.config.theta(run.sample(name))
    if theta is None:
        raise ConfigError(
            f"[[sample]] {name!r}: its share of background follows from the cross section of the signal, for which its true "
            "value is needed: give it, or observed events"
        )
    basis = with_rate(MorphingBasis.of(run.process), run.channel.rate.get("process"))
    signal = basis.value(theta) @ FiducialCrossSection.load(run.fiducial).values.mean(axis=0)
    return np.asarray(expected / (signal + expected.sum()))


def mixed(run: Run, name: str) -> bool:
    """Whether a sample is given background: those that bmem simulates are, observed ones have their own."""
    if not run.config.background or name == BANK or not artifacts.exists(run.events(name)):
        return False
    return not is_observed(run, name)


def network_name(background: str) -> str:
    """What the learned density of a background is called among the networks."""
    return f"background_{background}"


def stated_density(run: Run, background: BackgroundSection) -> Background:
    """The density that the channel states for a background.

    Raises:
        ConfigError: the channel has none of this name.
    """
    known, name = run.channel.backgrounds, str(background.density)
    if name not in known:
        raise ConfigError(f"[[background]] {background.name}: the channel has no density {name!r}{meant(name, known)}")
    return known[name]


def _learned(run: Run) -> list[BackgroundSection]:
    return [background for background in run.config.background if background.file is not None]


def _role(run: Run, background: BackgroundSection) -> LearnedBackground:
    coordinates = run.channel.unconditional
    if coordinates is None:
        raise ConfigError(
            f"[[background]] {background.name}: the channel has no coordinates of observations alone (unconditional), so no "
            "density can be learned; give a 'density' that it states"
        )
    return LearnedBackground(network_name(background.name), coordinates, background.training, background.network)


def _replicas(run: Run, background: BackgroundSection) -> Replicas:
    return Replicas.load(run.network(network_name(background.name)), _role(run, background).build())


def _events(run: Run, background: str) -> Path:
    return run.out / "events" / "backgrounds" / f"{background}.parquet"


def _all_events(run: Run, background: str) -> tuple[Tensor, int]:
    """Observables [N, D], and how many of them, the first ones, are for the training."""
    x = run.channel.observe(parquet.read_reco(_events(run, background)))
    return x, round((1 - HELD_OUT) * len(x))


def _training_events(run: Run, background: str) -> Tensor:
    x, n = _all_events(run, background)
    return x[:n]


def held_out_events(run: Run, background: str) -> Tensor:
    """Observables [N, D] on which the density of a background was not trained."""
    x, n = _all_events(run, background)
    return x[n:]


def _mixed_in(run: Run, background: BackgroundSection, name: str, n: int) -> Tensor:
    """``n`` events for a sample; different ones for every sample."""
    if background.file is None:
        return stated_density(run, background).sample(n, generator(run.config.seed, "background", background.name, name))
    x = held_out_events(run, background.name)
    simulated = [s.name for s in run.config.sample if mixed(run, s.name)]
    own = x[simulated.index(name) :: len(simulated)]
    if len(own) < n:
        raise ConfigError(
            f"[[background]] {background.name}: {len(own)} events that are not trained on are left for the sample {name!r}, "
            f"which takes {n}; give a larger 'file', or fewer 'events' of the sample"
        )
    return own[:n]
