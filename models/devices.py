"""The device that a network runs on, by the name that people give it."""

import torch

from models.errors import ModelsError


class UnusableDevice(ModelsError):
    """There is no such device, or it does not work."""


def device_named(name: str) -> torch.device:
    """The device that PyTorch calls so; for `auto` a GPU where there is one, else the CPU.

    Raises:
        UnusableDevice: this machine has none of that name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        # A name alone proves nothing: the driver may be missing, or the number too high.
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        told = str(error).splitlines()[0].rstrip(".")
        raise UnusableDevice(f"the device {name!r} cannot be used here: {told}") from error
    return device
