"""What works where Pythia has no wheel: everything but its response, with parton densities from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bmem.config import load
from bmem.errors import ArtifactError, ConfigError
from bmem.process import pythia_grid
from bmem.process.pdf import DEFAULT_GRID, LHAPDF_PATH
from bmem.stages import STAGES, Run

HIDE = """
import importlib.metadata, sys
sys.modules["pythia8mc"] = None
known = importlib.metadata.files

def files(name):
    if name == "pythia8mc":
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)

importlib.metadata.files = files
"""
SMALL = "[simulation]\nevents = 200\nvalidation_events = 100\n"
SAMPLE = "[[sample]]\nname = 'a'\nalpha = 45.0\nevents = 100\n"


def python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where there is no Pythia, and no LHAPDF but what ``environment`` names."""
    path = folder / "hidden.py"
    path.write_text(HIDE + textwrap.dedent(code), encoding="utf-8")
    root = str(Path(__file__).parents[1])
    everything = {"PATH": "/usr/bin:/bin", "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "HOME": str(folder)} | environment
    command = [sys.executable, str(path)]
    return subprocess.run(command, cwd=folder, env=everything, capture_output=True, text=True, check=False)


def bmem(arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return python(f"sys.argv = {['bmem', *arguments.split()]}\nfrom bmem.cli import main\nmain()", folder, **environment)


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """The default grid where LHAPDF has it, in a folder of sets."""
    pytest.importorskip("pythia8mc")
    path = tmp_path / "sets" / "NNPDF23_lo_as_0130_qed" / DEFAULT_GRID
    path.parent.mkdir(parents=True)
    shutil.copy(pythia_grid(), path)
    return path


def study(folder: Path, text: str) -> None:
    (folder / "study.toml").write_text(SMALL + SAMPLE + text, encoding="utf-8")


def test_the_command_line_starts(tmp_path: Path) -> None:
    assert "matrix element method" in bmem("--help", tmp_path).stdout
    assert "[channel.pythia]" in bmem("keys", tmp_path).stdout


def test_the_toy_goes_through_the_chain(tmp_path: Path) -> None:
    """From events to a fit and its posterior, with integrals that are known."""
    code = """
    import torch
    from bmem.inference.minima import fit
    from bmem.inference.objective import NegativeTwoLogLikelihood
    from bmem.inference.bayes import posterior
    from bmem.likelihood.basis import MorphingBasis
    from bmem.process import LinearGaussian
    from bmem.rng import generator
    toy, rng = LinearGaussian(), generator(1)
    hard = toy.sample(100, torch.tensor([0.9], dtype=torch.float64), rng)
    integrals = toy.integrals(toy.response(hard.x, rng)).numpy()
    objective = NegativeTwoLogLikelihood(integrals, toy.fiducial().numpy(), MorphingBasis.of(toy))
    print(fit(objective).best.theta, posterior(objective).mean)
    """
    found = python(code, tmp_path)
    assert (found.returncode, found.stderr) == (0, "")


def test_events_are_imported_without_parton_densities(tmp_path: Path) -> None:
    source = Path(__file__).parent / "data" / "thj_alpha0_200.lhe.gz"
    found = bmem(f"import {source} --out out", tmp_path)
    assert "200 events at α = 0°, all checked" in found.stdout, found.stderr


def test_parton_densities_come_from_a_file(tmp_path: Path, grid: Path) -> None:
    """Its path is relative to the TOML, and headers tell its name and checksum, not the path."""
    study(tmp_path, f"[channel]\npdf = '{grid.relative_to(tmp_path)}'\n")
    assert "events accepted" in bmem("simulate study.toml", tmp_path).stdout
    header = (tmp_path / "out" / "events" / "a.parquet.json").read_text(encoding="utf-8")
    assert f'"file": "{DEFAULT_GRID}"' in header
    assert str(tmp_path) not in header
    run = Run(load(tmp_path / "study.toml"), tmp_path / "out", Console(quiet=True))
    STAGES["simulate"](replace(run))
    grid.write_text(grid.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"was made with other settings \(process\.pdf\.sha256: "):
        STAGES["simulate"](replace(run))
    grid.unlink()
    with pytest.raises(ConfigError, match=rf"{DEFAULT_GRID}: there is no such file; correct 'pdf' of \[channel\]"):
        STAGES["simulate"](replace(run))


def test_parton_densities_come_from_lhapdf(tmp_path: Path, grid: Path) -> None:
    study(tmp_path, "")
    folders = f"{tmp_path / 'nowhere'}:{grid.parents[1]}"
    assert "events accepted" in bmem("simulate study.toml", tmp_path, **{LHAPDF_PATH: folders}).stdout


def test_without_any_grid_the_error_names_the_three_ways(tmp_path: Path) -> None:
    study(tmp_path, "")
    error = bmem("simulate study.toml", tmp_path).stderr
    assert error.startswith(f"bmem: InputError: no PDF grid {DEFAULT_GRID}: ")
    assert [way for way in ("'pdf' of [channel]", LHAPDF_PATH, "pip install 'bmem[pythia]'") if way not in error] == []


def test_the_response_of_pythia_names_its_extra(tmp_path: Path, grid: Path) -> None:
    study(tmp_path, f"[channel]\nresponse = 'pythia'\npdf = '{grid}'\n")
    error = bmem("simulate study.toml", tmp_path).stderr
    assert error.startswith("bmem: MissingExtraError: ")
    assert "pip install 'bmem[pythia]'" in error
