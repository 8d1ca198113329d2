"""What the report says of σ_fid, counted or learned. It used to say "learned", and an integration error of 0, of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import quiet, settings

from bmem.events import parquet
from bmem.likelihood.cross_section import FiducialCrossSection, counted_cross_section, simulated_cross_section
from bmem.reports.page import Table
from bmem.stages import Run
from bmem.stages.report import _Sources

REPLICAS = 400


def table_of(fiducial: FiducialCrossSection, source: str, folder: Path) -> Table:
    run = quiet(settings(folder, likelihood={"fiducial": source}), folder)
    fiducial.save(run.fiducial, {}, {})
    return _Sources(run)._cross_sections()


@pytest.mark.parametrize("replicas", [1, REPLICAS])
def test_counted_cross_sections_have_their_statistical_error(replicas: int, finished: Run, tmp_path: Path) -> None:
    """Of one replica exactly that of the count; the spread of 400 knows it to 1/√798, 4.3 of which are 15 % (2e-5 each)."""
    pairs = parquet.read_pairs(finished.events("training"))
    table = table_of(counted_cross_section(finished.process, pairs, replicas, seed=3), "counted", tmp_path)
    assert table.columns == ("α [°]", "σ [fb]", r"$\sigma_\mathrm{fid}$ [fb]", "statistical error [fb]", "acceptance")
    assert table.note == r"$\sigma_\mathrm{fid}$ counted from the accepted training events; no branching ratios."
    sigma, covariance = simulated_cross_section(finished.process, pairs)
    for degrees, total, fiducial, error, acceptance in table.rows:
        b = finished.process.basis(torch.deg2rad(torch.tensor([degrees], dtype=torch.float64))).numpy()
        assert fiducial == pytest.approx(1000 * b @ sigma, rel=1e-9)
        assert acceptance == pytest.approx(fiducial / total)
        assert error == pytest.approx(1000 * np.sqrt(b @ covariance @ b), rel=1e-9 if replicas == 1 else 0.15)
        assert 0.005 < error / fiducial < 0.2


def test_learned_cross_sections_have_errors_of_integration_and_network(finished: Run, tmp_path: Path) -> None:
    sigma = simulated_cross_section(finished.process, parquet.read_pairs(finished.events("training")))[0]
    values, covariance = np.stack([0.98 * sigma, 1.02 * sigma]), np.stack([np.outer(sigma, sigma) * 1e-4] * 2)
    table = table_of(FiducialCrossSection(values, covariance, None), "learned", tmp_path)
    assert table.columns[3:5] == ("integration error [fb]", "network error [fb]")
    assert table.note == r"$\sigma_\mathrm{fid}$ integrated with the learned acceptance; no branching ratios."
    for _, _, fiducial, integration, network, _ in table.rows:
        assert integration / fiducial == pytest.approx(0.01)
        assert float(network) / fiducial == pytest.approx(0.02 * np.sqrt(2), rel=0.05)  # printed with two digits
    one = table_of(FiducialCrossSection(values[:1], covariance[:1], None), "learned", tmp_path / "one")
    assert {row[4] for row in one.rows} == {"not evaluated"}


def test_the_page_says_what_was_done(finished: Run) -> None:
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert "counted from the accepted training events" in page
    assert "learned acceptance" not in page.partition("Cross sections")[2].partition("</table>")[0]
