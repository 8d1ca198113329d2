"""The tiny configuration with a sample of an LHE file (truth known) and one of observed events, and how to run it."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from bmem.channels.thj.response import ParametricResponse
from bmem.config import Config, parse
from bmem.events import parquet
from bmem.process import THJ
from bmem.rng import generator
from bmem.stages import STAGES, Run

HERE = Path(__file__).parent
LHE = HERE.parent / "data" / "thj_alpha0_200.lhe.gz"
EARLY = [name for name in STAGES if name != "report"]


def settings(folder: Path, **changes: Mapping[str, Any]) -> Config:
    """The tiny configuration with the two samples; ``changes`` are merged into its sections."""
    content = tomllib.loads((HERE / "tiny.toml").read_text(encoding="utf-8"))
    content["sample"] = [
        {"name": "lhe", "file": str(LHE), "repeats": 3},
        {"name": "observed", "file": str(folder / "observed.parquet")},
    ]
    for section, values in changes.items():
        content[section] = {**content.get(section, {}), **values}
    return parse(content)


def quiet(config: Config, out: Path) -> Run:
    return Run(config, out, Console(file=io.StringIO(), soft_wrap=True))


def said(run: Run) -> str:
    assert isinstance(run.console.file, io.StringIO)
    return run.console.file.getvalue()


def write_observed(path: Path) -> None:
    """300 reconstructed events of α = 0 without their truth, before any selection."""
    hard = THJ().sample(300, torch.zeros(1, dtype=torch.float64), generator(5, "hard"))
    parquet.write_reco(path, ParametricResponse()(hard, generator(5, "response")))
