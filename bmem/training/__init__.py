"""A generic training loop: objective in, history out."""

from bmem.training.loop import Objective, evaluate, fit
from bmem.training.rows import Rows, Supply
from bmem.training.settings import History, TrainingSettings

__all__ = ["History", "Objective", "Rows", "Supply", "TrainingSettings", "evaluate", "fit"]
