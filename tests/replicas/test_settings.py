"""Settings of a posterior: every method is made as it says, and the bootstrap goes on as the network was trained."""

from typing import Any

import pytest

from bmem.errors import InputError
from bmem.replicas import Ensemble, Laplace, LowRank, MeanField, PointEstimate, PosteriorSettings, Swag
from bmem.training import TrainingSettings

KINDS: dict[str, type] = {
    "point": PointEstimate,
    "bootstrap": Ensemble,
    "ensemble": Ensemble,
    "mean_field": MeanField,
    "low_rank": LowRank,
    "laplace": Laplace,
    "swag": Swag,
}


@pytest.mark.parametrize("method", KINDS)
def test_every_method_is_made(method: str) -> None:
    settings = PosteriorSettings(method, replicas=5, prior_scale=0.3, temperature=0.2)  # type: ignore[arg-type]
    posterior = settings.make()
    assert type(posterior) is KINDS[method]
    assert getattr(posterior, "prior_scale", 0.3) == 0.3
    assert getattr(posterior, "temperature", 0.2) == 0.2
    assert getattr(posterior, "members", 5) == 5
    assert settings.drawn == (1 if method == "point" else 5)


def test_a_bootstrap_goes_on_as_the_network_was_trained_and_the_others_do_not() -> None:
    network = TrainingSettings(epochs=12, learning_rate=2e-3, weight_decay=0.1)
    bootstrap = PosteriorSettings("bootstrap", epochs=2, learning_rate=1e-5)
    assert bootstrap.warm
    assert not bootstrap.make().anew  # type: ignore[attr-defined]
    assert bootstrap.training(network) == TrainingSettings(epochs=2, learning_rate=2e-3, weight_decay=0.1)
    assert PosteriorSettings("mean_field", epochs=2, learning_rate=1e-5).training(network) == TrainingSettings(
        epochs=2, learning_rate=1e-5, weight_decay=0.0
    )
    ensemble = PosteriorSettings("ensemble")
    assert not ensemble.warm
    assert ensemble.training(network) == network
    assert ensemble.make().anew  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["replicas", "epochs", "learning_rate", "prior_scale", "temperature"])
def test_numbers_are_positive(name: str) -> None:
    wrong: dict[str, Any] = {name: 0}
    with pytest.raises(InputError, match=rf"posterior\.{name} must be positive"):
        PosteriorSettings(**wrong)


@pytest.mark.parametrize("method", ["bootstrap", "ensemble"])
def test_one_member_is_no_ensemble(method: str) -> None:
    with pytest.raises(InputError, match="at least 2; for one network choose 'point'"):
        PosteriorSettings(method, replicas=1)  # type: ignore[arg-type]


def test_members_that_start_from_one_network_need_a_bootstrap() -> None:
    Ensemble(2, bootstrap=False)
    with pytest.raises(InputError, match="on the same rows are equal"):
        Ensemble(2, anew=False, bootstrap=False)
