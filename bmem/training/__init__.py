"""A generic training loop: objective in, history out."""

from typing import TYPE_CHECKING

from bmem.lazy import exports

if TYPE_CHECKING:
    from bmem.training.loop import BatchLoss, evaluate, train
    from bmem.training.network import Network
    from bmem.training.rows import Rows, Supply
    from bmem.training.settings import History, TrainingSettings

__all__ = [
    "BatchLoss",
    "History",
    "Network",
    "Rows",
    "Supply",
    "TrainingSettings",
    "evaluate",
    "train",
]

__getattr__ = exports(
    __name__,
    {
        "loop": "BatchLoss evaluate train",
        "network": "Network",
        "rows": "Rows Supply",
        "settings": "History TrainingSettings",
    },
)
