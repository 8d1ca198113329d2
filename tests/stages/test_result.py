"""A command ends with the result, the folder keeps what was said, and ``bmem show`` prints the result again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_faults import Call, written

from bmem.stages import Run


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return Call(monkeypatch, capsys)


def test_the_result_is_told_logged_and_shown_again(
    finished: Run, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(finished.out, tmp_path / "out")
    monkeypatch.setattr("sys.argv", ["bmem", "calibrate", str(written(finished, tmp_path)), "--out", str(out), "-q"])
    assert run_main() == 0
    result = capsys.readouterr().out
    for words in ("Measurement of α", "α̂ of lhe = ", "68.3 %", "error, statistical", f"report: {out / 'report.html'}"):
        assert words in result
    log = (out / "bmem.log").read_text(encoding="utf-8")
    assert "calibration/lhe.json is there" in log  # what -q does not say
    assert "is there" not in result
    assert result.strip() in log

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    monkeypatch.setattr("sys.argv", ["bmem", "show", str(out)])
    assert run_main() == 0
    assert capsys.readouterr().out.strip() == result.strip()
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def run_main() -> int:
    from bmem import cli

    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_a_folder_without_a_result(call: Call, tmp_path: Path) -> None:
    assert "is no folder of a run: config.json cannot be read" in call.fails("ArtifactError", "show", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert "no sample is measured yet; run 'bmem run CONFIG.toml" in call.fails("ArtifactError", "show", tmp_path)
