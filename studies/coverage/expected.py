"""What the bank of the finished study says before and after a measurement: python expected.py RUN [--out OUT].

Draws the expected precision, the expected intervals, and the goodness of fit of the first events at 45°.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.goodness import STATISTICS, GoodnessSettings, GoodnessTest
from bmem.calibration.power import Expectation, power_at
from bmem.config import load
from bmem.likelihood.coefficients import Coefficients
from bmem.plotting import style
from bmem.plotting.goodness import draw_goodness
from bmem.plotting.power import draw_expected_intervals, draw_kept, draw_power
from bmem.process.single_top_higgs import ALPHA
from bmem.stages import Run
from bmem.stages.belt import load_bank

SAMPLE = "alpha45"


def precision(bank: Bank, out: Path) -> None:
    """Expected σ of 100 events and the information kept."""
    found = power_at(bank, np.radians(np.arange(-180, 181, 15)))
    with style.house_style():
        figure, (upper, lower) = style.new_panels(height=3.2)
        draw_power(upper, found, 100, ALPHA.quantity, rate=True)
        draw_kept(lower, found, ALPHA.quantity)
        upper.set_xlabel("")
        style.save(figure, out / "expected_sigma")
    for truth, sigma, hard, rate, kept, error in zip(
        np.degrees(found.truths),
        *(np.degrees(found.sigma(100, **k)) for k in ({}, {"hard": True}, {"rate": True})),
        found.kept,
        found.kept_error,
        strict=True,
    ):
        print(f"{truth:.0f}°: σ {sigma:.2f}°, known {hard:.2f}°, with rate {rate:.2f}°; kept {kept:.3f} ± {error:.3f}")


def intervals(bank: Bank, out: Path) -> None:
    """Expected 68.3 % regions of two numbers of events."""
    truths = np.radians(np.arange(-180, 181, 30))
    expectations = [Expectation.of(bank, float(truth)) for truth in truths]
    regions = {f"{n} events, 68 %": [e.interval(n, 0.683) for e in expectations] for n in (50, 200)}
    with style.house_style():
        figure, axes = style.new_figure()
        draw_expected_intervals(axes, truths, regions, ALPHA.quantity)
        style.save(figure, out / "expected_intervals")


def goodness(run: Run, bank: Bank, out: Path) -> None:
    """Of the events that the run measured; and of all samples of as many events, whose p-values must be uniform."""
    events, size = Coefficients.load(run.coefficients(SAMPLE)), run.config.fit.size
    test = GoodnessTest(bank, size, run.seed("goodness"), GoodnessSettings(toys=1000))
    found = [test(events.select(slice(i, i + size))) for i in range(0, events.n_events - size + 1, size)]
    p_values = np.array([one.p_values for one in found])
    print(f"first sample: p = {p_values[0]}, together {found[0].p_value}; all {len(found)}, sorted:")
    for name, column in zip(STATISTICS, p_values.T, strict=True):
        print(f"{name}: {np.sort(column).round(3)}, uniform with p = {stats.kstest(column, 'uniform').pvalue:.2f}")
    with style.house_style():
        figure, axes = style.new_figure()
        draw_goodness(axes, found[0])
        style.save(figure, out / "goodness")


def main() -> None:
    """Draw all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the finished study")
    parser.add_argument("--out", type=Path, default=Path("out/coverage/expected"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    run = Run(load(Path(__file__).with_name("coverage.toml")), arguments.run, Console(stderr=True))
    bank = load_bank(run)
    precision(bank, arguments.out)
    intervals(bank, arguments.out)
    goodness(run, bank, arguments.out)


if __name__ == "__main__":
    main()
