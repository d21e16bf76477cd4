"""Whether a stack fits into the memory of its device."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from src.config.error import ConfigError
from src.config.shapes import LayerShape, parameter_count


class TooLargeError(ConfigError):
    """A stack that the device's memory cannot hold."""


def weight_bytes(layers: list[LayerShape], members: int, slots: int) -> int:
    """Bytes of the members' float32 copies of a weight: itself, its gradient, that of the best epoch, and the slots."""
    return (3 + slots) * 4 * members * parameter_count(layers)


def check_memory(layers: list[LayerShape], members: int, slots: int, device: torch.device) -> None:
    """Raises TooLargeError where the weights of `members`, with all that is kept beside them, exceed its memory.

    slots: numbers that the update rule keeps beside each weight.
    """
    if device.type == "cuda":
        _, room = torch.cuda.mem_get_info(device)
    elif hasattr(os, "sysconf"):
        room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        return
    needed = weight_bytes(layers, members, slots)
    if needed > room:
        raise TooLargeError(
            f"model: {members} members of {parameter_count(layers):,} parameters need {needed / 2**30:,.0f} GiB, and "
            f"{device} has {room / 2**30:,.0f}; accepted: smaller layers, or fewer repeats"
        )


@contextmanager
def enough_memory(members: int, device: torch.device) -> Iterator[None]:
    """A context that turns torch's out-of-memory error into a TooLargeError for a stack of `members`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TooLargeError(
            f"model: {members} members of this network do not fit into the memory of {device} "
            f"({str(error).splitlines()[0]}); accepted: smaller layers, or fewer repeats"
        ) from error
