"""One trial of a study again, alone: python -m src.rerun study=NAME trial=PLACE [storage=URL] [KEY=VALUE …]

Trains the trial with its own seeds and says how far its curves are from those it had in the study's stack. Further
KEY=VALUE change it: repeats=3 seed=100 trains the same setting with fresh seeds, for a figure that was not chosen as
the best of many. With other seeds, or another setting such as optim.eta=3, nothing is compared.
Exit status: 0 it agrees, or nothing is to be compared; 1 it does not agree, or diverged; 2 it cannot run; 130 stopped.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.commands.arguments import key_values, run_command
from src.config.error import UserError
from src.config.task import task_in

if TYPE_CHECKING:
    from src.config.metric import Metric
    from src.training.result import Result

USAGE = "python -m src.rerun study=NAME trial=PLACE [storage=URL] [KEY=VALUE ...]"
OWN = ("study", "trial", "storage")
# Keys, by their beginnings, that may differ: a member's curves depend on none of them, but for the seed, by which the
# member is found in the study.
UNCOMPARED = ("name", "published", "repeats", "ensemble", "seed", "figures", "data.dir", "trainer.", "tracking.")
# The largest difference that counts as agreement: absolute for scores that are parts of 1, else relative. The cpu
# engine gives the same bits; the torch engine may add in another order in a stack of another size, and training carries
# such a difference along.
TOLERANCE = 0.01


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_rerun, arguments, __doc__, "Nothing was trained")


def _rerun(arguments: list[str]) -> int:
    from src.config.address import STUDIES
    from src.config.check import refuse_unread_keys
    from src.config.kept_config import changed, different
    from src.sweep.studies.study_record import read_study
    from src.sweep.studies.trial_results import results_of

    own = [one for one in arguments if one.split("=")[0] in OWN]
    changes = [one for one in arguments if one not in own]
    options = key_values(own, {"study": None, "trial": None, "storage": STUDIES}, USAGE)
    study = read_study(options["study"], options["storage"])
    places = {str(trial.place): trial for trial in study.places if trial.state in ("COMPLETE", "PRUNED")}
    trial = places.get(options["trial"])
    if trial is None:
        known = listed([trial.place for trial in places.values()]) or "none yet"
        raise UserError(f"trial={options['trial']}: no finished trial of study {study.name}; accepted: {known}")
    if not trial.folder:
        raise UserError(
            f"trial={trial.place}: study {study.name} does not say where this trial's results lie, for it was made by "
            f"hand, or by an older version with another launcher; a rerun needs them"
        )
    before = results_of(study, trial)
    config = changed(before[0]["config"], changes, USAGE)
    refuse_unread_keys(config, changes, kept=True)
    others = [key for key in different(before[0]["config"], config) if not key.startswith(UNCOMPARED)]

    from src.commands.train import train
    from src.models.own import changed_code

    now = datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    name = f"rerun of {study.name} trial {trial.place}"
    words = " ".join([name, *(one for one in changes if not one.startswith("tracking."))])
    if line := changed_code(config.model.target, before[0].get("code")):
        print(line)
    results = train(config, Path(f"mlruns/hydra/{now}-rerun"), None, words)
    if config.plan:
        return 0
    if any(result.status == "KILLED" for result in results):
        raise KeyboardInterrupt
    return _verdict(name, before, results, others)


def listed(places: Sequence[int]) -> str:
    """Ascending numbers in few words, such as `0 to 4, 6, 8 to 11`."""
    ranges: list[list[int]] = []
    for place in places:
        if not ranges or place > ranges[-1][-1] + 1:
            ranges.append([])
        ranges[-1].append(place)
    return ", ".join(f"{one[0]} to {one[-1]}" if len(one) > 1 else f"{one[0]}" for one in ranges)


def _verdict(name: str, before: list[dict[str, Any]], results: "list[Result]", others: list[str]) -> int:
    """Prints how far the curves of members with the same seed are apart; returns the command's exit status.

    before: the trial's members in the study; others: the keys that were changed, so that nothing is compared.
    """
    then = {member["seed"]: member["history"] for member in before}
    pairs = [(then[result.seed], result.history) for result in results if result.seed in then]
    if others or not pairs:
        reason = f"{' and '.join(others)} changed" if others else "other seeds than in the study"
        print(f"{name}: not compared epoch by epoch: {reason}.")
        return 1 if any(result.status == "FAILED" for result in results) else 0
    gaps = largest_gaps(pairs, task_in(before[0]["config"]).metric)
    epochs = min(min(len(first), len(second)) for first, second in pairs)
    listed = ", ".join(f"{key} {gap:.2g}" for key, gap in gaps.items())
    agrees = all(gap <= TOLERANCE for gap in gaps.values())
    members = f"{len(pairs)} members" if len(pairs) > 1 else "1 member"
    print(f"{name}: {members}, {epochs} epochs, largest differences from the study: {listed}.")
    print("The trial trained alone agrees with the study." if agrees else "It does NOT agree with the study.")
    return 0 if agrees else 1


def compared(score: "Metric") -> tuple[str, ...]:
    """The names of the figures of an epoch that are compared."""
    return score.key("validation"), "validation/cost", "train/cost"


def largest_gaps(pairs: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]], score: "Metric") -> dict[str, float]:
    """The largest difference of each compared figure over pairs of histories (study's, new), in epochs that both have.

    Differences are relative to the study's value, but absolute for scores that are parts of 1; NaN equals NaN.
    """
    gaps = dict.fromkeys(compared(score), 0.0)
    for first, second in pairs:
        for one, other in zip(first, second, strict=False):
            for key in gaps:
                relative = not (key == score.key("validation") and score.percent)
                gaps[key] = max(gaps[key], _gap(one[key], other[key], relative))
    return gaps


def _gap(one: float | None, other: float | None, relative: bool) -> float:
    pair = [math.nan if value is None else value for value in (one, other)]  # files hold null for NaN
    if pair[0] == pair[1] or all(math.isnan(value) for value in pair):
        return 0.0
    gap = abs(pair[0] - pair[1]) / (abs(pair[0]) if relative and pair[0] else 1.0)
    return math.inf if math.isnan(gap) else gap
