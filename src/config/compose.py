"""Help on the command line: what a command may say, and the configuration that it makes."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

CONF = Path(__file__).resolve().parents[2] / "conf"
SWEEPS = CONF.parent / "sweeps"
ADDED = {"exp": "an experiment", "sweeps": "a sweep"}  # groups that are no part of every configuration


def groups_of_options() -> dict[str, list[str]]:
    """The folders of conf, and sweeps, with the options in each."""
    folders = [*(path for path in CONF.iterdir() if path.is_dir()), SWEEPS]
    return {path.name: sorted(option.stem for option in path.glob("*.yaml")) for path in folders}


def composed(overrides: list[str]) -> Any:
    """The configuration that these overrides make, as nested dictionaries."""
    return OmegaConf.to_container(configuration(overrides), resolve=True)


def hydra_composed(overrides: list[str]) -> Any:
    """Hydra's own part of it: launcher, sweeper and so on."""
    return configuration(overrides, with_hydra=True).hydra


def configuration(overrides: list[str], with_hydra: bool = False) -> DictConfig:
    running = GlobalHydra.instance()
    before = running.hydra  # of the command that is under way
    running.clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", overrides, return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = before  # what initialize_config_dir leaves is another instance
