"""hydra/sweeper=basic: a grid, every combination of the swept values, in the order of Hydra's own sweeper.

It replaces Hydra's own sweeper under the same name (Hydra registers its own plugins first), because that name is
Hydra's default: a default named in conf/config.yaml instead would win over the sweeper that a file in sweeps/ asks for.
The launcher checks the combinations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

NUMBERED = "${hydra.job.num}"  # hydra.sweep.subdir where nobody says otherwise, in conf/config.yaml


@dataclass
class GridSweeperConfig:
    """The settings of Hydra's own basic sweeper: `max_batch_size` jobs at a time; `params`: swept keys -> values."""

    _target_: str = "hydra_plugins.sweepstack.grid_sweeper.GridSweeper"
    max_batch_size: int | None = None
    params: Any = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=GridSweeperConfig, provider="sweepstack")


class GridSweeper(BasicSweeper):
    """Hydra's sweeper without its own check, which composes every job: the stacked launcher checks them all at once."""

    def sweep(self, arguments: list[str]) -> Any:
        """Launches every combination, as Hydra's sweeper does; returns Hydra's JobReturns.

        Raises UserError where a key is swept over an interval, which has endless values, or where jobs share a folder.
        """
        from src.config.error import ConfigError

        overrides = OverridesParser.create().parse_overrides(list(arguments))
        params = OverridesParser.create().parse_overrides(self._parse_config())
        endless = [one.get_key_element() for one in (*params, *overrides) if one.is_interval_sweep()]
        if endless:
            keys = ", ".join(endless)
            raise ConfigError(
                f"{keys}: an interval has no end of values for a grid; accepted: a list such as 0.1,0.3,1, "
                "or an interval in a study, hydra/sweeper=optuna"
            )
        self._check_folders(params, overrides)
        return super().sweep(arguments)

    def _parse_config(self) -> list[str]:
        """The sweeps of hydra.sweeper.params as overrides, those of model.args as the composition takes them."""
        from src.config.compose import opened

        return [opened(one) for one in super()._parse_config()]

    def _check_folders(self, params: Sequence[Override], typed: Sequence[Override]) -> None:
        """Raises UserError where jobs of any batch share a folder, before Hydra writes anything.

        Where the multirun's folder is new and each job's folder is its number, no two can be the same.
        """
        from src.sweep.launch import refuse_folders

        assert self.config is not None
        assert self.hydra_context is not None
        sweep: Any = self.config.hydra.sweep
        raw: Any = OmegaConf.to_container(sweep)
        folder = Path(str(sweep.dir))  # read first: its time of day is then the jobs' as well
        if raw["subdir"] == NUMBERED and not folder.exists():
            return
        loader = self.hydra_context.config_loader
        jobs = [job for batch in self.split_arguments([*params, *typed], None) for job in batch]
        composed = [loader.load_sweep_config(self.config, list(job)) for job in jobs]
        refuse_folders(composed, 0, ["a grid"] * len(jobs))

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Does nothing: the launcher checks the jobs."""
