"""The files of sweeps/: each composes, passes every check, and can run at each end of its search space."""

import re
from functools import cache

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from src.config.check import parse as parse_run
from src.config.compose import CONF, composed
from src.sweep.space.options import PRUNERS, SAMPLERS
from src.sweep.space.settings import StudySettings, parse

FILES = sorted((CONF.parent / "sweeps").glob("*.yaml"))
NAMES = [path.stem for path in FILES]


def of_hydra(name):
    """What Hydra itself makes of a sweep: its mode, and its sweeper."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = compose("config", [f"+sweeps={name}"], return_hydra_config=True).hydra
    return hydra.mode.name, OmegaConf.to_container(hydra.sweeper, resolve=True)


@cache
def study(name):
    """A sweep's study, checked."""
    return parse(of_hydra(name)[1], [f"+sweeps={name}"])


def test_the_sweeps_of_the_issue_are_here():
    chapter = {"activation", "dropout", "eta", "full", "lambda_", "quick", "width"}
    assert set(NAMES) == chapter | {"cd", "corruption"} | {"fast", "modern", "simard"}


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_is_a_study_of_its_own_name(name):
    assert of_hydra(name)[0] == "MULTIRUN"
    assert study(name).settings.study_name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_can_run_at_every_end_of_its_space(name):
    space = study(name).space
    for sample in space.ends():
        parse_run(composed([f"+sweeps={name}", *space.overrides(sample)]))


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_starts_with_the_published_setting(name):
    sweep = study(name)
    first = sweep.space.params(sweep.space.first(sweep.settings.first)[0])
    assert set(first) >= set(sweep.space.keys)
    parse_run(composed([f"+sweeps={name}", *sweep.space.overrides(first)]))


@pytest.mark.parametrize("name", NAMES)
def test_a_grid_is_tried_to_its_end(name):
    sweep = study(name)
    assert sweep.settings.sampler != "grid" or sweep.settings.n_trials == sweep.space.size()


def test_the_quick_sweep_needs_no_network():
    assert composed(["+sweeps=quick"])["data"]["name"] == "digits"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_sweep_says_what_it_asks_and_what_was_found(path):
    header = path.read_text().split("defaults:")[0]
    assert header.startswith("# @package _global_\n# Question: ")
    for words in ("# Source: ", f"# Command: python -m src.train +sweeps={path.stem}\n", "# Found: "):
        assert words in header
    assert re.search(r"# Question: .*\?", header)


PAGE = (CONF.parent / "docs" / "sweeps.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_an_example_of_the_documentation_is_sound(block):
    sweeper = OmegaConf.to_container(OmegaConf.create(block))["hydra"]["sweeper"]
    params = {"model.activation": "sigmoid,relu", "optim.eta": "interval(0, 1)"} if "params" not in sweeper else {}
    assert parse({"study_name": "example", "params": params, **sweeper}).space.keys


def test_the_documentation_names_every_key_and_every_option():
    words = set(re.findall(r"`(\w+)`", PAGE))
    options = {name for schema in [*SAMPLERS.values(), *PRUNERS.values()] for name in schema.model_fields}
    assert words >= {*StudySettings.model_fields, *SAMPLERS, *PRUNERS, *options}


def test_the_documentation_gives_the_defaults():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE.split("## Keys")[1].split("### ")[0], flags=re.MULTILINE)
    given = {name: default for name, default in rows if name in StudySettings.model_fields}
    for name, field in StudySettings.model_fields.items():
        default = "null" if field.default is None else str(field.default).replace("'", "")
        assert field.is_required() or given[name].replace("`", "") == default
