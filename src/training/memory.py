"""Whether a stack fits into the memory of its device."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from src.config.error import ConfigError
from src.training.stack import Member


class TooLargeError(ConfigError):
    """A stack that the device's memory cannot hold."""


def weight_bytes(parameters: int, stack: Sequence[Member], slots: int, device: torch.device) -> int:
    """Bytes on the device of the members' float32 copies of a weight: itself, its gradient, that of the best epoch, the
    slots, its running mean if any member has one, and on a CPU its snapshots, which lie in the computer's memory.

    parameters: weights and biases of one member.
    """
    averages = any(member.config.average.rule != "none" for member in stack)
    snapshots = sum(member.config.snapshots for member in stack) if device.type == "cpu" else 0
    return ((3 + slots + averages) * len(stack) + snapshots) * 4 * parameters


def check_codes(members: int, examples: int, units: int, device: torch.device) -> None:
    """Raises TooLargeError where the memory cannot hold the codes of a layer of `units`, and those of the next one."""
    needed, room = 2 * 4 * members * examples * units, _room(device)
    if room is not None and needed > room:
        raise TooLargeError(
            f"pretrain: the codes of {units:,} units for {examples:,} images and {members} members need "
            f"{needed / 2**30:,.0f} GiB, and {device} has {room / 2**30:,.0f}; accepted: fewer repeats, or fewer "
            "networks in a stack (hydra.launcher.max_members)"
        )


def _room(device: torch.device) -> int | None:
    """The bytes of the device's memory; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def check_memory(parameters: int, stack: Sequence[Member], slots: int, device: torch.device) -> None:
    """Raises TooLargeError where the weights of these members, with all that is kept beside them, exceed its memory.

    parameters: weights and biases of one member; slots: numbers that the update rule keeps beside each weight.
    """
    needed, room = weight_bytes(parameters, stack, slots, device), _room(device)
    if room is not None and needed > room:
        raise TooLargeError(
            f"model: {len(stack)} members of {parameters:,} parameters need {needed / 2**30:,.0f} GiB, and "
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
