"""How much of the information in what was observed a likelihood reaches: against the ceiling that a regression finds.

The information of the hard events is a ceiling that no likelihood of observations reaches. Nearer is that of a network which
learned the ratios of ``bmem.likelihood.ratio`` from the same observations: what the likelihood keeps less than this, another
choice of what is read, or better networks, could give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmem.artifacts import read_json
from bmem.calibration.record import JsonRecord
from bmem.calibration.score import information_kept, score_test
from bmem.errors import InputError
from bmem.inference.objective import Basis
from bmem.likelihood.coefficients import Coefficients

KIND = "ceiling"


@dataclass(frozen=True)
class Ceiling(JsonRecord):
    """Of the information of x_hard in N ``events`` at one θ: what a likelihood ``kept``, and what a regression ``learned``.

    Each with its error; ``share`` is the first over the second, with the error of the ratio.
    """

    events: int
    kept: tuple[float, float]
    learned: tuple[float, float]
    share: tuple[float, float]

    @classmethod
    def load(cls, path: Path) -> Ceiling:
        """Read a ceiling artifact.

        Raises:
            ArtifactError: it is missing, foreign, damaged or of a newer format.
        """
        return cls.from_dict(read_json(path, KIND))


def ceiling_at(likelihood: Coefficients, ratio: Coefficients, hard: Coefficients, basis: Basis, theta: float) -> Ceiling:
    """The ceiling of the first parameter of ``basis`` at ``theta``, where the events were made.

    Args:
        likelihood: coefficients of the events.
        ratio: learned ratios of the same events, in the same order.
        hard: coefficients with x_hard known.
        basis: of one parameter.
        theta: its true value.

    Raises:
        InputError: the numbers of events differ, or too few have a positive density.
    """
    if not likelihood.n_events == ratio.n_events == hard.n_events:
        numbers = f"{likelihood.n_events}, {ratio.n_events} and {hard.n_events}"
        raise InputError(f"ceiling: there are {numbers} events of likelihood, ratio and x_hard; give the same to all")
    tests = [score_test(one, basis, [theta]) for one in (likelihood, ratio, hard)]
    kept, learned = (information_kept(test, tests[2]) for test in tests[:2])
    usable = np.isfinite(np.concatenate([test.scores for test in tests], axis=1)).all(axis=1)
    s, g, t = (test.scores[usable, 0] for test in tests)
    share = float(kept[0][0] / learned[0][0])
    # the delta method, as in information_kept: both share the exact score t, whose own information cancels
    moves = [2 * x * t / (x * t).mean() - x**2 / (x**2).mean() for x in (s, g)]
    error = share * float((moves[0] - moves[1]).std(ddof=1)) / math.sqrt(len(s))
    pairs = [(float(value[0]), float(error_[0])) for value, error_ in (kept, learned)]
    return Ceiling(int(usable.sum()), pairs[0], pairs[1], (share, error))
