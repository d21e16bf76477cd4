"""Makes the folder sweeps/ a config group, so that `+sweeps=NAME` is found from wherever the command is started."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

ROOT = Path(__file__).resolve().parents[2]


class SweepsSearchPath(SearchPathPlugin):
    """Adds the project's folder, which holds sweeps/, to the places where Hydra looks for config groups."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra: appends the project's folder to `search_path`."""
        search_path.append("sweepstack", f"file://{ROOT}")
