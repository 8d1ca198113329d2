"""A generic training loop: objective in, history out."""

from bmem.training.loop import Objective, evaluate, fit
from bmem.training.settings import History, TrainingSettings

__all__ = ["History", "Objective", "TrainingSettings", "evaluate", "fit"]
