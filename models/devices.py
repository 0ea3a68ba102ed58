"""Selects the device that a network runs on."""

import torch

from models.errors import ModelsError


class UnusableDevice(ModelsError):
    """The device does not exist or does not work."""


def select_device(name: str) -> torch.device:
    """Returns PyTorch's device of that name; for `auto` a GPU if there is one, else the CPU.

    Raises:
        UnusableDevice: this machine has no such device, or it does not work.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UnusableDevice(
            f'the device must be "auto", "cpu", "mps", "cuda" or "cuda:0", not {name!r}'
        ) from error
    try:
        # The name alone proves nothing: the driver may be missing, or the number too high.
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UnusableDevice(f"the device {name!r} cannot be used here: {reason}") from error
    return device


def device_name(device: torch.device) -> str:
    """Returns the name of a device for people, such as "NVIDIA H100 (cuda:0)"."""
    match device.type:
        case "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            return f"{torch.cuda.get_device_name(index)} (cuda:{index})"
        case "cpu":
            return "CPU"
        case other:
            return other
