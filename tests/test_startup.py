"""What a command does not need it does not import: the first answer comes at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bmem

HEAVY = ("torch", "pyro", "arviz", "pandas", "matplotlib")
RUN = """
import sys, time
sys.argv = ["bmem", *{arguments!r}]
try:
    {statement}
except SystemExit as end:
    assert not end.code, end.code
print([name for name in {heavy!r} if name in sys.modules], time.process_time(), file=sys.stderr)
"""
COMMAND = "from bmem.cli import main; main()"


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("import bmem", []),
        (COMMAND, ["--help"]),
        (COMMAND, ["--version"]),
        (COMMAND, ["version"]),
        (COMMAND, ["show", "--help"]),
        (COMMAND, ["keys"]),
        (COMMAND, ["schema"]),
    ],
    ids=["import", "help", "--version", "version", "show", "keys", "schema"],
)
def test_nothing_heavy_is_imported(statement: str, arguments: list[str]) -> None:
    code = RUN.format(statement=statement, arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, _, seconds = done.stderr.strip().rpartition(" ")
    print(f"{arguments}: {float(seconds):.2f} s of processor time")
    assert imported == "[]"
    if "ersion" in "".join(arguments):
        assert done.stdout == f"{bmem.__version__}\n"


def test_names_are_imported_when_they_are_asked_for() -> None:
    from bmem.likelihood.coefficients import Coefficients

    assert bmem.Coefficients is Coefficients
    assert set(dir(bmem)) == set(bmem.__all__)
    assert all(getattr(bmem, name) is not None for name in bmem.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Coeficients'"):
        _ = bmem.Coeficients


def test_future_warnings_of_libraries_are_not_told() -> None:
    silent = "from bmem.cli.options import silence_libraries; silence_libraries()"
    code = f"import warnings; {silent}; warnings.warn('soon', FutureWarning)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    told = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert "FutureWarning: soon" in told.stderr
