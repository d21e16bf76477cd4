"""What a restricted Boltzmann machine draws by itself: python -m src.sample run=RUN [KEY=VALUE ...]

RUN is the folder of a run of task=contrast, mlruns/hydra/DATE/TIME-NAME, or of a deep belief net, whose machines lie in
its folders pretrain-1, pretrain-2 and so on. A picture shows chains that begin with test images, side by side, and what
each has come to after every 1,000 Gibbs steps: the mean field, the probability of each pixel. Beside it FILE.npz holds
the same as numbers: `images`, the test images, and `starts`, their indices; `means`, the mean fields (rows, chains,
channels, height, width), and `drawn`, the 0s and 1s that were drawn from them. It takes seconds, and says how many.

    member=best        or the number of one of the run's members, from 0; best: by its validation score
    chains=20 rows=10 steps=1000    how many, and Gibbs steps from row to row
    seed=0             chooses the test images and the chains: the same seed draws the same
    out=FILE.png       RUN/samples.png
    data.dir=FOLDER, data.name=NAME    where the run's data lie, if not where they lay
Exit status: 0 done; 2 nothing was drawn; 130 stopped by the user.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.commands.arguments import key_values, run_command, whole_numbers
from src.commands.compare import RESULT_FILE, read_run
from src.config.error import UserError
from src.config.section import SEEDS
from src.config.task import task_in

if TYPE_CHECKING:
    from torch import Tensor

    from src.data.dataset import Dataset
    from src.models.tied import TiedLayer
    from src.training.result import Result

USAGE = "python -m src.sample run=RUN [member=N] [chains=20] [rows=10] [steps=1000] [seed=0] [out=FILE.png]"
DATA = ("data.dir", "data.name")
DEFAULTS = {"run": None, "member": "best", "chains": "20", "rows": "10", "steps": "1000", "seed": "0", "out": ""}
RANGES = {"chains": (1, 1_000), "rows": (1, 1_000), "steps": (1, 1_000_000), "seed": (0, SEEDS - 1)}
PHASES = "pretrain-*"  # the folders of a deep belief net's machines, inside that of its run
TIMED = 20  # Gibbs steps by which the duration is estimated


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_sample, arguments, __doc__, "Nothing was drawn")


def _sample(arguments: list[str]) -> int:
    options = key_values(arguments, DEFAULTS | dict.fromkeys(DATA, ""), USAGE)
    numbers = whole_numbers(options, RANGES)
    run = Path(options["run"])
    output = Path(options["out"] or run / "samples.png")
    if output.suffix != ".png":
        raise UserError(f"out={output}: the picture is a png; accepted: a file name that ends in .png.")
    phases = phases_of(run)
    results = [read_run(phase) for phase in phases]
    whole = read_run(run) if (run / RESULT_FILE).is_file() else results[0]
    member = _member(options["member"], whole)

    import torch

    from src.runs import run_words, terminal
    from src.runs.curves import about_member
    from src.runs.samples import sampled

    torch.set_num_threads(1)  # chains are too small to gain from more
    machines = machines_of(phases, results, member)
    words = about_member(whole[member])
    dataset = _data(results[0][member], {key: options[key] for key in DATA if options[key]})
    images = dataset.test.inputs
    if numbers["chains"] > len(images):
        raise UserError(f"chains={numbers['chains']}: {dataset.name} has {len(images)} test images; accepted: as many.")
    seconds = numbers["rows"] * numbers["steps"] * _seconds_a_step(machines, images, numbers["chains"])
    steps = f"{numbers['rows']:,} times {numbers['steps']:,} Gibbs steps"
    terminal.grid(
        {
            "samples": f"{words}: {_words(machines)}",
            "chains": f"{numbers['chains']:,}, which begin with test images of {dataset.name}; {steps}",
            "estimate": run_words.duration(seconds),
        }
    )
    with terminal.waiting("Drawing"):
        made = sampled(machines, images, **numbers)
        made.figure(output, f"{words}: samples")
    made.write(output.with_suffix(".npz"))
    terminal.say(f"Picture: {output}\nSamples: {output.with_suffix('.npz')}")
    return 0


def phases_of(run: Path) -> list[Path]:
    """The folders with a deep belief net's machines, from the bottom to the top; the run's own folder for one machine.

    Raises UserError where `run` is no folder of a run of task=contrast.
    """
    if not run.is_dir():
        raise UserError(f"run={run}: no such folder; accepted: a run's own, mlruns/hydra/DATE/TIME-NAME.")
    folders = [one for one in run.glob(PHASES) if one.name.removeprefix("pretrain-").isdigit()]
    phases = sorted(folders, key=lambda one: int(one.name.removeprefix("pretrain-"))) or [run]
    for phase in phases:
        task = task_in(read_run(phase)[0].config).name
        if task != "contrast":
            raise UserError(
                f"run={run}: {phase / RESULT_FILE} is of task={task}; accepted: a run of task=contrast, which trains "
                f"restricted Boltzmann machines, such as +exp=rbm, or a deep belief net of these."
            )
    return phases


def _member(text: str, results: "list[Result]") -> int:
    """The index of the member that `text` names: best, or a number. Raises UserError."""
    if text == "best":
        return max(range(len(results)), key=lambda one: results[one].merit)
    if not (text.isascii() and text.isdigit() and int(text) < len(results)):
        known = "0" if len(results) == 1 else f"0 to {len(results) - 1}"
        raise UserError(f"member={text}: the run has no such member; accepted: best, {known}.")
    return int(text)


def machines_of(phases: list[Path], results: "list[list[Result]]", member: int) -> "list[TiedLayer]":
    """A member's machines from the weights in the folders `phases`. Raises UserError where some are missing."""
    import torch

    from src.models.gibbs import machine

    machines = []
    for phase, members in zip(phases, results, strict=True):
        path = phase / f"member-{member:02d}" / "weights.pt"
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else {}
            if weights:
                machines.append(machine(weights))
                continue
        except Exception as error:  # torch.load raises whatever the broken part makes of it
            reason = (str(error) or repr(error)).splitlines()[0]
            raise UserError(f"{path}: cannot be read as the weights of a machine ({reason}).") from None
        status = members[member].status if member < len(members) else "not begun"
        raise UserError(
            f"{path}: holds no weights, for the member ({status}) did not come to the end of an epoch; accepted: "
            f"another run or member."
        )
    return machines


def _data(result: "Result", changes: dict[str, str]) -> "Dataset":
    """The data that the run was trained on. Raises UserError where others are there now."""
    from src.config.kept_config import changed
    from src.data.load import load

    changed_keys = [f"{key}={value}" for key, value in changes.items()]
    dataset = load(changed(result.config, [*changed_keys, "tracking.kind=none"], USAGE).data)
    if dataset.name != result.dataset:
        raise UserError(
            f"the run was trained on {result.dataset}; here is {dataset.name}; accepted: the same data, by data.name "
            f"and data.dir."
        )
    return dataset


def _seconds_a_step(machines: "list[TiedLayer]", images: "Tensor", chains: int) -> float:
    from src.runs.samples import sampled

    sampled(machines, images, chains, rows=1, steps=1, seed=0)
    start = time.perf_counter()
    sampled(machines, images, chains, rows=1, steps=TIMED, seed=0)
    return (time.perf_counter() - start) / TIMED


def _words(machines: "list[TiedLayer]") -> str:
    """The sizes of a stack of machines, such as `784 visible, 500 hidden units`."""
    sizes: list[Any] = [len(one.visible_bias) for one in machines]
    hidden = " – ".join(str(size) for size in [*sizes[1:], machines[-1].layers[0].out_features])
    return f"{sizes[0]} visible, {hidden} hidden units"
