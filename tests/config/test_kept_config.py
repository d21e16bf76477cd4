"""A configuration that an older version has kept: what its rules allowed, and today's do not."""

import pytest

from src.config.error import ConfigError
from src.config.kept_config import changed, different, recalled
from src.config.section import SEEDS
from src.training.stack import members_of
from tests import example

OLD = {"tracking": {"kind": "mlflow", "uri": "mlruns"}, "name": "a/b", "seed": SEEDS - 1, "repeats": 2}


def test_what_the_rules_of_its_day_allowed_stays_as_it_is():
    before = {**example.config().shown(), **OLD}
    now = changed(before, ["tracking.uri=sqlite:///runs.db"], "")
    assert different(before, now) == ["tracking.uri"]
    assert [member.seed for member in members_of([now])] == [SEEDS - 1, 0]
    assert different(before, changed(before, ["tracking.kind=none", "tracking.uri=sqlite:///x", "repeats=1"], "")) == [
        "tracking.kind",
        "tracking.uri",
        "repeats",
    ]
    assert recalled(before).shown()["tracking"]["uri"] == "mlruns"


@pytest.mark.parametrize("change", ["tracking.experiment=x", "name=c/d", "repeats=3"])
def test_what_a_command_changes_keeps_the_rules_of_today(change):
    good = {"tracking.uri": "sqlite:///x", "name": "c"}
    others = [f"{key}={value}" for key, value in good.items() if not change.startswith(key.split(".")[0])]
    with pytest.raises(ConfigError, match=r"tracking\.uri|name|seed"):
        changed({**example.config().shown(), **OLD}, [*others, change], "")
