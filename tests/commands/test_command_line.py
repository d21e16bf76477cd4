"""What the command makes of its arguments: options in any order, and one clear answer to every slip."""

import sys

import pytest

from src.commands import help, problems, train
from src.config.error import UserError
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
            problems.in_order(typed.split())
    else:
        assert problems.in_order(typed.split()) == ordered.split()


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
        (["--epochs=3"], ["without dashes, and epochs: no such key; did you mean max_epochs?"]),
        (["--n_trials=3"], ["did you mean hydra.sweeper.n_trials?"]),
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
    assert not problems.sweeps_nothing(arguments)


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
        (["name=Größe (1)", "optim.eta: -1"], ["write 'name=\"Größe (1)\"'", "write optim.eta=-1"]),
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
        (["+sweeps=quick", "hydra.sweeper.direction=maximize"], ["direction: no such key; it follows from hydra.sw"]),
        (["+sweeps=quick", "hydra.sweeper.n_jobs=2"], ["n_jobs: no such key", "hydra.launcher.max_members=N"]),
        (["+sweeps=quick", "hydra.sweeper.param={seed: 1}"], ["param: no such key; the search space is hydra.sw"]),
        (["+sweeps=quick", "+hydra.sweeper.n_jobs=2", "lr=1"], ["hydra.launcher.max_members=N", "lr: no such key"]),
        (["+sweeps=quick", "n_trials=5"], ["n_trials: no such key; did you mean hydra.sweeper.n_trials?"]),
        (["+sweeps=quick", "max_members=5"], ["did you mean hydra.launcher.max_members?"]),
        (["pruner_options.min_resource=5"], ["did you mean hydra.sweeper.pruner_options.min_resource?"]),
        (["+data=mnist", "+optim.eta=3"], ["write data=mnist, without +"]),
        (["+optim.eta=3"], ["1 problem", "write optim.eta=3, without +"]),
        (["+sweeps=quick", "~hydra.sweeper.first"], ["~hydra.sweeper.first: a key that cannot be left out; write"]),
    ],
)
def test_what_hydra_refuses_is_explained(arguments, words, tmp_path, monkeypatch, capsys):
    error = refusal(monkeypatch, capsys, tmp_path, *arguments)
    for word in words:
        assert word in error
    assert "append to your config" not in error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name: [x", "sweeps/mine.yaml, line 1, column 9: while parsing a flow sequence, expected ',' or ']'"),
        (
            "name: x\nname: y",
            "sweeps/mine.yaml, line 2, column 1: while constructing a mapping, found duplicate key name",
        ),
        ("name: x", "sweeps: the first line of its file must be # @package _global_"),
        ("", "sweeps: the first line of its file must be # @package _global_"),
        ("defaults: [override /data: digits]", "sweeps/mine.yaml: its first line must be # @package _global_"),
        (
            "# @package _global_\ndefaults: [override /hydra/sweeper: optuna]\nhydra: {sweeper: {puner: asha}}",
            "sweeps/mine.yaml: hydra.sweeper.puner: no such key; did you mean hydra.sweeper.pruner",
        ),
        (
            "# @package _global_\nhydra: {launcher: {max_member: 3}}",
            "sweeps/mine.yaml: hydra.launcher.max_member: no such key; did you mean hydra.launcher.max_members?",
        ),
        (
            "# @package _global_\nhydra: {sweeper: {n_trials: 3}}",
            "sweeps/mine.yaml: hydra.sweeper.n_trials: a study has this key; write - override /hydra/sweeper: optuna",
        ),
    ],
)
def test_a_mistake_in_a_file_is_found_there(content, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(content)
    error = refusal(monkeypatch, capsys, tmp_path, "--config-dir", str(tmp_path), "+sweeps=mine")
    assert words in error
    assert len(error.splitlines()) == 2


def test_a_message_of_hydras_own_stays_where_nothing_better_is_known(tmp_path, monkeypatch, capsys):
    assert "Could not override 'hydra.run.dri'" in refusal(monkeypatch, capsys, tmp_path, "hydra.run.dri=x")


def test_help_says_where_the_keys_of_a_study_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "+sweeps=quick", "--help"])
    train.run_command_line()
    assert "hydra.sweeper.KEY=VALUE such as n_trials, sampler or pruner: docs/sweeps.md" in capsys.readouterr().out
    assert "docs/sweeps.md" in help.HELP


def test_a_file_in_another_encoding_is_named(monkeypatch, tmp_path):
    for name, encoding in (("bom", "utf-8-sig"), ("latin", "latin-1"), ("sound", "utf-8")):
        (tmp_path / "conf" / "exp").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / "exp" / f"{name}.yaml").write_text("# Größe", encoding=encoding)
    monkeypatch.setattr(problems, "CONF", tmp_path / "conf")
    monkeypatch.setattr(problems, "SWEEPS", tmp_path / "sweeps")
    said = problems._in_a_file(UnicodeDecodeError("utf-8", b"", 0, 1, "invalid start byte"))
    assert said == (
        "conf/exp/bom.yaml: begins with a byte order mark (BOM); save it as UTF-8 without one; "
        "conf/exp/latin.yaml: is not UTF-8 (invalid start byte at byte 4); save it as UTF-8"
    )
