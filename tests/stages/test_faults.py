"""Bad input, damaged files and a full disk, through the command line: status 1, one message that names it, nothing lost."""

from __future__ import annotations

import gzip
import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_runs import LHE, settings

from bmem import cli
from bmem.likelihood.coefficients import Coefficients
from bmem.stages import Run

OBSERVED = {
    "photons": [[{"pt": p, "eta": 0.1, "phi": 0.2, "isolated": 1.0} for p in (70.0, 60.0)]] * 2,
    "jets": [[{"pt": p, "eta": 0.5, "phi": 2.0, "mass": 5.0, "btag": 1.0} for p in (90.0, 60.0, 50.0, 40.0)]] * 2,
}


class Call:
    """Runs ``bmem ARGUMENTS`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, str]:
        """Exit status and standard error."""
        self.monkeypatch.setattr("sys.argv", ["bmem", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0), self.capsys.readouterr().err

    def fails(self, kind: str, *arguments: object) -> str:
        """The message of the expected error."""
        status, error = self(*arguments)
        assert status == 1
        assert error.startswith(f"bmem: {kind}: ")
        return error


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.setattr("bmem.plotting.style.FORMATS", ("png",))
    return Call(monkeypatch, capsys)


def study(folder: Path, name: str, more: str = "") -> Path:
    path = folder / "study.toml"
    path.write_text(f"[simulation]\nevents = 200\nvalidation_events = 100\n[[sample]]\nname = 's'\nfile = '{name}'\n{more}")
    return path


def text_of_lhe() -> str:
    return gzip.decompress(LHE.read_bytes()).decode()


def with_momentum(value: str) -> str:
    """The file with px of the top quark of the third event replaced."""
    events = text_of_lhe().split("<event>")
    lines = events[3].splitlines(keepends=True)
    number = next(i for i, line in enumerate(lines) if line.split()[:1] in (["6"], ["-6"]))
    fields = lines[number].split()
    fields[6] = value
    events[3] = "".join([*lines[:number], " ".join(fields) + "\n", *lines[number + 1 :]])
    return "<event>".join(events)


def with_weights(values: list[float]) -> str:
    parts = text_of_lhe().split("<event>")
    for i, part in enumerate(parts[1:], start=1):
        head, *rest = part.split("\n", 2)
        fields = rest[0].split()
        fields[2] = str(values[i % len(values)])
        parts[i] = "\n".join([head, " ".join(fields), rest[1]])
    return "<event>".join(parts)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (lambda: "", ["not an event file"]),
        (lambda: text_of_lhe()[:60_000], ["truncated"]),
        (lambda: text_of_lhe().split("<event>")[0] + "</LesHouchesEvents>\n", ["no events"]),
        (lambda: with_momentum("nan"), ["event 3", "finite"]),
        (lambda: with_momentum("12.5"), ["event 3"]),
        (lambda: text_of_lhe().replace("6.500000e+03", "7.000000e+03"), ["14000 GeV", "13000 GeV", "sqrt_s"]),
        (lambda: with_weights([1.0, 3.0, 0.2]), ["weighted", "unweighted"]),
        (lambda: with_weights([1.0, 1.0, -1.0]), ["event 2", "not positive"]),
    ],
    ids=["empty", "truncated", "no events", "NaN", "off shell", "another energy", "weights", "negative weights"],
)
def test_bad_lhe(content, named: list[str], call: Call, tmp_path: Path) -> None:
    file = tmp_path / ("events.lhe" if content() else "events.dat")
    file.write_text(content())
    status, error = call("simulate", study(tmp_path, file.name), "--out", tmp_path / "out")
    assert status == 1
    assert [word for word in [str(file), *named] if word not in error] == []
    assert not (tmp_path / "out" / "events").exists()


def columns(**changes: object) -> pa.Table:
    return pa.table({**OBSERVED, **changes})


def changed(collection: str, feature: str, value: float) -> list[list[dict[str, float]]]:
    """The observed events with one value of the second event replaced."""
    events = [[dict(item) for item in event] for event in OBSERVED[collection]]
    events[1][1][feature] = value
    return events


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (columns().slice(0, 0), ["holds no events"]),
        (columns(jets=changed("jets", "pt", float("nan"))), ["event 2: jets[1].pt = nan"]),
        (columns(photons=changed("photons", "phi", 170.0)), ["event 2: photons[1].phi = 170", "radians"]),
        (columns(jets=changed("jets", "pt", 5e5)), ["event 2: jets[1].pt", "GeV"]),
        (columns().drop_columns("jets"), ["jets"]),
        (pa.table({"photons": [1.0], "jets": ["x"]}), ["photons"]),
    ],
    ids=["empty", "NaN", "degrees", "MeV", "no jets", "foreign columns"],
)
def test_bad_parquet(table: pa.Table, named: list[str], call: Call, tmp_path: Path) -> None:
    file = tmp_path / "observed.parquet"
    pq.write_table(table, file)
    error = call.fails("EventFileError", "simulate", study(tmp_path, file.name), "--out", tmp_path / "out")
    assert [word for word in [str(file), *named] if word not in error] == []


def test_truncated_parquet(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "observed.parquet"
    pq.write_table(columns(), file)
    file.write_bytes(file.read_bytes()[:-10])
    assert str(file) in call.fails("EventFileError", "simulate", study(tmp_path, file.name), "--out", tmp_path / "out")


def test_observed_events_cannot_be_simulated_again(call: Call, tmp_path: Path) -> None:
    pq.write_table(columns(), tmp_path / "observed.parquet")
    path = study(tmp_path, "observed.parquet", "repeats = 2\n")
    error = call.fails("ConfigError", "simulate", path, "--out", tmp_path / "out")
    assert "[[sample]] s: repeats = 2" in error


def test_simulated_pairs_are_no_sample(finished: Run, call: Call, tmp_path: Path) -> None:
    error = call.fails("ConfigError", "simulate", study(tmp_path, str(finished.events("lhe"))), "--out", tmp_path / "out")
    assert "lhe.parquet holds simulated pairs" in error


def test_a_sample_without_accepted_events(finished: Run, call: Call, tmp_path: Path) -> None:
    """It is told and left out; the other samples are measured."""
    out = shutil.copytree(finished.out, tmp_path / "out")
    low = [[{**item, "pt": 26.0} for item in event] for event in OBSERVED["photons"]]
    pq.write_table(columns(photons=low), tmp_path / "low.parquet")
    path = written(finished, tmp_path, {"name": "low", "file": str(tmp_path / "low.parquet")})
    assert call("run", path, "--out", out)[0] == 0
    assert not (out / "fit" / "low.json").exists()
    assert "α̂ of lhe" in (out / "report.html").read_text(encoding="utf-8")


def test_out_is_a_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    path = tmp_path / "study.toml"
    path.write_text("seed = 1\n")
    assert str(tmp_path / "out") in call.fails("ArtifactError", "simulate", path, "--out", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "precious"


def written(finished: Run, folder: Path, *samples: dict[str, object]) -> Path:
    """The configuration of the finished run as a file, with further samples."""
    content = settings(finished.out.parent).model_dump(mode="json", exclude_unset=True)
    content["sample"] += samples
    path = folder / "study.toml"
    path.write_text("\n".join(toml_lines(content)), encoding="utf-8")
    return path


def toml_lines(content: dict[str, Any], path: str = "") -> Iterator[str]:
    tables = {k: v for k, v in content.items() if isinstance(v, dict)}
    for key, value in content.items():
        if key != "sample" and key not in tables and value is not None:
            yield f"{key} = {json.dumps(value)}"
    for key, value in tables.items():
        yield f"[{path}{key}]"
        yield from toml_lines(value, f"{path}{key}.")
    for sample in content.get("sample", []):
        yield "[[sample]]"
        yield from toml_lines({k: v for k, v in sample.items() if v is not None})


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("simulate", "events/lhe.parquet"),
        ("train", "events/training.parquet"),
        ("train", "networks/proposal.safetensors"),
        ("integrate", "likelihood/fiducial.npz"),
        ("fit", "likelihood/lhe.nc"),
        ("calibrate", "likelihood/lhe.hard.nc"),
        ("report", "fit/observed.json"),
        ("report", "calibration/lhe.json"),
        ("report", "networks/acceptance.history.json"),
        ("report", "fit/lhe.json.json"),
    ],
)
def test_damaged_artifacts_are_named(stage: str, name: str, finished: Run, call: Call, tmp_path: Path) -> None:
    """One byte in the middle is wrong, or the JSON of a header breaks off."""
    out = shutil.copytree(finished.out, tmp_path / "out")
    if stage == "calibrate":
        shutil.rmtree(out / "calibration")
    file, content = out / name, bytearray((out / name).read_bytes())
    plain = name.endswith((".json.json", ".history.json"))
    content = content[: len(content) // 2] if plain else content
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    error = call.fails("ArtifactError", stage, written(finished, tmp_path), "--out", out)
    assert str(file) in error
    assert "delete" in error


def test_a_changed_configuration_stops_every_command_before_it_writes(finished: Run, call: Call, tmp_path: Path) -> None:
    """A fit or a report with another selection than that of the events would be of something else than it says."""
    out = shutil.copytree(finished.out, tmp_path / "out")
    path = written(finished, tmp_path)
    path.write_text(path.read_text() + "\n[channel.selection]\njet_pt = 30.0\n")
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    for command in ("run", "simulate", "train", "integrate", "fit", "calibrate", "report"):
        error = call.fails("ArtifactError", command, path, "--out", out)
        assert "events/lhe.parquet: was made with other settings (selection.jet_pt: 25.0 there, 30.0 here)" in error
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


@contextmanager
def disk_full_beyond(size: int) -> Iterator[None]:
    """No file may become larger than ``size`` bytes: writing fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


FULL = {
    "simulate": (100_000, "events"),
    "train": (10_000, "networks"),
    "integrate, blocks": (5_000, "likelihood"),
    "integrate, result": (25_000, "likelihood"),
    "fit": (10_000, "fit"),
    "calibrate": (5_000, "calibration"),
    "report": (20_000, "figures"),
}
"""Largest file in bytes that can be written, and the folder that is to be made anew."""


@pytest.mark.parametrize("case", FULL)
def test_full_disk(case: str, finished: Run, call: Call, tmp_path: Path) -> None:
    """Status 1 and a message; what was there stays, no broken piece is left, and with space the run ends as it should."""
    size, folder = FULL[case]
    out = shutil.copytree(finished.out, tmp_path / "out")
    shutil.rmtree(out / folder)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    path, stage = written(finished, tmp_path), case.split(",", maxsplit=1)[0]
    with disk_full_beyond(size):
        error = call.fails("ArtifactError", stage, path, "--out", out)
    assert "cannot be written" in error
    assert "free space" in error
    kept = {file: file.read_bytes() for file in before if file.name != "config.json"}
    assert kept == {file: content for file, content in before.items() if file.name != "config.json"}
    assert not [file for file in out.rglob(".*") if file.is_file()]
    if stage == "report":
        return  # it is always drawn anew
    assert call(stage, path, "--out", out)[0] == 0
    for name in ("lhe.nc", "lhe.hard.nc", "observed.nc"):
        one, other = (Coefficients.load(folder / "likelihood" / name) for folder in (finished.out, out))
        for field in ("values", "covariance", "bootstrap", "fiducial"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    for name in ("fit/lhe.json", "fit/observed.json", "calibration/lhe.json"):
        assert json.loads((finished.out / name).read_text()) == json.loads((out / name).read_text())
