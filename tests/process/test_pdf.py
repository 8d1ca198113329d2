"""Parton densities against Pythia's evaluation of the same grid, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bmem.errors import InputError, RangeError
from bmem.process import PDFGrid, pythia_grid

pythia8mc = pytest.importorskip("pythia8mc")
SCALE = 148.75
QUARKS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)
TINY = 1e-6


@pytest.fixture(scope="module")
def grid() -> PDFGrid:
    return PDFGrid.read(pythia_grid())


@pytest.fixture(scope="module")
def pythia():
    """Pythia's own NNPDF2.3 QCD+QED LO, α_s = 0.130 (PDF:pSet = 13)."""
    instance = pythia8mc.Pythia("", False)
    for line in ("Print:quiet = on", "PDF:pSet = 13", "ProcessLevel:all = off"):
        instance.readString(line)
    assert instance.init()
    yield instance.getPDFPtr(2212)
    del instance


@pytest.mark.parametrize("flavour", [*QUARKS, 21])
def test_densities_are_those_of_pythia(grid: PDFGrid, pythia, flavour: int) -> None:
    """Two interpolations of one grid; x f(x) below 1e-6 (heavy quarks near x = 0.7) carries no cross section."""
    x = torch.logspace(-5, np.log10(0.7), 1000, dtype=torch.float64)
    reference = np.array([pythia.xf(flavour, value, SCALE**2) for value in x.tolist()])
    ours = grid.xf(flavour, x, torch.tensor(SCALE, dtype=torch.float64)).numpy()
    there = np.abs(reference) > TINY
    assert there.sum() > 900
    np.testing.assert_allclose(ours[there], reference[there], rtol=5e-4, atol=0)


def test_densities_are_those_of_pythia_at_other_scales(grid: PDFGrid, pythia) -> None:
    x = torch.logspace(-4, -0.3, 40, dtype=torch.float64)
    for q in (5.0, 91.2, 1000.0):
        reference = np.array([pythia.xf(2, value, q**2) for value in x.tolist()])
        np.testing.assert_allclose(grid.xf(2, x, torch.tensor(q).double()).numpy(), reference, rtol=1e-3)


def test_the_fixed_scale_is_the_sum_of_flavours(grid: PDFGrid) -> None:
    x = torch.logspace(-6, -0.01, 500, dtype=torch.float64).reshape(50, 10)
    sums = [(2, 4), (-1, -3), (5,)]
    fast = grid.at_scale(SCALE, sums)(x)

    def group_sum(group: tuple[int, ...]) -> torch.Tensor:
        return torch.stack([grid.xf(code, x, torch.tensor(SCALE).double()) for code in group]).sum(0)

    slow = torch.stack([group_sum(group) for group in sums], dim=-1)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-14)


def test_the_knots_are_the_values_of_the_file(grid: PDFGrid) -> None:
    lines = pythia_grid().read_text().split("---\n")[1].splitlines()
    x, q = (np.array(line.split(), float) for line in lines[:2])
    flavours = [int(code) for code in lines[2].split()]
    row = np.array(lines[3 + 40 * len(q) + 20].split(), float)
    for flavour, value in zip(flavours, row, strict=True):
        ours = grid.xf(flavour, torch.tensor(x[40]), torch.tensor(q[20]))
        assert float(ours) == pytest.approx(value, rel=1e-10, abs=1e-14)


def test_momentum_sum_rule(grid: PDFGrid) -> None:
    """∫ x Σ f(x) dx = 1 with gluon and photon; the grid itself sums to 1.005 at this scale."""
    x = torch.logspace(-9, 0, 20_001, dtype=torch.float64)
    total = grid.at_scale(SCALE, [(*QUARKS, 21, 22)])(x)[:, 0]
    assert float(torch.trapezoid(total, x)) == pytest.approx(1.0, abs=0.01)


def test_gradients_flow_to_x(grid: PDFGrid) -> None:
    x = torch.tensor([1e-3, 0.05, 0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(grid.at_scale(SCALE, [(2,), (5,)]), x)


@pytest.mark.parametrize("x", [1e-10, 1.5, float("nan")])
def test_x_outside_the_grid_is_an_error(grid: PDFGrid, x: float) -> None:
    with pytest.raises(RangeError, match="x in"):
        grid.xf(2, torch.tensor([0.1, x]).double(), torch.tensor(SCALE).double())


@pytest.mark.parametrize("q", [0.5, 2e4])
def test_a_scale_outside_the_grid_is_an_error(grid: PDFGrid, q: float) -> None:
    with pytest.raises(RangeError, match="Q in"):
        grid.xf(2, torch.tensor(0.1).double(), torch.tensor(q).double())
    with pytest.raises(RangeError, match="Q in"):
        grid.at_scale(q, [(2,)])


def test_an_unknown_parton_is_an_error(grid: PDFGrid) -> None:
    with pytest.raises(InputError, match="no parton 11"):
        grid.xf(11, torch.tensor(0.1).double(), torch.tensor(SCALE).double())


def test_an_unknown_grid_of_pythia_is_an_error() -> None:
    with pytest.raises(InputError, match="no PDF grid"):
        pythia_grid("no_such_grid.dat")


def small_grid(values: str = "1 2\n" * 16, x: str = "1e-3 1e-2 0.1 1") -> str:
    return f"PdfType: central\nFormat: lhagrid1\n---\n{x}\n1 10 100 1000\n1 2\n{values}---\n"


def test_two_subgrids_meet_at_their_threshold(tmp_path: Path) -> None:
    upper = "---\n1e-3 1e-2 0.1 1\n1000 2000 3000 4000\n1 2\n" + "3 4\n" * 16 + "---\n"
    path = tmp_path / "two.dat"
    path.write_text(small_grid()[: -len("---\n")] + upper)
    grid = PDFGrid.read(path)
    q = torch.tensor([10.0, 999.0, 1001.0, 4000.0]).double()
    torch.testing.assert_close(grid.xf(2, torch.tensor(0.02).double(), q), torch.tensor([2.0, 2.0, 4.0, 4.0]).double())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Format: lhagrid2\n---\n", "lhagrid1"),
        ("Format: lhagrid1\n---\n", "no subgrid"),
        (small_grid(values="1 2\n" * 15), "damaged"),
        (small_grid(values="1 x\n" * 16), "damaged"),
        (small_grid(values="1 nan\n" * 16), "finite"),
        (small_grid(x="1e-3 1e-2 1e-2 1"), "increase"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "broken.dat"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"(?s)broken\.dat.*{reason}"):
        PDFGrid.read(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.dat"):
        PDFGrid.read(tmp_path / "nowhere.dat")
