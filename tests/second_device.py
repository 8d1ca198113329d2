"""A second device where there is none: tensors that say they are elsewhere and do not mix with those of the CPU.

Numbers are still those of the CPU, so unlike on ``meta`` everything that depends on values can be run, and results must be
equal to the bit. Not under ``vmap``, which hides what a tensor says of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

ELSEWHERE = torch.device("xpu", 0)
ACROSS = {"copy_", "__get__", "__set__"}
"""Functions that may see tensors of two devices."""


class Elsewhere(Tensor):
    """A tensor on the second device."""


@contextmanager
def second_device() -> Iterator[None]:
    """There is a device ``ELSEWHERE`` inside."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Pretend():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


class _Pretend(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in ("to", "cpu") and args and isinstance(args[0], Tensor):
            return _moved(args[0], ("cpu",) if name == "cpu" else args[1:], kwargs)
        there = [tensor for tensor in _tensors((args, kwargs)) if isinstance(tensor, Elsewhere)]
        if there and (name in _OWN or func in _READ):
            return _OWN[name](*args) if name in _OWN else _READ[func](func, *args)
        made = _is_elsewhere(kwargs.get("device"))
        if made:
            kwargs["device"] = "cpu"
        if there or made:
            _check(name, args, kwargs)
        result = func(*args, **kwargs)
        return result.as_subclass(Elsewhere) if made else result


def _check(name: str, args: Any, kwargs: dict[str, Any]) -> None:
    """As torch: no second device, no generator of the CPU, no way into numpy."""
    here = [t for t in _tensors((args, kwargs)) if not isinstance(t, Elsewhere) and t.dim()]
    if name not in ACROSS and (here or kwargs.get("generator") is not None or name in ("numpy", "__array__")):
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found two")


def _moved(tensor: Tensor, where: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """``Tensor.to``."""
    elsewhere = isinstance(tensor, Elsewhere)
    for part in (*where, *kwargs.values()):
        if isinstance(part, Tensor):
            elsewhere = isinstance(part, Elsewhere)
            tensor = tensor.type(part.dtype)
        elif isinstance(part, torch.dtype):
            tensor = tensor.type(part)
        elif isinstance(part, str | torch.device):
            elsewhere = _is_elsewhere(part)
    return tensor if elsewhere == isinstance(tensor, Elsewhere) else tensor.as_subclass(Elsewhere if elsewhere else Tensor)


def _is_elsewhere(device: Any) -> bool:
    return device is not None and torch.device(device).type == ELSEWHERE.type


def _tensors(parts: Any) -> Iterator[Tensor]:
    for part in parts.values() if isinstance(parts, dict) else parts:
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, list | tuple | dict):
            yield from _tensors(part)


def _copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    copy = tensor.detach().clone().requires_grad_(tensor.requires_grad)
    copy._is_param = getattr(tensor, "_is_param", False)
    return memo.setdefault(id(tensor), copy)


def _gradient(getter: Any, tensor: Tensor) -> Tensor | None:
    gradient = getter(tensor)
    return None if gradient is None else gradient.as_subclass(Elsewhere)


_OWN = {"__deepcopy__": _copied, "_has_compatible_shallow_copy_type": lambda *_: False}
_READ = {Tensor.device.__get__: lambda *_: ELSEWHERE, Tensor.grad.__get__: _gradient}
