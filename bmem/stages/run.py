"""A run: one configuration, one folder, and what every stage needs of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bmem import artifacts, rng
from bmem.channels.contract import Channel
from bmem.config import Config, SampleSection
from bmem.errors import ArtifactError
from bmem.process.contract import Process
from bmem.workers import Workers

Report = Callable[[int, int], None]
"""Progress: (done, total)."""

FOLDERS = {"simulate": "events", "train": "networks", "integrate": "likelihood", "fit": "fit", "calibrate": "calibration"}
"""Where each stage leaves its artifacts; the report is no artifact."""


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

    @contextmanager
    def progress(self, title: str) -> Iterator[Report]:
        """A progress bar; yields the function to call with (done, total)."""
        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console) as bars:
            task = bars.add_task(title, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    def save_json(
        self, path: Path, kind: str, content: Mapping[str, Any], settings: Mapping[str, Any], parents: Mapping[str, Path]
    ) -> None:
        """Write plain values as an artifact."""
        text = json.dumps(content, indent=1) + "\n"

        def writer(temporary: Path) -> None:
            temporary.write_text(text, encoding="utf-8")

        artifacts.write(path, kind, writer, settings, parents)

    def load_json(self, path: Path, kind: str) -> dict[str, Any]:
        """Read what ``save_json`` wrote.

        Raises:
            ArtifactError: it is missing, foreign, damaged or of a newer format.
        """
        artifacts.verify(path, kind)
        return json.loads(path.read_text(encoding="utf-8"))

    def refuse_earlier(self, stage: str) -> None:
        """Make sure that nothing is there of an earlier run of a stage.

        Raises:
            ArtifactError: it left an artifact, or an unfinished piece in its cache.
        """
        folders = (self.out / FOLDERS[stage], self.cache(stage)) if stage in FOLDERS else ()
        for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
            raise ArtifactError(
                f"{path}: is there from an earlier run, which --no-resume forbids to use; choose another --out, or leave "
                "out --no-resume to go on from it"
            )

    def forget(self, *names: str) -> None:
        """Delete the unfinished pieces of what is now finished."""
        shutil.rmtree(self.cache(*names), ignore_errors=True)

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def done(self, path: Path, kind: str, settings: Mapping[str, Any], parents: Mapping[str, Path] | None = None) -> bool:
        """Whether the artifact at ``path`` is there and was made with these settings from these parents.

        What its header tells beyond these settings (the architecture of a network, say) follows from them; parents that are
        no longer there are not missed.

        Raises:
            ArtifactError: it is damaged, or was made differently: it is never overwritten silently.
        """
        if not artifacts.exists(path):
            return self.checking
        header = artifacts.verify(path, kind)
        wanted = json.loads(json.dumps(dict(settings)))
        changed = sorted(line for key in wanted for line in _differences(key, header.settings.get(key), wanted[key]))
        if changed:
            raise ArtifactError(
                f"{path}: was made with other settings ({'; '.join(changed)}); choose another --out, or delete this "
                "file and those that follow from it to compute them anew"
            )
        there = {name: parent for name, parent in (parents or {}).items() if artifacts.exists(parent)}
        replaced = [name for name, p in there.items() if header.parents.get(name) != artifacts.read_header(p).sha256]
        if replaced:
            raise ArtifactError(
                f"{path}: was made from other artifacts ({', '.join(sorted(replaced))}), which have been computed anew "
                "since; delete this file and those that follow from it"
            )
        if not self.checking:
            self.say(f"  {path.relative_to(self.out)} is there")
        return True


def _differences(key: str, there: Any, here: Any) -> Iterator[str]:
    """One line for each value nested in ``here``, under the dotted ``key``, that is another one ``there``.

    A key that came later than the artifact, and is not used, makes no difference.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for name, value in here.items():
            yield from _differences(f"{key}.{name}", there.get(name), value)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for number, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _differences(f"{key}.{number}", one, other)
    elif there != here and (there is not None or here):
        yield f"{key}: {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."


def plain(section: Any) -> Any:
    """A section of the configuration as JSON-able values, for an artifact's settings."""
    if isinstance(section, BaseModel):
        return json.loads(section.model_dump_json())
    return asdict(section) if is_dataclass(section) and not isinstance(section, type) else section
