"""Posteriors over network weights, and replicas drawn from them."""

from typing import TYPE_CHECKING

from bmem.lazy import exports

if TYPE_CHECKING:
    from bmem.replicas.contract import Replicas, WeightPosterior
    from bmem.replicas.ensemble import Ensemble
    from bmem.replicas.laplace import Laplace
    from bmem.replicas.low_rank import LowRank
    from bmem.replicas.mean_field import MeanField
    from bmem.replicas.nuts import Nuts
    from bmem.replicas.point import PointEstimate
    from bmem.replicas.settings import PosteriorSettings
    from bmem.replicas.swag import Swag

__all__ = [
    "Ensemble",
    "Laplace",
    "LowRank",
    "MeanField",
    "Nuts",
    "PointEstimate",
    "PosteriorSettings",
    "Replicas",
    "Swag",
    "WeightPosterior",
]

__getattr__ = exports(
    __name__,
    {
        "contract": "Replicas WeightPosterior",
        "ensemble": "Ensemble",
        "laplace": "Laplace",
        "low_rank": "LowRank",
        "mean_field": "MeanField",
        "nuts": "Nuts",
        "point": "PointEstimate",
        "settings": "PosteriorSettings",
        "swag": "Swag",
    },
)
