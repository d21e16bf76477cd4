"""What the command makes of its arguments: options in any order, and one clear answer to every slip."""

import sys

import pytest

from src import command_line, command_problems, train
from src.error import UserError
from tests.sweeping import SMALL, command, folders, one_paragraph


def refusal(monkeypatch, capsys, folder, *arguments):
    """What the command says, of which nothing came."""
    assert command(monkeypatch, folder, *arguments) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "usage:" not in error
    assert "hydra.cc" not in error
    assert not list(folder.rglob("result.json"))
    return error


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        ("-m a=1 b=2", "-m a=1 b=2"),
        ("a=1 b=2 -m", "a=1 b=2 -m"),
        ("+exp=x -m a=1,2 --cfg job b=3", None),
        ("+exp=x -m a=1,2", "-m +exp=x a=1,2"),
        ("a=1 --cfg job b=2", "--cfg job a=1 b=2"),
        ("a=1 --config-dir a=1 b=2", "--config-dir a=1 a=1 b=2"),
        ("a=1 --cfg hydra b=2 --resolve c=3", "--cfg hydra --resolve a=1 b=2 c=3"),
        ("a=1 --info", "a=1 --info"),
        ("", ""),
    ],
)
def test_options_may_stand_anywhere(typed, ordered):
    if ordered is None:
        with pytest.raises(UserError, match="--multirun and --cfg: only one of them at a time"):
            command_problems.in_order(typed.split())
    else:
        assert command_problems.in_order(typed.split()) == ordered.split()


def test_a_grid_may_be_asked_for_between_its_keys(tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, tmp_path, *SMALL, "-m", "tracking=none", "optim.eta=0.1,0.2", "plan=true") == 0
    assert "2 trials" in capsys.readouterr().out
    assert sys.argv[:2] == ["train", "-m"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--exp=shallow"], ["--exp=shallow: keys are written without dashes: +exp=shallow"]),
        (["--exp", "shallow"], ["--exp: keys are written without dashes: +exp=shallow"]),
        (["--exp", "--seed", "3"], ["dashes: +exp=VALUE", "--seed: keys are written without dashes: seed=3"]),
        (["+exp=conv", "--model.layers=[{fc: 9}]"], ["without dashes: 'model.layers=[{fc: 9}]'"]),
        (["--hydra.sweeper.n_trials=3"], ["without dashes: hydra.sweeper.n_trials=3"]),
        (["--hlep"], ["--hlep: no such option; did you mean --help?"]),
        (["--config-nam=x"], ["did you mean --config-name?"]),
        (["-x"], ["-x: no such option; python -m src.train --help lists what there is"]),
        (["--cfg", "jbo"], ["invalid choice: 'jbo' (choose from 'job', 'hydra', 'all')"]),
        (["--resolve"], ["--resolve: says how --cfg job prints; write both"]),
        (["--experimental-rerun", "nowhere.pickle"], ["--experimental-rerun nowhere.pickle: no such file"]),
        (["-m", "--cfg", "job"], ["--multirun and --cfg: only one of them at a time"]),
    ],
)
def test_what_is_no_option_is_refused(arguments, words, tmp_path, monkeypatch, capsys):
    error = refusal(monkeypatch, capsys, tmp_path, *arguments)
    for word in words:
        assert word in error


@pytest.mark.parametrize("arguments", [["-m"], ["-m", "+exp=shallow"], ["seed=3", "-m", "hydra/sweeper=basic"]])
def test_a_grid_of_nothing_is_refused(arguments, tmp_path, monkeypatch, capsys):
    said = refusal(monkeypatch, capsys, tmp_path, *arguments)
    assert said == "-m, but nothing is swept: write KEY=VALUE,VALUE, or leave -m out\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["+exp=shallow"],
        ["-m", "+exp=shallow,conv"],
        ["-m", "seed=range(2)"],
        ["-m", "+hydra.sweeper.params={seed: '1,2'}"],
        ["-m", "+sweeps=quick"],
        ["-m", "hydra/sweeper=optuna"],
        ["-m", "optim.etta=1"],
        ["-m", "--config-dir", "elsewhere"],
    ],
)
def test_what_sweeps_or_is_answered_otherwise_is_no_grid_of_nothing(arguments):
    assert not command_problems.sweeps_nothing(arguments)


def test_the_sweepers_own_params_make_a_grid(tmp_path, monkeypatch):
    swept = "+hydra.sweeper.params={optim.eta: '0.1,0.2'}"
    assert command(monkeypatch, tmp_path, "-m", *SMALL, "tracking=none", swept) == 0
    assert len(folders(tmp_path)) == 2


GRID = ": several values are a grid: python -m src.train -m …"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["optim.eta=0.1,0.2"], ["optim.eta=0.1,0.2" + GRID]),
        (["+exp=shallow,conv", "optim.etta=1"], ["+exp=shallow,conv" + GRID, "optim.etta: no such key"]),
        (["optim.eta=interval(0.1,1)"], ["optim.eta=interval(0.1,1): an interval is for a study"]),
        (["+exp=shallow", "+exp=conv"], ["1 problem", "exp is given twice: shallow, conv; leave one out"]),
        (
            ["model.foo=interval[0,1]", "optim.eta=-1", "optim.etta=1"],
            ["3 problems", "model.foo=interval[0,1]: cannot be read; accepted: KEY=VALUE such as", "optim.eta = -1"],
        ),
        (["shallow"], ["shallow: cannot be read"]),
        (["-m", "exp=choice(conv,shalow)"], ["exp = 'choice(conv,shalow)': no such option"]),
        (["-m", "+exp=choice(conv,conv2)", "optim.etta=1"], ["1 problem", "optim.etta"]),
        (["-m", "seed=1,2", "hydra.launcher.members=2"], ["did you mean hydra.launcher.max_members?"]),
        (["hydra.sweeper.seed=3", "optim.etta=1"], ["hydra.sweeper.seed: a study has this key; write hydra/sweeper"]),
        (["+sweeps=quick", "hydra.sweeper.seedling=3"], ["seedling: no such key; did you mean hydra.sweeper.seed"]),
        (
            ["+sweeps=quick", "hydra.sweeper.sampler_options.n_startup=3"],
            [
                "n_startup: write 'hydra.sweeper.sampler_options={n_startup_trials: 3}'",
                "+hydra.sweeper.sampler_options.n_startup_trials=3 beside",
            ],
        ),
        (
            ["+sweeps=quick", "hydra.sweeper.pruner_options.zzz=3"],
            ["write 'hydra.sweeper.pruner_options={zzz: 3}'"],
        ),
        (
            ["+sweeps=quick", "hydra.sweeper.pruner_options.min_resource=2", "seed=1,2", "optim.etta=1"],
            ["1 problem", "optim.etta"],
        ),
        (["+sweeps=quick", "hydra.sweeper.params.model.activation=choice(tanh)", "optim.etta=1"], ["1 problem"]),
        (["-m", "seed=1,2", "hydra.sweeper.max_batch_size=2", "optim.etta=1"], ["1 problem", "optim.etta"]),
    ],
)
def test_what_hydra_refuses_is_explained(arguments, words, tmp_path, monkeypatch, capsys):
    error = refusal(monkeypatch, capsys, tmp_path, *arguments)
    for word in words:
        assert word in error
    assert "append to your config" not in error


def test_a_message_of_hydras_own_stays_where_nothing_better_is_known(tmp_path, monkeypatch, capsys):
    assert "Could not override 'hydra.run.dri'" in refusal(monkeypatch, capsys, tmp_path, "hydra.run.dri=x")


def test_help_says_where_the_keys_of_a_study_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "+sweeps=quick", "--help"])
    train.main()
    assert "hydra.sweeper.KEY=VALUE such as n_trials, sampler or pruner: docs/sweeps.md" in capsys.readouterr().out
    assert "docs/sweeps.md" in command_line.HELP
