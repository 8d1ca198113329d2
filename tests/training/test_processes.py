"""Two processes of torchrun train as one does: the same batches, the same losses and weights within rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bmem.training import processes

PATIENCE = 300.0

SCRIPT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import torch
from torch import nn
from bmem.training import TrainingSettings, train
from bmem.training.processes import leads, process_group

out, stop = Path(sys.argv[1]), int(sys.argv[2])
rng = torch.Generator().manual_seed(1)
x = torch.randn(500, 2, generator=rng, dtype=torch.float64)
torch.manual_seed(0)
module = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)).double()
settings = TrainingSettings(epochs=6, batch_size=64, learning_rate=1e-2, weight_decay=1e-3)

def squared(module, batch):
    return (module(batch[0]) - batch[1]).square().mean()

def ends(done, epochs):
    if done == stop:
        raise SystemExit

with process_group():
    rows = (x, (x[:, :1] * x[:, 1:]).sin())
    history = train(module, squared, rows, settings, 3, checkpoint=out / "checkpoint.safetensors", progress=ends)
    if leads():
        weights = {name: value.tolist() for name, value in module.state_dict().items()}
        (out / "result.json").write_text(json.dumps({"history": asdict(history), "weights": weights}))
"""


def launch(processes: int, *arguments: str) -> None:
    """Run a Python program, alone or by torchrun in several processes."""
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(several if processes > 1 else []), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def trained(folder: Path, processes: int, stop: int = 0) -> dict:
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(SCRIPT)
    launch(processes, str(folder / "script.py"), str(folder), str(stop))
    path = folder / "result.json"
    return json.loads(path.read_text()) if path.exists() else {}


def test_alone_everything_is_that_of_one_process() -> None:
    rows = torch.arange(7)
    mine, weight = processes.share(rows)
    assert mine is rows
    assert weight == 1.0
    assert processes.mean(torch.tensor(2.5)) == processes.of_the_leader(2.5) == 2.5
    assert processes.leads()


@pytest.mark.parametrize(("n", "size"), [(7, 2), (8, 2), (64, 3), (1, 2), (2, 3)])
def test_shares_make_up_the_mean(n: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weighted means of the processes, averaged, are the mean over the batch, of which no row is forgotten."""
    monkeypatch.setattr(processes, "size", lambda: size)
    values, means, seen = torch.randn(n, dtype=torch.float64), [], set()
    for rank in range(size):
        monkeypatch.setattr(processes.distributed, "get_rank", lambda rank=rank: rank)
        rows, weight = processes.share(torch.arange(n))
        means.append(float(values[rows].mean()) * weight)
        seen |= set(rows.tolist())
    assert seen == set(range(n))
    assert np.mean(means) == pytest.approx(float(values.mean()), rel=1e-12)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """In float64 rounding alone is left; 450 rows in batches of 64 end with one of 2, which has its own share, too."""
    one, two = trained(tmp_path / "one", 1), trained(tmp_path / "two", 2)
    for name in ("train_loss", "validation_loss", "learning_rate"):
        np.testing.assert_allclose(one["history"][name], two["history"][name], rtol=1e-10)
    for name, value in one["weights"].items():
        np.testing.assert_allclose(value, two["weights"][name], rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_an_interrupted_training_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    one = trained(tmp_path / "one", 1)
    assert trained(tmp_path / "two", 2, stop=3) == {}
    two = trained(tmp_path / "two", 1)
    np.testing.assert_allclose(one["history"]["train_loss"], two["history"]["train_loss"], rtol=1e-10)


@pytest.mark.slow
def test_the_command_trains_on_two_processes(tmp_path: Path) -> None:
    """All networks of the tiny run, in float32 within its rounding: the replicas of two trainings of few steps agree."""
    config = Path(__file__).parents[1] / "stages" / "tiny.toml"
    for number in (1, 2):
        out = str(tmp_path / str(number))
        launch(1, "-m", "bmem", "simulate", str(config), "--out", out)
        launch(number, "-m", "bmem", "train", str(config), "--out", out)
    for name in ("transfer", "acceptance", "proposal"):
        one, two = (json.loads((tmp_path / n / "networks" / f"{name}.history.json").read_text()) for n in "12")
        np.testing.assert_allclose(one["validation_loss"], two["validation_loss"], rtol=1e-4)
        assert (tmp_path / "2" / "networks" / f"{name}.safetensors.json").is_file()
    assert not list((tmp_path / "2" / "cache").rglob("*.safetensors"))
