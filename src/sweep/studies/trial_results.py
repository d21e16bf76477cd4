"""Reads what a study's trial left in its folder, and checks that it is that trial's: folders may be used again."""

from pathlib import Path
from typing import Any

from src.config.error import UserError
from src.config.folder import owner
from src.config.kept_config import dotted
from src.runs.result_files import results_in
from src.sweep.studies.study_record import Study, Trial


def results_of(study: Study, trial: Trial) -> list[dict[str, Any]]:
    """The content of the trial's result.json, one dictionary a member.

    Raises UserError where it cannot be read, or where the file contradicts what the study says about the trial.
    """
    members = results_in(Path(trial.folder))
    if differs := _difference(study, trial, members):
        raise UserError(
            f"trial {trial.place} of study {study.name}: {trial.folder} does not hold what this trial left "
            f"({differs}); other results have taken its place, and the trial's own are gone"
        )
    return members


def _difference(study: Study, trial: Trial, members: list[dict[str, Any]]) -> str:
    """How the file contradicts the study, in words; empty where they agree."""
    theirs, uid = owner(Path(trial.folder)), study.attributes.get("uid")
    if theirs and uid and theirs.startswith("trial ") and theirs != trial_owner(study.name, str(uid), trial.place):
        return f"it is {theirs}'s"
    config = dotted(members[0]["config"]) if members else {}
    # A function of the user's may set a key to something else than what it sampled under the key's name.
    sampled = {} if study.settings.get("custom_search_space") else trial.params
    for key, value in sampled.items():
        found = config.get(key, value)
        if found != value and any(isinstance(found, kind) and isinstance(value, kind) for kind in (int | float, str)):
            return f"{key} is {found} there, {value} in the study"
    seeds = [[one.seed for one in trial.members], [one["seed"] for one in members]]
    if trial.members and seeds[0] != seeds[1]:
        return f"its seeds are {seeds[1]}, the study's {seeds[0]}"
    for one, other in zip(trial.members, members, strict=False):
        score, value = study.score, one.validation_score
        found = score.counted(other.get(score.field("validation"), value))
        if value is not None and value != found:
            return f"its {score.words('validation')} is {found:.4f}, the study's {value:.4f}"
    return ""


def trial_owner(study: str, uid: str, place: int) -> str:
    """The owner's name with which the folder of a study's trial is marked (src/config/folder.py)."""
    return f"trial {place} of study {study} ({uid})"
