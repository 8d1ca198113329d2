"""Deep ensembles: first weights, bootstrap, subsets; the bootstrap has the variance it should have."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.networks.layers import MLP
from bmem.replicas import Ensemble
from bmem.training import TrainingSettings
from bmem.workers import Workers

FALSE_ALARM = 2e-5
SETTINGS = TrainingSettings(epochs=3, batch_size=100, learning_rate=1e-2)


def squared(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return (module(batch[0]) - batch[1]).square().mean()


def data(n: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(n, 2, generator=rng), torch.randn(n, 1, generator=rng)


def test_the_means_of_the_rows_seen_spread_as_a_bootstrap_does() -> None:
    """Var = s² (1/n + 1/n - 1/N): n of N rows without replacement, then a bootstrap of those. χ² of 40 members at 2e-5."""
    members, (_, y) = 40, data(200)
    means: list[float] = []

    def spy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        if module.training:
            means.append(batch[1].double().mean().item())
        return squared(module, batch)

    ensemble, settings = Ensemble(members), TrainingSettings(epochs=1, batch_size=1000)
    ensemble.fit(MLP(2, 1, 2, 1), spy, data(200), settings, seed=3)
    variance = y.double().var().item() * (2 / settings.training_rows(200) - 1 / 200)
    ratio = members * torch.tensor(means).var(correction=0).item() / variance
    assert stats.chi2.ppf(FALSE_ALARM / 2, members - 1) < ratio < stats.chi2.ppf(1 - FALSE_ALARM / 2, members - 1)


@pytest.mark.parametrize("bootstrap", [True, False])
def test_only_the_bootstrap_makes_members_differ_in_their_data(bootstrap: bool) -> None:
    seen: list[Tensor] = []

    def spy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        if module.training:
            seen.append(batch[0])
        return squared(module, batch)

    settings = TrainingSettings(epochs=1, batch_size=1000)
    Ensemble(2, bootstrap=bootstrap).fit(MLP(2, 1, 4, 1), spy, data(100), settings, seed=1)
    for rows in seen:
        assert rows.shape == (90, 2) or bootstrap
        assert (len(rows.unique(dim=0)) < 90) is bootstrap
        assert (len(rows.unique(dim=0)) < len(rows)) is bootstrap


def test_held_out_rows_are_never_trained_on() -> None:
    """They used to be at risk: a bootstrap before the split would put copies of a row on both sides."""
    trained_on: list[Tensor] = []
    held_out: list[Tensor] = []

    def spy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        (trained_on if module.training else held_out).append(batch[0][:, 0].clone())
        return squared(module, batch)

    settings = TrainingSettings(epochs=1, batch_size=1000)
    Ensemble(2).fit(MLP(2, 1, 4, 1), spy, data(100), settings, seed=1)
    for training, validation in zip(trained_on, held_out, strict=True):
        assert not torch.isin(validation, training).any()


def test_members_start_differently_and_the_module_stays_as_it_is() -> None:
    module = MLP(2, 1, 4, 1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    ensemble = Ensemble(3, bootstrap=False)
    worst = ensemble.fit(module, squared, data(200), TrainingSettings(epochs=1, learning_rate=1e-9), seed=1)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    first = ensemble.sample(3, torch.Generator()).weights["first.weight"]
    assert all((first[i] - first[j]).abs().max() > 0.01 for i, j in ((0, 1), (0, 2), (1, 2)))
    assert worst.best_loss == max(history.best_loss for history in ensemble.histories)


def test_without_first_weights_members_go_on_from_the_network_and_run_all_epochs() -> None:
    module = MLP(2, 1, 4, 1)
    start = module.first.weight.data.clone()
    ensemble, settings = Ensemble(3, anew=False), TrainingSettings(epochs=4, learning_rate=1e-5, patience=1)
    ensemble.fit(module, squared, data(200), settings, seed=1)
    first = ensemble.sample(3, torch.Generator()).weights["first.weight"]
    assert torch.equal(module.first.weight.data, start)
    torch.testing.assert_close(first, start.expand(3, -1, -1), rtol=0, atol=1e-3)
    assert all(not torch.equal(first[i], first[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert [(len(history.train_loss), history.best_epoch) for history in ensemble.histories] == [(4, 3)] * 3


def test_members_that_go_on_spread_as_estimates_of_a_mean_do() -> None:
    """Var = s² (1/n + 1/n - 1/N), as of rows seen, once the optimiser has reached the mean. χ² of 40 members at 2e-5."""
    members, (_, y) = 40, data(200)
    module = nn.Linear(1, 1).double()
    nn.init.zeros_(module.bias)
    module.weight.requires_grad_(False).zero_()
    settings = TrainingSettings(epochs=50, batch_size=1000, learning_rate=0.05)
    ensemble = Ensemble(members, anew=False)
    ensemble.fit(module, squared, (y.double(), y.double()), settings, seed=3)
    variance = y.double().var().item() * (2 / settings.training_rows(200) - 1 / 200)
    biases = ensemble.sample(members, torch.Generator()).weights["bias"]
    ratio = members * biases.var(correction=0).item() / variance
    assert stats.chi2.ppf(FALSE_ALARM / 2, members - 1) < ratio < stats.chi2.ppf(1 - FALSE_ALARM / 2, members - 1)


def test_a_subset_is_drawn_without_replacement() -> None:
    ensemble = Ensemble(4)
    ensemble.fit(MLP(2, 1, 4, 1), squared, data(200), SETTINGS, seed=1)
    every = ensemble.sample(4, torch.Generator()).weights["first.weight"]
    three = ensemble.sample(3, torch.Generator().manual_seed(1)).weights["first.weight"]
    matches = (three[:, None] == every[None]).flatten(2).all(dim=-1)
    assert matches.sum(dim=1).tolist() == [1, 1, 1]
    assert matches.sum(dim=0).max() == 1


def test_every_member_has_its_checkpoint(tmp_path: Path) -> None:
    ensemble = Ensemble(2)
    ensemble.fit(MLP(2, 1, 4, 1), squared, data(200), SETTINGS, seed=1, checkpoint=tmp_path / "net.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.0.safetensors", "net.1.safetensors"]


def test_members_that_others_train_are_the_same_to_the_bit() -> None:
    told: list[tuple[int, int]] = []
    settings, module = TrainingSettings(epochs=2, batch_size=50), MLP(2, 1, 4, 1)
    here, there = Ensemble(3), Ensemble(3, workers=Workers(ThreadPoolExecutor(1)))
    here.fit(module, squared, data(200), settings, seed=1)
    there.fit(module, squared, data(200), settings, seed=1, progress=lambda *done: told.append(done))
    one, other = here.sample(3, torch.Generator()), there.sample(3, torch.Generator())
    assert all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2 members"):
        Ensemble(1)
    ensemble = Ensemble(2)
    ensemble.fit(MLP(2, 1, 4, 1), squared, data(200), SETTINGS, seed=1)
    with pytest.raises(InputError, match="cannot give 3"):
        ensemble.sample(3, torch.Generator())
