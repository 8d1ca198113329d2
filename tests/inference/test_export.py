"""arviz works unchanged on what is exported, and the draws are those of the marginal likelihood."""

from pathlib import Path
from typing import Any

import arviz as az
import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from likelihood_examples import FALSE_ALARM, MIXTURE, PLANE, counts, toy_sample
from scipy import stats

from bmem.errors import ArtifactError, InputError
from bmem.inference.bayes import Prior, posterior
from bmem.inference.export import DrawSettings, inference_data, inference_data_of_chains, load, save, with_predictive
from bmem.inference.nuts import Chains
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.process.toy import LinearGaussian

mpl.use("Agg")
ONE = not az.__version__.startswith("0.")
"""Whether arviz is 1.x, which has other names for some figures and results."""
SAMPLES = "num_samples" if ONE else "num_pp_samples"
TOY = LinearGaussian()
BASIS = MorphingBasis.of(TOY)
EVENTS = toy_sample(TOY, 40, 0.7, seed=5)
SIGMA = TOY.fiducial().numpy()
SHIFTED = NegativeTwoLogLikelihood(EVENTS * np.array([1.0, 1.3, 0.8]), SIGMA * np.array([1.0, 1.3, 0.8]), BASIS)
OBJECTIVE = MarginalLikelihood([NegativeTwoLogLikelihood(EVENTS, SIGMA, BASIS), SHIFTED])
DIAGNOSTICS = {
    "pareto_k": np.linspace(0, 0.6, 40),
    "effective_fraction": np.full(40, 0.25),
    "points": np.arange(40) + 100,
}
SETTINGS = DrawSettings(chains=4, draws=250)


@pytest.fixture(scope="module")
def data() -> Any:
    return inference_data(OBJECTIVE, np.random.default_rng(1), settings=SETTINGS, diagnostics=DIAGNOSTICS)


def test_draws_are_those_of_the_marginal_posterior(data: Any) -> None:
    """Kolmogorov-Smirnov against the grid, for the marginal and for each replica; false alarm 2e-5 each."""
    draws = data.posterior["theta"].to_numpy().ravel()
    assert stats.kstest(draws, posterior(OBJECTIVE).below).pvalue > FALSE_ALARM
    by_replica = data.posterior["theta_by_replica"].to_numpy().reshape(-1, 2)
    for column, replica in zip(by_replica.T, OBJECTIVE.replicas, strict=True):
        assert stats.kstest(column, posterior(replica).below).pvalue > FALSE_ALARM


def test_replicas_are_drawn_alike(data: Any) -> None:
    """Binomial test of the share of the second one; false alarm 2e-5."""
    chosen = data.sample_stats["replica"].to_numpy()
    assert stats.binomtest(int(chosen.sum()), chosen.size, 0.5).pvalue > FALSE_ALARM
    shares = np.bincount(chosen.ravel()) / chosen.size
    assert data.sample_stats.attrs["effective_replicas"] == pytest.approx(1 / np.square(shares).sum())


def test_log_likelihood_is_that_of_the_replica_of_the_draw(data: Any) -> None:
    summed = data.log_likelihood["events"].sum("event").to_numpy().ravel()
    theta = data.posterior["theta"].to_numpy().ravel()
    chosen = data.sample_stats["replica"].to_numpy().ravel()
    values = np.stack([replica.value(theta[:, None]) for replica in OBJECTIVE.replicas])
    np.testing.assert_allclose(summed, -values[chosen, np.arange(len(theta))] / 2, rtol=1e-12)
    np.testing.assert_allclose(data.sample_stats["lp"].to_numpy().ravel(), summed, rtol=1e-12)


def test_diagnostics_and_prior_are_in_it(data: Any) -> None:
    np.testing.assert_array_equal(data.sample_stats["pareto_k"], DIAGNOSTICS["pareto_k"])
    np.testing.assert_allclose(data.sample_stats["effective_points"], 0.25 * DIAGNOSTICS["points"])
    assert data.posterior.attrs["prior"] == "flat in the parameter over its range"


def test_excluded_events_keep_their_numbers() -> None:
    objective = NegativeTwoLogLikelihood(EVENTS, SIGMA, BASIS, exclude=[3])
    data = inference_data(objective, np.random.default_rng(1), diagnostics=DIAGNOSTICS)
    assert 3 not in data.log_likelihood["event"]
    assert data.log_likelihood.sizes["event"] == 39
    assert float(data.sample_stats["pareto_k"].sel(event=4)) == DIAGNOSTICS["pareto_k"][4]
    assert "theta_by_replica" not in data.posterior


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_arviz_works_on_it(data: Any) -> None:
    summary = az.summary(data, var_names=["theta"])
    assert float(summary.loc["theta", "r_hat"]) < 1.02
    (az.plot_dist if ONE else az.plot_posterior)(data, var_names=["theta"])
    rng = np.random.default_rng(2)
    observed = {"pt": rng.normal(size=40)}
    predicted = {"pt": rng.normal(size=(4, 250, 40))}
    getattr(az, "plot_ppc_dist" if ONE else "plot_ppc")(with_predictive(data, observed, predicted), **{SAMPLES: 20})
    mpl.pyplot.close("all")


def test_loo_is_the_exact_leave_one_out() -> None:
    """10 counts of which 3 are of the second kind, flat prior: p(x_n | others) is the rule of succession, 3/11 or 7/11...

    With the others Beta(1 + k - [n is 1], 1 + 10 - k - [n is 0]) the predictive probability is k/11 for a 1 (k = 3) and 7/11
    for a 0. The tails outside of (0.001, 0.999) and the Monte Carlo error of 20 000 draws stay below 0.03 in the sum.
    """
    objective = NegativeTwoLogLikelihood(counts(7, 3), np.ones(2), MIXTURE)
    data = inference_data(objective, np.random.default_rng(3), settings=DrawSettings(4, 5000))
    result = az.loo(data)
    assert float(result.elpd if ONE else result.elpd_loo) == pytest.approx(7 * np.log(7 / 11) + 3 * np.log(3 / 11), abs=0.03)


def test_compare_prefers_the_right_likelihood() -> None:
    """120 events at θ = 0.7 under their own σ_k and under σ_k that are wrong: the first has the higher expected density."""
    events = toy_sample(TOY, 120, 0.7, seed=6)
    wrong = NegativeTwoLogLikelihood(events[:, [1, 0, 2]], SIGMA[[1, 0, 2]], BASIS)
    models = {"right": NegativeTwoLogLikelihood(events, SIGMA, BASIS), "wrong": wrong}
    rng = np.random.default_rng(4)
    table = az.compare({k: inference_data(m, rng, settings=SETTINGS) for k, m in models.items()})
    assert next(iter(table.index)) == "right"


def test_chains_of_several_parameters() -> None:
    """Draws of θ = (x, y) in two replicas, one of them three times as likely everywhere, which says nothing: each goes with
    half of the draws (binomial test of 4000, false alarm 2e-5).
    """
    theta = np.tile([0.2, 0.3], (2, 2000, 1))
    integrals = counts(6, 2, 2)
    second = NegativeTwoLogLikelihood(integrals * np.where(np.arange(10) == 0, 3.0, 1.0)[:, None], np.ones(3), PLANE)
    objective = MarginalLikelihood([NegativeTwoLogLikelihood(integrals, np.ones(3), PLANE), second])
    chains = Chains(objective.parameters, theta, -objective.value(theta) / 2, "flat", divergences=3)
    data = inference_data_of_chains(objective, chains, np.random.default_rng(8), {"pareto_k": np.zeros(10)})
    np.testing.assert_array_equal(data.posterior["y"], theta[..., 1])
    assert stats.binomtest(int(data.sample_stats["replica"].sum()), 4000, 0.5).pvalue > FALSE_ALARM
    expected = np.log([0.5] * 6 + [0.2] * 2 + [0.3] * 2)
    first = data.log_likelihood["events"].to_numpy()[data.sample_stats["replica"].to_numpy() == 0]
    np.testing.assert_allclose(first, np.broadcast_to(expected, first.shape), rtol=1e-12)
    assert data.posterior.attrs["prior"] == "flat"
    assert data.sample_stats.attrs["divergences"] == 3
    with pytest.raises(InputError, match=r"the chains are of \['x', 'y'\], the likelihood is of \['theta'\]"):
        inference_data_of_chains(OBJECTIVE, chains, np.random.default_rng(1))


def test_survives_the_disk(data: Any, tmp_path: Path) -> None:
    path = tmp_path / "posterior.nc"
    save(with_predictive(data, {"m": np.ones(2)}, {"m": np.ones((4, 250, 2))}), path, {"seed": 1})
    again = load(path)
    np.testing.assert_array_equal(again.posterior["theta"], data.posterior["theta"])
    np.testing.assert_array_equal(again.log_likelihood["events"], data.log_likelihood["events"])
    assert again.posterior.attrs == data.posterior.attrs
    assert set(again.posterior_predictive) == {"m"}
    np.testing.assert_array_equal(az.from_netcdf(path).posterior["theta"], data.posterior["theta"])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match=r"posterior\.nc"):
        load(path)


def test_a_file_of_one_version_of_arviz_is_one_of_the_other(data: Any, tmp_path: Path) -> None:
    """Both read trees of datasets, as xarray writes and reads them without arviz."""
    path = tmp_path / "posterior.nc"
    save(data, path)
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert set(tree.children) == {"posterior", "log_likelihood", "sample_stats"}
        by_arviz = az.from_netcdf(path)
        for name, group in tree.children.items():
            for key, values in group.data_vars.items():
                np.testing.assert_array_equal(by_arviz[name][key], values)


def test_the_result_is_of_the_type_that_arviz_has(data: Any) -> None:
    """In 1.x ``arviz.InferenceData`` is still there, but is the tree, which takes no groups by name and warns."""
    assert isinstance(data, xr.DataTree if ONE else az.InferenceData)


def test_bad_input_is_refused(data: Any) -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="known of 3 events"):
        inference_data(OBJECTIVE, rng, diagnostics={"pareto_k": np.zeros(3)})
    with pytest.raises(InputError, match="same observables"):
        with_predictive(data, {"a": np.ones(2)}, {})
    with pytest.raises(InputError, match="have shape"):
        with_predictive(data, {"a": np.ones(2)}, {"a": np.ones((4, 2))})
    with pytest.raises(InputError, match="excludes every value"):
        inference_data(OBJECTIVE, rng, Prior("nothing", lambda x: np.full_like(x, -np.inf)))
    with pytest.raises(InputError, match="least"):
        DrawSettings(draws=1)
