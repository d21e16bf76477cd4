"""What must not change while a study lasts, and how a change is told to the user.

It stands in the study's user attribute `sweepstack`, with these keys:

    identity, space, objectives, constraints, first   what its trials share, and what must not change
    settings                                          the sweeper's settings at the latest start
    total                                             how many trials the budget is to end with, by these settings
    uid                                               names the study, unlike any other, for good
    score                                             the metric of its trials' task (absent: accuracy)
    created, version, command                         when it was made; of this attribute; what goes on with the study
"""

import json
from datetime import datetime
from typing import Any
from uuid import uuid4

from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from src.config.address import masked
from src.config.error import ConfigError
from src.config.schema import default_values
from src.sweep.space.grid_points import total
from src.sweep.space.settings import StudySettings
from src.sweep.space.space import Space

ATTR = "sweepstack"
VERSION = 1  # of the format of that attribute

_ABSENT = "(none)"


def agree(
    storage: RDBStorage, settings: StudySettings, space: Space, identity: dict[str, Any], command: str = ""
) -> tuple[int, str]:
    """Finds the study in the store, or makes it; returns Optuna's identifier of it and its uid.

    identity: what its trials share beside their space. command: what one types to go on with the study, kept with it.
    Raises ConfigError where it was made with other settings. To be called while the study's lock is held.
    """
    study_id = _found(storage, settings)
    before = storage.get_study_user_attrs(study_id).get(ATTR)
    shared = _shared(settings, space, identity)
    if before is None:  # new, or its process was killed before it could say so
        if storage.get_all_trials(study_id, deepcopy=False):
            raise ConfigError(
                f"hydra.sweeper.study_name = {settings.study_name!r}: the study of that name in "
                f"{masked(settings.storage)} was made by another program; choose another name"
            )
        created = datetime.now().astimezone().isoformat(timespec="seconds")
        before = shared | {"uid": uuid4().hex, "created": created, "version": VERSION}
    _refuse_changes(_with_later_keys({key: before.get(key) for key in shared}, shared), shared, settings)
    shown = settings.model_dump(mode="json") | {"storage": masked(settings.storage)}
    now = (
        before
        | {"settings": shown, "total": total(settings, space), "score": settings.score.as_json()}
        | ({"command": masked(command)} if command else {})
    )
    if now != storage.get_study_user_attrs(study_id).get(ATTR):
        storage.set_study_user_attr(study_id, ATTR, now)
    return study_id, before["uid"]


def _found(storage: RDBStorage, settings: StudySettings) -> int:
    try:
        study_id: int = storage.get_study_id_from_name(settings.study_name)
    except KeyError:
        directions = [StudyDirection[one.upper()] for one in settings.directions]
        study_id = storage.create_new_study(directions, settings.study_name)
    return study_id


def _shared(settings: StudySettings, space: Space, identity: dict[str, Any]) -> dict[str, Any]:
    """What all trials share, as JSON would hold it: were any of it changed, their values could not be compared."""
    names = ("objectives", "constraints", "first")
    shared = {"identity": identity, "space": space.as_json(), **{name: getattr(settings, name) for name in names}}
    content: dict[str, Any] = json.loads(json.dumps(shared))
    return content


def _with_later_keys(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """`before` as today's version would have written it: keys that came later stand at their defaults."""
    then, today = (whole["identity"].get("config", {}) if whole.get("identity") else {} for whole in (before, now))
    later = {key: value for key, value in json.loads(json.dumps(default_values())).items() if key in today}
    return before | {"identity": {**(before["identity"] or {}), "config": later | then}} if then else before


def _refuse_changes(before: dict[str, Any], now: dict[str, Any], settings: StudySettings) -> None:
    changes = differences(before, now)
    if changes:
        lines = "\n".join(f"  {change}" for change in changes)
        raise ConfigError(
            f"study {settings.study_name!r} in {masked(settings.storage)} was made with other settings, nothing was "
            f"started:\n{lines}\nNew trials could not be compared with its own. Take the former settings to go on with "
            "it, or another hydra.sweeper.study_name."
        )


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """A line `key: before -> now` for every value that differs, in nested dictionaries by its dotted key."""
    if before == now:
        return []
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [f"{key}: {_text(before)} -> {_text(now)}"]
    found = []
    for name in dict.fromkeys([*before, *now]):
        inner = name if key in ("", "space", "identity") else f"{key}.{name}"
        found += differences(before.get(name, _ABSENT), now.get(name, _ABSENT), inner)
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
