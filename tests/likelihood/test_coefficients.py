"""Coefficients: shapes, subsets, and the way to disk and back."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bmem import artifacts
from bmem.errors import ArtifactError, InputError
from bmem.likelihood.coefficients import KIND, CoefficientBlocks, Coefficients

R, B, N, K = 2, 4, 6, 3


def example(resamples: bool = True) -> Coefficients:
    rng = np.random.default_rng(1)
    return Coefficients(
        values=rng.normal(size=(R, N, K)),
        covariance=rng.normal(size=(R, N, K, K)),
        fiducial=rng.normal(size=(R, K)),
        fiducial_covariance=rng.normal(size=(R, K, K)),
        diagnostics={"pareto_k": rng.normal(size=N), "points": np.arange(N), "outside": np.arange(N) > 3},
        bootstrap=rng.normal(size=(R, B, N, K)) if resamples else None,
        fiducial_bootstrap=rng.normal(size=(R, B, K)) if resamples else None,
    )


def assert_equal(a: Coefficients, b: Coefficients) -> None:
    for name in ("values", "covariance", "fiducial", "fiducial_covariance", "bootstrap", "fiducial_bootstrap"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
        if left is not None:
            np.testing.assert_array_equal(left, right, err_msg=name)
    assert a.diagnostics.keys() == b.diagnostics.keys()
    for name, array in a.diagnostics.items():
        assert array.dtype == b.diagnostics[name].dtype
        np.testing.assert_array_equal(array, b.diagnostics[name], err_msg=name)


@pytest.mark.parametrize("resamples", [True, False])
def test_round_trip_through_a_file(tmp_path, resamples):
    coefficients, path = example(resamples), tmp_path / "coefficients.nc"
    header = coefficients.save(path, settings={"seed": 3})
    assert header.kind == KIND
    assert artifacts.read_header(path).settings == {"seed": 3}
    assert_equal(Coefficients.load(path), coefficients)


@pytest.mark.parametrize("resamples", [True, False])
def test_blocks_in_any_order_make_the_same_file(tmp_path, resamples):
    coefficients, path = example(resamples), tmp_path / "coefficients.nc"
    blocks = [(start, coefficients.select(slice(start, start + 2))) for start in (4, 0, 2)]
    CoefficientBlocks(N, blocks).save(path, settings={"seed": 3})
    assert artifacts.read_header(path).settings == {"seed": 3}
    assert_equal(Coefficients.load(path), coefficients)


def test_some_events_of_a_file(tmp_path):
    coefficients, path = example(), tmp_path / "coefficients.nc"
    coefficients.save(path)
    assert_equal(Coefficients.load(path, slice(1, 3)), coefficients.select(slice(1, 3)))


def test_saving_twice_replaces_the_file(tmp_path):
    path = tmp_path / "coefficients.nc"
    example(True).save(path)
    Coefficients.load(path)
    example(False).save(path)
    assert Coefficients.load(path).bootstrap is None


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "coefficients.nc"
    example().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"coefficients\.nc"):
        Coefficients.load(path)


@pytest.mark.parametrize("drop", ["values", "covariance", "fiducial"])
def test_a_foreign_layout_is_named(tmp_path, drop):
    path = tmp_path / "foreign.nc"
    foreign = example().to_dataset().drop_vars(drop)
    artifacts.write(path, KIND, lambda p: foreign.to_netcdf(p, engine="h5netcdf"))
    with pytest.raises(ArtifactError, match=r"foreign\.nc"):
        Coefficients.load(path)


def no_netcdf(path: Path) -> None:
    path.write_text("not a data set")


def test_a_file_that_is_no_netcdf_is_named(tmp_path):
    path = tmp_path / "text.nc"
    artifacts.write(path, KIND, no_netcdf)
    with pytest.raises(ArtifactError, match=r"text\.nc"):
        Coefficients.load(path)


@pytest.mark.parametrize(
    "index", [slice(1, 4), [1, 2, 3], np.array([False, True, True, True, False, False])], ids=["slice", "list", "mask"]
)
def test_select_takes_events(index):
    chosen, whole = example().select(index), example()
    assert chosen.n_events == 3
    assert chosen.n_replicas == R
    np.testing.assert_array_equal(chosen.values, whole.values[:, 1:4])
    np.testing.assert_array_equal(chosen.covariance, whole.covariance[:, 1:4])
    np.testing.assert_array_equal(chosen.bootstrap, whole.bootstrap[:, :, 1:4])
    np.testing.assert_array_equal(chosen.diagnostics["points"], [1, 2, 3])
    np.testing.assert_array_equal(chosen.fiducial, whole.fiducial)


def test_replica_keeps_the_axis():
    one, whole = example().replica(1), example()
    assert one.n_replicas == 1
    np.testing.assert_array_equal(one.values[0], whole.values[1])
    np.testing.assert_array_equal(one.fiducial_covariance[0], whole.fiducial_covariance[1])
    np.testing.assert_array_equal(one.fiducial_bootstrap[0], whole.fiducial_bootstrap[1])


def test_resample_takes_the_place_of_the_values():
    resample, whole = example().resample(2), example()
    np.testing.assert_array_equal(resample.values, whole.bootstrap[:, 2])
    np.testing.assert_array_equal(resample.fiducial, whole.fiducial_bootstrap[:, 2])
    assert resample.bootstrap is None
    with pytest.raises(InputError, match="resamples"):
        example(False).resample(0)


def test_dataset_has_named_dimensions():
    dataset = example().to_dataset()
    assert isinstance(dataset, xr.Dataset)
    assert dict(dataset.sizes) == {"replica": R, "event": N, "component": K, "component2": K, "resample": B}


@pytest.mark.parametrize("name", ["covariance", "fiducial", "fiducial_covariance", "bootstrap", "fiducial_bootstrap"])
def test_shapes_that_do_not_fit_are_named(name):
    arrays = vars(example()) | {name: np.zeros((R, N + 1, K))}
    with pytest.raises(InputError, match=name):
        Coefficients(**arrays)
    with pytest.raises(InputError, match="points"):
        Coefficients(**(vars(example()) | {"diagnostics": {"points": np.zeros(N + 1)}}))


def test_values_need_three_axes_and_resamples_come_in_pairs():
    with pytest.raises(InputError, match="replica, event, component"):
        Coefficients(**(vars(example()) | {"values": np.zeros((N, K))}))
    with pytest.raises(InputError, match="both"):
        Coefficients(**(vars(example()) | {"fiducial_bootstrap": None}))


def test_exact_integrals_have_no_errors() -> None:
    values, fiducial = np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0])
    one, two = Coefficients.exact(values, fiducial), Coefficients.exact(np.stack([values] * 2), np.stack([fiducial] * 2))
    assert (one.n_replicas, one.n_events, two.n_replicas) == (1, 3, 2)
    assert not one.covariance.any()
    np.testing.assert_array_equal(two.replica(1).fiducial, one.fiducial)
