"""A study beside the same parameter sets one after another, without pruning, in plain Lightning with a DataLoader.

Ours is taken from the study's own clock: from its first trial's start to its last one's end, start-up left out on both
sides. Lightning trains some of the study's parameter sets, evenly spaced over its trials, for `epochs` epochs, each
with a look at the validation images; its time for all of them at full length is worked out from those.

    python -m src.train +sweeps=activation
    python -m benchmarks.study study=activation [storage=URL] [trials=6] [epochs=1]
"""

import sys
import time
from pathlib import Path
from statistics import fmean, stdev

import torch

from benchmarks import peer
from benchmarks.report import Report
from src.commands.arguments import key_values, run_command
from src.config.address import STUDIES
from src.config.check import parse
from src.config.error import UserError
from src.config.schema import RunConfig
from src.data.load import load
from src.models.model import model_of
from src.runs.result_files import results_in
from src.sweep.studies.study_record import Study, read_study
from src.training.device import cores

USAGE = "python -m benchmarks.study study=NAME [storage=URL] [trials=6] [epochs=1]"


def main() -> int:
    """The command; returns its exit status."""
    return run_command(_compare, None, __doc__, "Nothing was measured")


def _compare(arguments: list[str]) -> int:
    options = key_values(arguments, {"study": None, "storage": STUDIES, "trials": "6", "epochs": "1"}, USAGE)
    study = read_study(options["study"], options["storage"])
    count, epochs = (_number(options, key) for key in ("trials", "epochs"))
    done = [trial for trial in study.places if trial.state in ("COMPLETE", "PRUNED")]
    if len(done) < count:
        raise UserError(
            f"trials={count}: study {study.name} has {len(done)} finished trials; accepted: 1 to {len(done)}"
        )
    chosen = [done[number * len(done) // count] for number in range(count)]
    configs = [parse(results_in(Path(trial.folder))[0]["config"]) for trial in chosen]
    report = Report(f"Study {study.name}: {len(done)} trials, beside plain Lightning", quick=False)
    seconds = [_seconds_an_epoch(config, epochs) for config in configs]
    full = sum(trial.max_epochs or 0 for trial in done) * configs[0].members
    ours, trained = _wall(study), sum(trial.epochs or 0 for trial in done)
    spread = f" ± {stdev(seconds):.1f}" if len(seconds) > 1 else ""
    alone = fmean(seconds) * full
    report.table(
        ["", "epochs trained", "time"],
        [
            ["ours, stacks with pruning", trained, f"{ours / 60:.1f} min, measured"],
            ["plain Lightning, no pruning", full, f"{alone / 60:.0f} min, worked out"],
        ],
    )
    report.say(
        f"Lightning took {fmean(seconds):.1f}{spread} s an epoch over {count} of the parameter sets, {epochs} "
        f"epoch{'s' if epochs > 1 else ''} each. Ratio {alone / ours:.0f}, of which pruning gives {full / trained:.1f}."
    )
    return 0


def _number(options: dict[str, str], key: str) -> int:
    if not options[key].isdecimal() or int(options[key]) < 1:
        raise UserError(f"{key}={options[key]}: must be a whole number; accepted: from 1")
    return int(options[key])


def _wall(study: Study) -> float:
    """Seconds from the first trial's start to the last one's end."""
    starts = [trial.started for trial in study.trials if trial.started]
    ends = [trial.ended for trial in study.trials if trial.ended]
    return (max(ends) - min(starts)).total_seconds()


def _seconds_an_epoch(config: RunConfig, epochs: int) -> float:
    """Seconds of an epoch with its validation, for one network in Lightning with its fastest setting."""
    data = load(config.data, config.task.kind)
    train, validation = peer.floats(data.train), peer.floats(data.validation)
    setting = peer.fastest_setting(config, train, cores())
    before = torch.get_num_threads()
    torch.set_num_threads(setting.threads)
    first = model_of(config).first_state(config.seed)
    module = peer.start_from(peer.Peer(config), first)
    start = time.perf_counter()
    peer.fit(
        module,
        peer.loader(train, config, setting.workers),
        peer.evaluation_loader(validation),
        max_epochs=epochs,
        num_sanity_val_steps=0,
    )
    torch.set_num_threads(before)
    return (time.perf_counter() - start) / epochs


if __name__ == "__main__":
    sys.exit(main())
