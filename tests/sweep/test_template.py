"""Trials of a study that are copies of a template: what Hydra would have composed and written, and when Hydra does."""

import pytest
from omegaconf import OmegaConf

from src.sweep.composer import Composer
from src.sweep.template import Template
from tests.sweeping import members, spy, study

VALUES = (
    "hydra.sweeper.n_trials=2",
    "max_epochs=1",
    "optim.eta=tag(log,interval(1e-4,1e-3))",
    "name=choice('1e3','yes')",
    "model.hidden=choice([20],[20,10])",
)


def written(folder):
    """The files of Hydra in a trial's folder, as OmegaConf reads them, without what names the folder and the time."""
    config, hydra, overrides = (
        OmegaConf.load(folder / ".hydra" / f"{name}.yaml") for name in ("config", "hydra", "overrides")
    )
    assert hydra.hydra.runtime.output_dir == str(folder)
    hydra.hydra.runtime.output_dir = hydra.hydra.runtime.cwd = hydra.hydra.sweep.dir = ""
    return config, hydra, overrides


def test_a_trial_is_what_hydra_would_have_composed(tmp_path, monkeypatch):
    composed = list[object]()
    spy(monkeypatch, Composer, "run", lambda *_: composed.append(1))
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        assert study(monkeypatch, folder, *VALUES, "hydra.sweep.dir=trials") == 0
        if folder is one:
            assert not composed
            monkeypatch.setattr(Template, "serves", lambda *_: False)
    assert len(composed) == 2
    for number in range(2):
        ours, theirs = (folder / "trials" / str(number) for folder in (one, other))
        assert written(ours) == written(theirs)
        assert members(ours)[0]["config"] == members(theirs)[0]["config"]


@pytest.mark.parametrize(
    "changed",
    [
        "hydra.sweep.subdir=${hydra.job.num}-${optim.eta}",
        "batch_size=${max_epochs}",
        "+hydra.job.env_set.A=1",
        "hydra.job.chdir=true",
    ],
)
def test_hydra_makes_a_trial_of_which_more_follows_than_its_values(changed, tmp_path, monkeypatch):
    composed = list[object]()
    spy(monkeypatch, Composer, "run", lambda *_: composed.append(1))
    few = "hydra.sweeper.n_trials=1", "optim.eta=interval(0.1,0.2)", "max_epochs=choice(1)"
    assert study(monkeypatch, tmp_path, *few, changed) == 0
    assert len(composed) == 1
