"""Sweeps for tests: the command in this process, on 200 digits, and what it leaves."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.commands import train
from src.sweep import launch, screen
from src.training.engines import choose

SMALL = [
    "data=digits",
    "data.train=200",
    "model.maps=[]",
    "model.hidden=[8]",
    "max_epochs=2",
    "trainer.engine=cpu",
    "trainer.threads=1",
    "figures=false",
]
PARAMETERS = 784 * 8 + 8 + 8 * 10 + 10  # of that network
# Of an epoch, what does not depend on how fast the machine is.
CURVES = ("epoch", "eta", "train/cost", "train/accuracy", "validation/cost", "validation/accuracy")


def command(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """`python -m src.train ARGUMENTS` in `folder`; the exit status."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(train, "_statuses", [])
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    try:
        train.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def replaced(*arguments: str) -> list[str]:
    """The arguments, of each key the last one only."""
    return list({argument.split("=")[0]: argument for argument in arguments}.values())


def grid(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """A multirun of a small network without tracking."""
    return command(monkeypatch, folder, "-m", *replaced(*SMALL, "tracking=none", *arguments))


def study(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, name: str = "small") -> int:
    """An Optuna study of a small network, without tracking unless the arguments say so."""
    chosen = ["hydra/sweeper=optuna", f"hydra.sweeper.study_name={name}", "tracking=none"]
    return command(monkeypatch, folder, "-m", *replaced(*SMALL, *chosen, *arguments))


def folders(folder: Path) -> list[Path]:
    """The folder of every job of the commands run in `folder`, in the order of command and job."""
    found = (folder / "mlruns" / "hydra").glob("*/*-multirun/*")
    return sorted((path for path in found if path.is_dir()), key=lambda path: (path.parent, int(path.name)))


def members(job: Path) -> list[dict[str, Any]]:
    """What a job's result.json holds."""
    content: list[dict[str, Any]] = json.loads((job / "result.json").read_text())
    return content


def curves(member: dict[str, Any]) -> list[dict[str, float]]:
    """A member's history without its speed."""
    return [{key: row[key] for key in CURVES} for row in member["history"]]


def spy(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, told: Callable[..., None]) -> None:
    """`told` sees the result and the arguments of every call of owner.name."""
    original = getattr(owner, name)

    def spied(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        told(result, *arguments, **named)
        return result

    monkeypatch.setattr(owner, name, spied)


def slow_where(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """By the clock that engines are chosen by, a step that calls owner.name takes a second, any other a millisecond."""
    called: list[None] = []
    spy(monkeypatch, owner, name, lambda *_: called.append(None))

    def timed(call: Callable[[], object]) -> float:
        before = len(called)
        call()
        return 1.0 if len(called) > before else 0.001

    monkeypatch.setattr(choose, "timed", timed)


def job_returns(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Fills with what the launcher gives back to Hydra."""
    found: list[Any] = []
    spy(monkeypatch, launch, "launch_grid", lambda result, *_: found.extend(result))
    return found


def stack_sizes(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Fills with a list for each stack: the members that trained in each of its chunks."""
    sizes: list[list[int]] = []
    spy(monkeypatch, screen.SweepScreen, "stack", lambda *_: sizes.append([]))
    spy(
        monkeypatch,
        screen.SweepScreen,
        "progressed",
        lambda result, own, epoch, batch, members: sizes[-1].append(members),
    )
    return sizes


def one_paragraph(text: str) -> bool:
    """Whether a user is spared tracebacks and repetitions."""
    return (
        bool(text.strip()) and "\n\n" not in text.strip() and "Traceback" not in text and "Error executing" not in text
    )


def broken_seed(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whoever trains a member with this seed fails before the first epoch."""
    from src.models import model as stack

    original = stack.initial_weights

    def broken(layers: Any, init: Any, own: int) -> Any:
        if own == seed:
            raise RuntimeError(f"seed {own} is broken")
        return original(layers, init, own)

    monkeypatch.setattr(stack, "initial_weights", broken)


def room_for(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The machine's memory holds the weights of so many members of the small network, and no more."""
    page, actual = os.sysconf("SC_PAGE_SIZE"), os.sysconf
    pages = 3 * 4 * PARAMETERS * count // page + 1  # as src/training/fit.py counts
    monkeypatch.setattr(os, "sysconf", lambda name: pages if name == "SC_PHYS_PAGES" else actual(name))
