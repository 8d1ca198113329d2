"""The Pythia response as a stage: finished blocks of showered events survive whatever ends the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_runs import LHE, quiet, said

from bmem import artifacts
from bmem.config import Config, parse
from bmem.events import parquet
from bmem.simulation.pairs import Schedule
from bmem.stages import Run
from bmem.stages.simulate import sample_product

RUN = "import sys; from bmem.cli import main; sys.argv[0] = 'bmem'; main()"


def shower(events: int, workers: int = 1) -> Config:
    sample = {"name": "lhe", "file": str(LHE), "events": events}
    channel = {"name": "thj", "response": "pythia", "pythia": {"mpi": False}}
    return parse({"channel": channel, "simulation": {"workers": workers}, "sample": [sample]})


def same_events(one: Path, other: Path) -> None:
    first, second = parquet.read_pairs(one), parquet.read_pairs(other)
    assert torch.equal(first.accepted, second.accepted)
    assert torch.equal(first.reco.jets.features, second.reco.jets.features)
    assert torch.equal(first.reco.photons.features, second.reco.photons.features)


class Ended(Exception):
    """Stands for whatever ends the program."""


def test_an_interrupted_shower_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bmem.stages.simulate.Schedule", partial(Schedule, block=15))
    config = shower(30)
    whole, halted = quiet(config, tmp_path / "whole"), quiet(config, tmp_path / "halted")
    whole.engine.ensure(sample_product(whole, config.sample[0]))
    assert not whole.cache("simulate", "lhe").exists()

    with monkeypatch.context() as patch:
        patch.setattr(Run, "progress", lambda run, title: EndsAfterABlock())
        with pytest.raises(Ended):
            halted.engine.ensure(sample_product(halted, config.sample[0]))
    blocks = sorted(halted.cache("simulate", "lhe").glob("*.parquet"))
    assert len(blocks) == 1
    assert not halted.events("lhe").exists()

    with monkeypatch.context() as patch:
        patch.setattr("bmem.simulation.pythia.PythiaResponse._shower", refuse_more_than_one())
        halted.engine.ensure(sample_product(halted, config.sample[0]))
    same_events(whole.events("lhe"), halted.events("lhe"))
    assert "lhe:" in said(halted)
    assert not halted.cache("simulate", "lhe").exists()


class EndsAfterABlock:
    """A progress bar that ends the program."""

    def __enter__(self) -> EndsAfterABlock:
        return self

    def __exit__(self, *error: object) -> None: ...

    def __call__(self, done: int, total: int) -> None:
        raise Ended


def refuse_more_than_one() -> object:
    """Pythia, which refuses to shower a second block."""
    from bmem.simulation.pythia import PythiaResponse

    original, calls = PythiaResponse._shower, []

    def counted(*arguments):
        calls.append(arguments)
        assert len(calls) == 1
        return original(*arguments)

    return counted


@pytest.mark.slow
def test_a_killed_shower_goes_on(tmp_path: Path) -> None:
    """kill -9 after one of three blocks, with two workers: that block is not showered again, and the events are the same."""
    study = tmp_path / "study.toml"
    study.write_text(
        "[channel]\nresponse = 'pythia'\n[channel.pythia]\nmpi = false\n"
        "[simulation]\nevents = 4500\nvalidation_events = 10\nworkers = 2\n"
    )
    command = [sys.executable, "-c", RUN, "simulate", str(study), "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], env=environment, check=True, stdout=subprocess.DEVNULL)

    out = tmp_path / "killed"
    process = subprocess.Popen([*command, str(out)], env=environment, stdout=subprocess.DEVNULL)
    cache = out / "cache" / "simulate" / "training"
    while not list(cache.glob("*.parquet.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_ino for path in cache.glob("block-*.parquet") if artifacts.exists(path)}
    assert kept
    assert not (out / "events" / "training.parquet").exists()

    process = subprocess.Popen([*command, str(out)], env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        with suppress(FileNotFoundError):  # once all blocks are there, they are put together and go
            assert {path: path.stat().st_ino for path in kept} == kept
        time.sleep(0.2)
    assert process.returncode == 0
    for name in ("training", "validation"):
        same_events(tmp_path / "whole" / "events" / f"{name}.parquet", out / "events" / f"{name}.parquet")
