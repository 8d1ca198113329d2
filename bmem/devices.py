"""Where tensors are computed: a processor or an accelerator, chosen by name."""

from __future__ import annotations

import torch

from bmem.errors import DeviceError

AUTO = "auto"
_MORE_ON_ACCELERATORS = 16


def chosen(name: str) -> torch.device:
    """The device called ``name``: "cpu", an accelerator as torch calls it ("cuda", "cuda:1", "xpu"), or "auto".

    "auto" is the first accelerator that this machine has and bmem can use, and otherwise the CPU.

    Raises:
        DeviceError: a name that is no device, a device that is not there, or one without numbers of double precision.
    """
    if name == AUTO:
        return torch.device(next((kind for kind in _accelerators() if kind not in _SINGLE), "cpu"))
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError) as error:
        raise DeviceError(f"device {name!r} is no device; give {_there()}") from error
    if device.type in _SINGLE:
        raise DeviceError(f"device {name!r} has no numbers of double precision, which momenta need; give {_there()}")
    if device.type != "cpu" and (device.index or 0) >= _accelerators().get(device.type, 0):
        raise DeviceError(f"device {name!r} is not there, or this build of torch cannot use it; give {_there()}")
    return device


def rows_at_once(on_cpu: int, device: torch.device) -> int:
    """How many rows a network sees at once: what fits into the cache of a CPU is too little to keep an accelerator busy."""
    return on_cpu if device.type == "cpu" else _MORE_ON_ACCELERATORS * on_cpu


_SINGLE = ("mps",)
"""Devices that compute in single precision only."""


def _accelerators() -> dict[str, int]:
    """Accelerators that torch can use here, at most one kind, and how many of them there are."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return {} if device is None else {device.type: torch.accelerator.device_count()}


def _there() -> str:
    """What can be given on this machine."""
    names = ["cpu", *(f"{kind}:{i}" for kind, n in _accelerators().items() if kind not in _SINGLE for i in range(n)), AUTO]
    return " or ".join(repr(name) for name in names)
