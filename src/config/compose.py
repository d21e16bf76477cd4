"""Composing a configuration from conf/ without Hydra's command line: the options of groups, and what overrides make."""

import re
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

CONF = Path(__file__).resolve().parents[2] / "conf"
SWEEPS = CONF.parent / "sweeps"
UNLOGGED = ("hydra.job_logging.root=null", "hydra.hydra_logging.root=null")  # leaves the process's logging as it is
ADDED = {"exp": "an experiment", "sweeps": "a sweep"}  # groups that a command may add, as +exp=NAME


def groups_of_options() -> dict[str, list[str]]:
    """The names of the options in each group: in each folder of conf, and in sweeps."""
    folders = [*(path for path in CONF.iterdir() if path.is_dir()), SWEEPS]
    return {path.name: sorted(option.stem for option in path.glob("*.yaml")) for path in folders}


def opened(override: str) -> str:
    """An override of an entry of model.args as Hydra takes it, with ++: conf/ cannot list what a user's class takes."""
    return f"++{override}" if re.match(r"model\.args(\.[^=]+)?=", override) else override


def composed(overrides: list[str]) -> Any:
    """The configuration that conf/ and these overrides make, as nested dictionaries; not checked."""
    return OmegaConf.to_container(configuration(overrides), resolve=True)


def hydra_composed(overrides: list[str]) -> Any:
    """Hydra's own part of the composed configuration: launcher, sweeper and so on."""
    return configuration(overrides, with_hydra=True).hydra


def configuration(overrides: list[str], with_hydra: bool = False) -> DictConfig:
    running = GlobalHydra.instance()
    before = running.hydra  # the instance of the command that is under way
    running.clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", [opened(one) for one in overrides], return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = before  # initialize_config_dir leaves another GlobalHydra behind
