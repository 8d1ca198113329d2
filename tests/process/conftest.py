"""Reference tables and processes shared by the tests of bmem.process."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bmem.process import TBH, THJ

DATA = Path(__file__).parent.parent / "data" / "thj"
Table = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def load_table() -> Callable[[str], Table]:
    """Reads the arrays of ``public_<name>.npz``."""

    def load(name: str) -> Table:
        (path,) = DATA.glob(f"public_{name}*.npz")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    return load


@pytest.fixture(scope="session", params=["A1", "A2", "A3", "A4", "B1"])
def table(request: pytest.FixtureRequest, load_table: Callable[[str], Table]) -> Table:
    return load_table(request.param)


@pytest.fixture(scope="session", params=["A1", "A2", "A3", "A4"])
def t_table(request: pytest.FixtureRequest, load_table: Callable[[str], Table]) -> Table:
    return load_table(request.param)


@pytest.fixture(scope="session")
def reference_cross_sections() -> dict:
    return json.loads((DATA / "xsec_thj.json").read_text())["results"]


@pytest.fixture(scope="session")
def thj() -> THJ:
    return THJ()


@pytest.fixture(scope="session")
def tbh() -> TBH:
    return TBH()
