"""A run: one configuration, one folder, and what every stage needs of them."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from rich.console import Console

from bmem import rng, terminal
from bmem.artifacts import Engine
from bmem.channels.contract import Channel
from bmem.channels.nuisances import described, make_nuisances, varied_response
from bmem.config import Config, SampleSection
from bmem.devices import chosen
from bmem.likelihood.nuisances import Nuisances
from bmem.process.contract import Process
from bmem.simulation.contract import Response
from bmem.terminal import Progress
from bmem.workers import Workers


@dataclass(frozen=True)
class Run:
    """A configuration and the folder ``out`` of its artifacts.

    A run that is ``checking`` takes every artifact for done and computes nothing: stages only compare what there is with the
    configuration. Blocks of events and toys are computed by the ``workers``, or without any in this process.
    """

    config: Config
    out: Path
    console: Console
    checking: bool = False
    workers: Workers | None = None

    @cached_property
    def channel(self) -> Channel:
        return self.config.channel.make()

    @cached_property
    def device(self) -> torch.device:
        """Where networks and integrals are computed; what is kept in files is on the CPU.

        Raises:
            DeviceError: it is not there.
        """
        return chosen(self.config.device)

    @cached_property
    def nuisances(self) -> Nuisances:
        return make_nuisances(self.config.nuisance, self.channel)

    @cached_property
    def response(self) -> Response:
        """That of the channel, with the nuisance parameters of the detector."""
        return varied_response(self.channel, self.nuisances)

    @property
    def process(self) -> Process:
        return self.channel.process

    def sample(self, name: str) -> SampleSection:
        return next(s for s in self.config.sample if s.name == name)

    def events(self, name: str) -> Path:
        """Simulated or observed events of a sample, or of ``training``."""
        return self.out / "events" / f"{name}.parquet"

    def network(self, name: str) -> Path:
        return self.out / "networks" / f"{name}.safetensors"

    def history(self, name: str) -> Path:
        return self.out / "networks" / f"{name}.history.json"

    @property
    def fiducial(self) -> Path:
        return self.out / "likelihood" / "fiducial.npz"

    def coefficients(self, name: str) -> Path:
        return self.out / "likelihood" / f"{name}.nc"

    def hard_coefficients(self, name: str) -> Path:
        """The yardstick: coefficients with x_hard known."""
        return self.out / "likelihood" / f"{name}.hard.nc"

    def ratio_coefficients(self, name: str) -> Path:
        """Learned ratios in the place of integrals."""
        return self.out / "likelihood" / f"{name}.ratio.nc"

    def fit(self, name: str) -> Path:
        return self.out / "fit" / f"{name}.json"

    def belt(self, events: int) -> Path:
        """The confidence belt for measurements of ``events`` events."""
        return self.out / "fit" / "belts" / f"{events}_events.json"

    def inference_data(self, name: str) -> Path:
        """The posterior of a sample for arviz."""
        return self.out / "fit" / f"{name}.arviz.nc"

    def calibration(self, name: str) -> Path:
        return self.out / "calibration" / f"{name}.json"

    def ceiling(self, name: str) -> Path:
        """What the likelihood keeps of the information, and what a regression keeps."""
        return self.out / "calibration" / f"{name}.ceiling.json"

    @property
    def prospects(self) -> Path:
        """Expected precision and intervals, from the bank."""
        return self.out / "calibration" / "bank" / "prospects.json"

    @property
    def posterior_calibration(self) -> Path:
        """Simulation-based calibration of the posterior, from the bank."""
        return self.out / "calibration" / "bank" / "sbc.json"

    def predictive(self, name: str) -> Path:
        """What the posterior of a sample predicts for its observables, from the bank."""
        return self.out / "calibration" / "predictive" / f"{name}.json"

    def cache(self, *names: str) -> Path:
        """Folder for the unfinished pieces of a stage."""
        return self.out / "cache" / Path(*names)

    def seed(self, *path: str | int) -> int:
        """The seed of a purpose, derived from the seed of the run."""
        return rng.derive_seed(self.config.seed, *path)

    def progress(self, title: str) -> AbstractContextManager[Progress]:
        """How far a piece of work is; gives the function to call with (done, total)."""
        return terminal.progress(self.console, title)

    @property
    def engine(self) -> Engine:
        """Makes the products of this run."""
        return Engine(self.out, self.say, self.checking)

    def say(self, text: str) -> None:
        terminal.say(self.console, text)


def nuisance_settings(run: Run) -> dict[str, Any]:
    """What integrals depend on of the nuisance parameters; nothing where there are none."""
    return {"nuisance": [described(entry) for entry in run.config.nuisance]} if run.config.nuisance else {}


def detector_settings(run: Run) -> dict[str, Any]:
    """What simulated events depend on of the nuisance parameters: those of the detector; nothing where there are none."""
    found = [described(entry) for entry in run.config.nuisance if entry.name in run.nuisances.effects]
    return {"nuisance": found} if found else {}


def plain(section: Any) -> Any:
    """A section of the configuration as JSON-able values, for an artifact's settings."""
    if isinstance(section, BaseModel):
        return json.loads(section.model_dump_json())
    return asdict(section) if is_dataclass(section) and not isinstance(section, type) else section
