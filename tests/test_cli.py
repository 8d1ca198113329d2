"""The command line: results on success; on bad input exit status 1 and one message that names what is wrong."""

from __future__ import annotations

import gzip
import sys
import tomllib
from pathlib import Path

import pytest

import bmem
from bmem import cli, keys, stages
from bmem.events import parquet

EVENTS = Path(__file__).parent / "data" / "thj_alpha0_200.lhe.gz"
OTHERS = ("run", "plan", "import", "example", "show", "export", "keys", "schema", "version")
SMALL = "[simulation]\nevents = 200\nvalidation_events = 100\n"


class Call:
    """Runs ``bmem ARGUMENTS`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        self.monkeypatch.setattr("sys.argv", ["bmem", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = self.capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    def fails(self, kind: str, *arguments: object) -> str:
        """The message of the expected error, without anything else on standard error."""
        status, _, error = self(*arguments)
        assert status == 1
        assert error.startswith(f"bmem: {kind}: ")
        assert "Traceback" not in error
        return error


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return Call(monkeypatch, capsys)


def study(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def with_file(folder: Path, name: str) -> Path:
    return study(folder, f"{SMALL}[[sample]]\nname = 'data'\nfile = '{name}'\n")


def test_version(call: Call) -> None:
    assert call("version") == (0, f"{bmem.__version__}\n", "")


def test_stages_have_their_commands(call: Call) -> None:
    """The command line names them without importing them."""
    assert tuple(stages.STAGES) == cli.STAGES
    shown = call("--help")[1]
    assert [name for name in (*stages.STAGES, *OTHERS) if f" {name} " not in shown] == []


def test_keys_are_printed_as_they_are(call: Call) -> None:
    status, out, _ = call("keys")
    assert status == 0
    assert out.strip() == keys.as_toml()
    assert tomllib.loads(out)["calibration"]["size"] == 100
    assert "\n# events =  # events in the measurement" in out


def test_import_keeps_the_events(call: Call, tmp_path: Path) -> None:
    status, out, _ = call("import", EVENTS, "--out", tmp_path)
    assert status == 0
    assert "200 events at α = 0°, all checked" in out
    hard = parquet.read_hard(tmp_path / "thj_alpha0_200.parquet")
    assert len(hard) == 200
    assert (hard.theta == 0).all()


def test_import_of_a_foreign_file(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("pt,eta\n1,2\n")
    assert f"{file}: not an event file that bmem reads" in call.fails("EventFileError", "import", file, "--out", tmp_path)


def test_import_of_a_missing_file(call: Call, tmp_path: Path) -> None:
    assert "nowhere.lhe: cannot be read" in call.fails("EventFileError", "import", tmp_path / "nowhere.lhe")


def test_unknown_key(call: Call, tmp_path: Path) -> None:
    path = study(tmp_path, "[simulation]\nevnts = 5\n")
    message = call.fails("ConfigError", "run", path, "--out", tmp_path / "out")
    assert str(path) in message
    assert "simulation.evnts" in message
    assert not (tmp_path / "out").exists()


def test_everything_is_told_with_a_traceback_for_who_asks(call: Call, tmp_path: Path) -> None:
    path = study(tmp_path, "[simulation]\nevnts = 5\n")
    status, _, error = call("run", path, "--out", tmp_path / "out", "-v")
    assert status == 1
    assert error.startswith("Traceback")
    assert "\nbmem: ConfigError: " in error
    call.fails("ConfigError", "run", path, "--out", tmp_path / "out")  # the next command was not asked to


def test_completion_is_offered(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    status, out, _ = call("--show-completion", "bash")
    assert status == 0
    assert "_BMEM_COMPLETE" in out


def test_missing_configuration(call: Call, tmp_path: Path) -> None:
    assert "nowhere.toml: cannot be read" in call.fails("ConfigError", "run", tmp_path / "nowhere.toml")


def test_truncated_sample(call: Call, tmp_path: Path) -> None:
    """It is found before anything is simulated."""
    (tmp_path / "cut.lhe").write_text(gzip.decompress(EVENTS.read_bytes()).decode()[:-1000])
    message = call.fails("EventFileError", "run", with_file(tmp_path, "cut.lhe"), "--out", tmp_path / "out")
    assert f"{tmp_path / 'cut.lhe'}: is truncated" in message
    assert not (tmp_path / "out" / "events").exists()


def test_foreign_sample(call: Call, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("pt,eta\n1,2\n")
    message = call.fails("EventFileError", "simulate", with_file(tmp_path, "data.csv"), "--out", tmp_path / "out")
    assert f"{tmp_path / 'data.csv'}: not an event file that bmem reads" in message


def test_missing_sample(call: Call, tmp_path: Path) -> None:
    message = call.fails("EventFileError", "simulate", with_file(tmp_path, "data.lhe"), "--out", tmp_path / "out")
    assert f"{tmp_path / 'data.lhe'}: there is no such file" in message
    assert "'data'" in message


@pytest.mark.parametrize(
    ("stage", "lacking"),
    [
        ("train", "events/training.parquet"),
        ("integrate", "networks/transfer.safetensors"),
        ("fit", "likelihood/a.nc"),
        ("calibrate", "likelihood/a.nc"),
        ("report", "fit/a.json"),
    ],
)
def test_stage_out_of_order(stage: str, lacking: str, call: Call, tmp_path: Path) -> None:
    path = study(tmp_path, SMALL + "[[sample]]\nname = 'a'\nalpha = 10.0\nevents = 50\n")
    message = call.fails("ArtifactError", stage, path, "--out", tmp_path / "out")
    assert f"{tmp_path / 'out' / lacking}: there is no such file; run the stage that makes it" in message


def test_no_resume_refuses_and_leaves_everything(call: Call, tmp_path: Path) -> None:
    path, out = study(tmp_path, SMALL), tmp_path / "out"
    assert call("simulate", path, "--out", out, "--no-resume")[0] == 0
    assert "simulate\n" in (out / "bmem.log").read_text()
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    study(tmp_path, "seed = 2\n" + SMALL)
    for command in ("simulate", "run"):
        message = call.fails("ArtifactError", command, path, "--out", out, "--no-resume")
        assert str(out / "events") in message
        assert "choose another --out" in message
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()} == before


def test_a_device_that_is_not_there_is_refused_at_the_start(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "'cuda:99' is not there" in call.fails(
        "DeviceError", "run", study(tmp_path, 'device = "cuda:99"\n' + SMALL), "--out", out
    )
    path = study(tmp_path, SMALL)
    for command in ("run", "simulate"):
        assert "'gpu' is no device; give 'cpu'" in call.fails("DeviceError", command, path, "--out", out, "--device", "gpu")
    assert not out.exists()
    assert call("simulate", path, "--out", out, "--device", "cpu")[0] == 0


def test_what_the_figures_lack_shows_before_the_first_stage(call: Call, tmp_path: Path) -> None:
    """Not after hours, when the report is drawn."""
    call.monkeypatch.setitem(sys.modules, "mplhep", None)
    path = study(tmp_path, SMALL + '[figures]\nexperiment = "CMS"\n')
    assert "bmem[hep]" in call.fails("MissingExtraError", "run", path, "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "events").exists()


def test_no_resume_refuses_unfinished_pieces(call: Call, tmp_path: Path) -> None:
    piece = tmp_path / "out" / "cache" / "train" / "transfer.safetensors"
    piece.parent.mkdir(parents=True)
    piece.touch()
    assert str(piece) in call.fails("ArtifactError", "run", study(tmp_path, SMALL), "--out", tmp_path / "out", "--no-resume")


def test_no_resume_goes_on_with_the_stages_before(call: Call, tmp_path: Path) -> None:
    """Only what the stage itself would make is in the way."""
    path, out = study(tmp_path, SMALL), tmp_path / "out"
    assert call("simulate", path, "--out", out)[0] == 0
    assert "training" in call("simulate", path, "--out", out, "--resume")[1]
    text = SMALL + "[proposal]\npairs = 1000\n"
    text += "".join(f"[{n}.training]\nepochs = 1\n" for n in ("transfer", "acceptance", "proposal"))
    status, _, error = call("train", study(tmp_path, text), "--out", out, "--no-resume")
    assert (status, error) == (0, "")
    assert (out / "networks" / "proposal.safetensors").is_file()
