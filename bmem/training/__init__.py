"""A generic training loop: objective in, history out."""

from typing import TYPE_CHECKING

from bmem.lazy import exports

if TYPE_CHECKING:
    from bmem.training.loop import Objective, evaluate, fit
    from bmem.training.network import Network
    from bmem.training.rows import Rows, Supply
    from bmem.training.settings import History, TrainingSettings

__all__ = [
    "History",
    "Network",
    "Objective",
    "Rows",
    "Supply",
    "TrainingSettings",
    "evaluate",
    "fit",
]

__getattr__ = exports(
    __name__,
    {
        "loop": "Objective evaluate fit",
        "network": "Network",
        "rows": "Rows Supply",
        "settings": "History TrainingSettings",
    },
)
