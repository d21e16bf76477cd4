"""The device that a run trains on, and what of it the run may use."""

import os

import torch

from src.config.error import ConfigError
from src.config.schema import TrainerConfig


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(config: TrainerConfig) -> torch.device:
    """The device that `trainer.accelerator` and `trainer.devices` name, such as cuda:0 for the first GPU.

    accelerator=auto takes a GPU where CUDA finds one, else the CPU. Raises ConfigError where there is no such device.
    """
    wanted = "cuda" if config.devices != "auto" else {"gpu": "cuda"}.get(config.accelerator, config.accelerator)
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    available += ["mps"] if torch.backends.mps.is_available() else []
    if wanted == "auto" and config.engine == "cpu":
        wanted = "cpu"
    if wanted == "auto":
        wanted = "cuda" if "cuda" in available else "cpu"
    if wanted not in available:
        named = config.devices != "auto"
        key = f"trainer.devices = {config.devices!r}" if named else f"trainer.accelerator = {config.accelerator!r}"
        raise ConfigError(
            f"{key}: this machine has no such device that torch can use{_hidden() if wanted == 'cuda' else ''}; "
            f"accepted here: {'auto, with trainer.accelerator=' if named else ''}auto, {', '.join(available)}"
        )
    if config.precision != 32 and wanted != "cuda":
        raise ConfigError(
            f"trainer.precision = {config.precision!r}: needs CUDA, and this run is on {wanted}; accepted: 32"
        )
    return _gpu(config.devices) if wanted == "cuda" else torch.device(wanted)


def _gpu(wanted: str) -> torch.device:
    """The GPU that `trainer.devices` names. Raises ConfigError where torch sees none of that number."""
    index = int(wanted.partition(":")[2] or 0)
    count = torch.cuda.device_count()
    if index and index >= count:
        known = [f"cuda:{one} ({torch.cuda.get_device_name(one)})" for one in range(count)]
        raise ConfigError(
            f"trainer.devices = {wanted!r}: torch finds no GPU of that number{_hidden()}; "
            f"accepted here: auto, {', '.join(known)}"
        )
    return torch.device("cuda", index)


def begin_on(device: torch.device) -> None:
    """Makes the GPU `device` the one for CUDA calls that name none, which would otherwise use the first GPU.

    Raises ConfigError where it cannot be used.
    """
    try:
        torch.cuda.set_device(device)
    except RuntimeError as error:  # another process may have it to itself, or it is broken
        raise ConfigError(
            f"trainer.devices: {device} is there but cannot be used ({str(error).splitlines()[0]}); accepted: another "
            f"of the {torch.cuda.device_count()} GPUs, or trainer.accelerator=cpu"
        ) from error


def _hidden() -> str:
    """The reason why torch finds no GPU, in parentheses, where it is known; else empty."""
    if torch.version.cuda is None:
        return f" (torch {torch.__version__} is built without CUDA)"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if visible is None else f" (CUDA_VISIBLE_DEVICES = {visible!r} decides which it finds, counted from 0)"
