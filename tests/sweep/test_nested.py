"""hydra.sweeper.nested: a study for each outer fold, tested on examples that no choice has seen."""

import json
from statistics import fmean

import pytest

from src.commands import report
from src.config.error import ConfigError
from src.report.outer_score import outer_score
from src.sweep import launch
from src.sweep.space.settings import parse
from src.sweep.studies.outer_studies import read_outer
from tests.sweeping import command, one_paragraph, spy

STORE = "sqlite:///mlruns/studies.db"
ROWS = 24
NESTED = [
    "-m",
    "data=table",
    "data.path=mine.csv",
    "data.target=t",
    "data.folds=2",
    "model.hidden=[4]",
    "max_epochs=1",
    "batch_size=2",
    "optim.eta=interval(0.01,0.1)",
    "hydra/sweeper=optuna",
    "hydra.sweeper.study_name=tiny",
    "hydra.sweeper.n_trials=2",
    "hydra.sweeper.nested=2",
    "trainer.engine=torch",
    "trainer.compile=false",
    "trainer.threads=1",
    "figures=false",
    "tracking=none",
]


@pytest.fixture
def folder(tmp_path):
    """A folder with a table whose rows all differ."""
    rows = "".join(f"{i},{(i * 7) % 5},{'no' if i % 2 else 'yes'}\n" for i in range(ROWS))
    (tmp_path / "mine.csv").write_text(f"a,b,t\n{rows}")
    return tmp_path


def test_each_outer_fold_has_a_study_and_an_interrupted_one_goes_on(folder, monkeypatch, capsys):
    from src.data import dealing

    tests, begun = {}, []

    def dealt(result, examples, kind, config):
        tests[config.outer_fold] = result[0][2].tolist()

    spy(monkeypatch, dealing, "deals", dealt)
    original = launch.launch_study

    def stopped(composer, sweep, limit):
        begun.append(sweep.settings.study_name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        original(composer, sweep, limit)

    with monkeypatch.context() as once:
        once.setattr(launch, "launch_study", stopped)
        assert command(once, folder, *NESTED) == 130
    assert begun == ["tiny-outer-1", "tiny-outer-2"]
    capsys.readouterr()
    assert command(monkeypatch, folder, *NESTED) == 0
    shown = capsys.readouterr().out
    assert "study tiny-outer-1 goes on: 2 of 2 trials are done" in shown
    assert "Outer test accuracy: mean" in shown

    assert sorted(tests[0] + tests[1]) == list(range(ROWS))  # disjoint, and all of them
    studies = read_outer("tiny", STORE)
    assert [(one.name, len(one.trials)) for one in studies] == [("tiny-outer-1", 2), ("tiny-outer-2", 2)]
    score = fmean(one.best.test_score for one in studies)
    assert outer_score(studies).mean == pytest.approx(score)
    [kept] = folder.glob("mlruns/hydra/*/*/nested.json")
    content = json.loads(kept.read_text())
    assert content["mean"] == pytest.approx(score)
    assert [row["outer_fold"] for row in content["outer_folds"]] == [0, 1]
    assert (kept.parent / "outer-2" / "0" / "result.json").exists()

    assert report.main(["study=tiny"]) == 0
    assert "tiny-outer-1, tiny-outer-2" in capsys.readouterr().out
    assert command(monkeypatch, folder, *NESTED, "hydra.sweeper.nested=3") == 2
    assert "data.outer_folds: 2 -> 3" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["data.outer_folds=2", "data.outer_fold=0,1", "data.time=a data.folds=null"])
def test_what_has_no_outer_folds_of_its_own_is_refused(folder, monkeypatch, capsys, wrong):
    assert command(monkeypatch, folder, *NESTED, *wrong.split()) == 2
    shown = capsys.readouterr().err
    assert "hydra.sweeper.nested = 2: " in shown
    assert one_paragraph(shown)
    assert not list(folder.glob("mlruns/*.db"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nested": 1}, "hydra.sweeper.nested = 1: must be .* accepted: at least 2"),
        ({"nested": 2, "objectives": ["validation_accuracy", "parameters"]}, "several objectives have no single best"),
    ],
)
def test_settings_without_a_single_best_or_two_folds_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        parse({"study_name": "tiny", "params": {"optim.eta": "0.1,0.2"}, **settings})
