"""The blocks of the page on couplings run one after the other, on events with x_hard known in place of a run's."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmem.calibration.yardstick import yardstick_coefficients
from bmem.process import THJ
from bmem.rng import generator

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "couplings.md"


def test_the_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = THJ()
    x = process.sample(120, torch.tensor([np.pi / 4], dtype=torch.float64), generator(1, "page")).x
    path = tmp_path / "out" / "quickstart" / "likelihood" / "alpha45.nc"
    path.parent.mkdir(parents=True)
    yardstick_coefficients(process, x, torch.ones(len(x)), process.total.components.numpy()).save(path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    assert [len(c.paths) > 0 for c in names["region"].contours] == [True, True]
    assert names["fit"](names["constrained"]).error[1] < 0.1
    assert names["fit"](names["extended"]).nearest([np.pi / 4, 1.0]).error[1] > 0.1
