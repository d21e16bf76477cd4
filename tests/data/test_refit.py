"""data.refit: the validation examples are trained on, too, and choose nothing any more."""

import json
from functools import partial

import pytest
import torch

from src.commands.networks import of_run
from src.config.check import parse
from src.config.data import DataConfig
from src.config.error import ConfigError
from src.data.load import load
from tests import example
from tests.sweeping import SMALL, command, one_paragraph, study

LAST = {"keep": "last"}
STUDY = ["data.refit=true", "stop.keep=last", "optim.eta=0.1,0.2"]


def both(**data):
    return [load(DataConfig.model_validate({**data, "refit": refit})) for refit in (False, True)]


def test_the_images_of_a_file_are_trained_on_in_their_order_those_that_validate_last():
    before, after = both(name="digits", validation=300, normalise="channel")
    assert torch.equal(after.train.inputs, torch.cat([before.train.inputs, before.validation.inputs]))
    assert torch.equal(after.train.targets, torch.cat([before.train.targets, before.validation.targets]))
    for split in ("validation", "test"):
        assert torch.equal(getattr(after, split).inputs, getattr(before, split).inputs)
    assert before.scaling != after.scaling  # fitted on all that is trained on


@pytest.mark.parametrize("time", [None, "a"])
def test_rows_of_a_table_are_dealt_as_before_and_its_columns_fitted_on_both_splits(time, tmp_path):
    path, rows = tmp_path / "mine.csv", range(20)
    path.write_text("a,b,w,t\n" + "".join(f"{row},{row * row},{row + 1},{row % 2}\n" for row in rows), encoding="utf-8")
    keys = {"name": "table", "path": str(path), "target": "t", "columns": ["b"], "time": time, "weight": "w"}
    before, after = both(**keys, validation=0.2, test=0.2)
    assert torch.equal(after.test.targets, before.test.targets)
    assert len(after.train) == len(before.train) + len(before.validation)
    inputs = after.train.inputs.flatten()
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-6)
    assert bool((inputs.diff() > 0).all()) == (time is not None)  # else in random order
    assert float(after.train.weights.mean()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({}, "stop.keep=best chooses the epoch by them; accepted: stop.keep=last, or data.refit=false"),
        ({"stop": {**LAST, "rule": "patience_epochs"}}, "stop=patience_epochs ends a training by them"),
        ({"stop": LAST, "optim": {"schedule": "halve"}}, "optim.schedule=halve lowers eta by them"),
        ({"stop": LAST, "data": {"refit": True, "folds": 3}}, "data.folds=3 deals them"),
    ],
)
def test_what_the_validation_examples_would_choose_is_refused(sections, words):
    with pytest.raises(ConfigError, match=words):
        parse(example.raw(**{"data": {"refit": True}, **sections}))


def test_a_run_tells_no_best_repeat_and_a_sweep_is_refused(tmp_path, monkeypatch, capsys):
    refit = [*SMALL, "data.refit=true", "stop.keep=last", "tracking=none"]
    assert command(monkeypatch, tmp_path, *refit, "repeats=2") == 0
    said = capsys.readouterr().out
    assert "validation (trained on) %" in said
    assert "test accuracy: mean" in said
    assert "chapter's rule" not in said
    (folder,) = (tmp_path / "mlruns" / "hydra").glob("*/*")
    scores = [one["validation_accuracy"] for one in json.loads((folder / "result.json").read_text(encoding="utf-8"))]
    assert scores[1] > scores[0]  # which would be the best otherwise
    assert of_run(str(folder), None)[0].member == 0
    grid, sampled = partial(command, monkeypatch, tmp_path, "-m", *refit), partial(study, monkeypatch, tmp_path)
    for sweep, arguments in ((grid, ["optim.eta=0.1,0.2"]), (sampled, STUDY)):
        assert sweep(*arguments) == 2
        error = capsys.readouterr().err
        assert one_paragraph(error)
        assert "data.refit = True: a sweep ranks its trials by the validation examples" in error
