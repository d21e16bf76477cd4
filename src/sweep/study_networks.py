"""The networks that a study has left: those of its complete trials that keep its constraints, the best first."""

from pathlib import Path

from src.config.error import ConfigError
from src.runs.trained import Left, networks_in, together
from src.sweep.studies.study_record import Study, Trial
from src.sweep.studies.trial_results import results_of
from src.training.result import Result


def best_networks(study: Study, top: int, key: str = "study") -> list[Left]:
    """The `top` networks with the best validation score, best first; every repeat of a trial counts by itself.

    key: by which the user has named the study. Raises ConfigError, which says how many there are, where these are fewer
    or no trial is complete, and UserError where a trial's results cannot be read.
    """
    if not study.count()["COMPLETE"]:
        states = [f"{n} {kind.replace('FAIL', 'failed').lower()}" for kind, n in study.count().items()]
        trials = ", ".join(states) or "no trial"
        raise ConfigError(f"{key} = {study.name}: has no complete trial, so there is nobody to vote ({trials})")
    kept = [trial for trial in study.places if trial.state == "COMPLETE" and not study.broken(trial)]
    found = [one for trial in kept for one in _networks(study, trial)]
    found.sort(key=lambda one: study.score.merit(one.result.validation_score), reverse=True)
    if len(found) < top:
        which = "complete trials that keep its constraints" if study.settings.get("constraints") else "complete trials"
        raise ConfigError(
            f"top = {top}: study {study.name} has left {len(found)} networks of {which}; "
            f"accepted: {f'1 to {len(found)}' if found else 'nothing yet'}"
        )
    return found[:top]


def answering_networks(study: Study, top: int | None) -> list[Left]:
    """The networks that answer for a study, best first: its `top` best, or all folds' of its `top` best trials.

    By default its best one, or the snapshots of that. All folds' where trials are cross-validations: a fold's own score
    says more of its examples than of its network. Raises as `best_networks`.
    """
    best = best_networks(study, 1)
    if not best[0].result.config.get("data", {}).get("folds"):
        return best_networks(study, top) if top else best[0].snapshots or best
    top = top or 1
    every = [left for trial in study.ranked if (left := _networks(study, trial))]
    if len(every) < top:
        raise ConfigError(
            f"top = {top}: study {study.name} has left the networks of {len(every)} complete trials, each with all its "
            f"folds; accepted: 1 to {len(every)}"
        )
    return [one for left in every[:top] for one in together(left)]


def _networks(study: Study, trial: Trial) -> list[Left]:
    """The networks that a trial left; [] where the folder is gone."""
    folder = Path(trial.folder)
    if not (folder / "result.json").is_file():
        return []
    results = [Result.from_kept(one) for one in results_of(study, trial)]
    return networks_in(folder, results, " · ".join(filter(None, [f"trial {trial.place}", trial.label])))
