"""Mean-field Gaussian posterior over the weights of any module, by variational inference.

Every weight has a mean and a width of its own. Layers that allow it use the local reparametrisation trick (Kingma, Salimans,
Welling, arXiv:1506.02557): their outputs are drawn instead of their weights, independently for every row, which makes the
gradient much less noisy. The module is not rewritten: its own weights are the means, and the noise comes in by hooks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from pyro.distributions import Normal
from torch import Tensor, nn
from torch.distributions import kl_divergence

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.replicas.trust import warn_if_far, warn_if_not_flat, warn_if_wide
from bmem.replicas.weights import Layers, LogPosterior, Loss, call, flatten, random_weights, replicas
from bmem.rng import generator, normal
from bmem.training.loop import BatchLoss, Progress, train
from bmem.training.rows import split
from bmem.training.settings import History, TrainingSettings

_HASTE = 30.0
"""By how much faster than means logarithms of widths are learned.

A step of Adam changes what it learns by at most the learning rate. Weights that are right already need no more than that;
widths begin orders of magnitude away, and would otherwise stay what they were at first.
"""


class MeanFieldLoss(nn.Module):
    """The negative ELBO per row of a module whose weights are drawn from independent Gaussians.

    Args:
        loss: the module and its objective, a mean of -log p(row | weights).
        means: the module's own parameters that are random.
        settings: of the posterior.
        rows: size of the training set, by which the divergence from the prior is divided.
        seed: of the noise; in a training step the number of the step goes in too, in evaluations it is always the same.
    """

    steps: Tensor

    def __init__(self, loss: Loss, means: dict[str, nn.Parameter], settings: MeanField, rows: int, seed: int) -> None:
        super().__init__()
        self.loss, self.settings, self.rows, self.seed = loss, settings, rows, seed
        self.names = tuple(means)
        start = math.log(settings.initial_scale) / _HASTE
        self.widths = nn.ParameterList(torch.full_like(value, start) for value in means.values())
        # on the CPU, so that reading it does not wait for an accelerator
        self.register_buffer("steps", torch.zeros((), dtype=torch.long, device="cpu"))
        self.local: dict[str, nn.Linear] = {}

    def extra_repr(self) -> str:
        return repr(self.settings)

    @property
    def means(self) -> dict[str, Tensor]:
        """Posterior means by name."""
        parameters = dict(self.loss.module.named_parameters())
        return {name: parameters[name] for name in self.names}

    @property
    def scales(self) -> dict[str, Tensor]:
        """Posterior standard deviations by name."""
        return {name: (_HASTE * value).exp() for name, value in zip(self.names, self.widths, strict=True)}

    def prior_scale(self, mean: Tensor, scale: Tensor) -> Tensor:
        """Standard deviation of the prior of one tensor of weights."""
        if self.settings.prior_scale is None:
            return (mean.square() + scale.square()).mean().sqrt()
        return torch.as_tensor(self.settings.prior_scale, dtype=mean.dtype, device=mean.device)

    def divergence(self) -> Tensor:
        """KL[q || prior] in nats, in closed form."""
        means, scales = self.means, self.scales
        terms = [
            kl_divergence(Normal(means[name], scales[name]), Normal(0.0, self.prior_scale(means[name], scales[name]))).sum()
            for name in self.names
        ]
        return torch.stack(terms).sum()

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean loss with weights drawn from the posterior, plus temperature times divergence per row of the training set."""
        rng = self._generator()
        means, scales = self.means, self.scales
        local = {_join(layer, kind) for layer in self.local for kind in ("weight", "bias")}
        drawn = {name: _draw(means[name], scales[name], rng) for name in self.names if name not in local}
        with self._noise(scales, rng):
            return self.loss.at(drawn, batch) + self.settings.temperature * self.divergence() / self.rows

    def _generator(self) -> torch.Generator:
        if not self.training:
            return generator(self.seed, "mean field", "held out")
        self.steps += 1
        return generator(self.seed, "mean field", "step", int(self.steps))

    @contextmanager
    def _noise(self, scales: dict[str, Tensor], rng: torch.Generator) -> Iterator[None]:
        """Let the local layers add the noise that their random weights make in their outputs."""
        with ExitStack() as stack:
            for name, layer in self.local.items():
                own = (scales[_join(name, "weight")], scales.get(_join(name, "bias")))
                hook = partial(_add_noise, own, rng)
                stack.callback(layer.register_forward_hook(hook).remove)
            yield

    def find_local_layers(self, batch: tuple[Tensor, ...]) -> None:
        """Use the trick in linear layers that see each row of ``batch`` exactly once: there it is exact.

        A layer that sees several points of a row gives them the same weights; drawn output by output they would be
        independent, so its weights are drawn instead, once for a batch.
        """
        seen: dict[str, list[torch.Size]] = {}
        candidates = self._linear_layers()
        self.eval()
        with ExitStack() as stack, torch.no_grad():
            for name, layer in candidates.items():
                record = partial(_record_shape, seen.setdefault(name, []))
                stack.callback(layer.register_forward_hook(record).remove)
            self.loss(batch)
        rows = len(batch[0])
        once = {name for name, shapes in seen.items() if [(len(s), s[0]) for s in shapes] == [(2, rows)]}
        self.local = {name: candidates[name] for name in sorted(once)}

    def _linear_layers(self) -> dict[str, nn.Linear]:
        """Linear layers with random weights of their own."""
        layers = {
            name: part
            for name, part in self.loss.module.named_modules()
            if type(part) is nn.Linear and {_join(name, kind) for kind, _ in part.named_parameters()} <= set(self.names)
        }
        owners = [id(value) for part in self.loss.module.modules() for value in part.parameters(recurse=False)]
        return {
            name: layer
            for name, layer in layers.items()
            if all(owners.count(id(value)) == 1 for value in layer.parameters())
        }


def _join(layer: str, kind: str) -> str:
    """The name of a parameter; the module itself, whose name is empty, may be the layer."""
    return f"{layer}.{kind}" if layer else kind


def _draw(mean: Tensor, scale: Tensor, rng: torch.Generator) -> Tensor:
    return mean + scale * normal(mean.shape, rng, mean)


def _add_noise(
    scales: tuple[Tensor, Tensor | None], rng: torch.Generator, layer: nn.Module, inputs: tuple[Tensor], output: Tensor
) -> Tensor:
    """Forward hook: the output of a layer becomes a draw from the distribution that its random weights give it."""
    weight, bias = scales
    variance = nn.functional.linear(inputs[0].square(), weight.square(), None if bias is None else bias.square())
    # Where no input reaches an output its variance is 0, and the root of it has no gradient.
    scale = variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
    return _draw(output, scale, rng)


def _record_shape(shapes: list[torch.Size], layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
    shapes.append(inputs[0].shape)


@dataclass
class MeanField:
    """Independent Gaussians; the means start at the weights that the module has, best at those of a point estimate.

    Correlations between weights are left out, so the band is too narrow where they matter. Where weights are about as many
    as rows the noise in all of them is felt in the mean, too; a posterior with ``temperature`` below 1, the power
    1 / temperature of the likelihood, is nearer to what independent trainings do (arXiv:2002.02405; measured in
    studies/network_uncertainty).

    Attributes:
        prior_scale: standard deviation of the Gaussian prior of every weight; None: for each tensor the one that makes the
            ELBO largest (empirical Bayes).
        initial_scale: width of every weight at the beginning.
        temperature: weight of the divergence from the prior; 1 is Bayes' theorem.
        layers: names of the parts or parameters that are random, ``"last"`` for the ``last_layer`` of the network; the
            others are trained as they are, without a prior. Default: all that require gradients.
    """

    prior_scale: float | None = 1.0
    initial_scale: float = 0.01
    temperature: float = 1.0
    layers: Layers | None = None
    network: MeanFieldLoss | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("prior_scale", "initial_scale", "temperature"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"MeanField.{name} must be positive, not {value}")

    def fit(
        self,
        module: nn.Module,
        objective: BatchLoss,
        data: tuple[Tensor, ...],
        settings: TrainingSettings,
        seed: int,
        *,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Maximise the ELBO; ``module`` ends with the posterior means.

        All epochs are run and the last weights kept: the prior, not early stopping, guards against overtraining, and
        ``patience`` has no meaning. The losses in the history are negative ELBOs per row. The objective must be a mean over
        rows of -log p(row | weights).

        Warns:
            TrustWarning: the ELBO is not flat at the end, widths run away, or (up to 1000 weights) the posterior is far.

        Raises:
            InputError: a name in ``layers`` that there is not, or a weight decay.
            TrainingError: as ``bmem.training.train`` does.
        """
        if settings.weight_decay:
            raise InputError("a posterior has a prior in the place of weight_decay; set it to 0 and choose prior_scale")
        means = random_weights(module, self.layers)
        rows = settings.training_rows(len(data[0]))
        network = MeanFieldLoss(Loss(module, objective), means, self, rows, seed)
        network.find_local_layers(tuple(tensor[: settings.batch_size] for tensor in data))
        history = train(network, call, data, settings, seed, checkpoint=checkpoint, progress=progress, early_stopping=False)
        self.network = network
        warn_if_not_flat(history, rows, sum(value.numel() for value in means.values()))
        scales = {name: value.detach() for name, value in network.scales.items()}
        like = {name: value.detach() for name, value in means.items()}
        prior_scales = {name: float(network.prior_scale(like[name], scales[name])) for name in scales}
        warn_if_wide(scales, prior_scales)
        prior = torch.cat([value.new_full((value.numel(),), prior_scales[name]) for name, value in like.items()])
        prior_density = Normal(torch.zeros_like(prior), prior).to_event(1)
        target = LogPosterior(network.loss, like, prior_density, split(data, settings, seed)[0], self.temperature)
        approximation = Normal(flatten(like), flatten(scales)).to_event(1)
        warn_if_far(target, approximation, generator(seed, "mean field", "pareto k"))
        return history

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """Draw ``n`` networks.

        Raises:
            InputError: not fitted yet.
        """
        if self.network is None:
            raise InputError("a mean-field posterior must be fitted before it is sampled")
        means, scales = self.network.means, self.network.scales
        drawn = {name: _draw(mean.expand(n, *mean.shape), scales[name], rng) for name, mean in means.items()}
        return replicas(self.network.loss.module, drawn, n)
