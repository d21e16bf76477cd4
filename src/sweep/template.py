"""What the trials of a study have in common, composed once; a trial is a copy of it, as plain values, with its own set.

Hydra takes 70 ms of processor time to compose a job and to run it (five copies of the whole configuration, two YAML
files), which for networks that train in a tenth of a second is the larger part of a study. Here a trial takes 10 ms,
with the same configuration, the same folder and the same files in it.
"""

import copy
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.sweep.job import Job

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_ELSEWHERE = ("now:", "oc.env:")  # resolvers that read no key of the configuration
_NUMBERS = ("hydra.job.num", "hydra.job.id")


class Template:
    """The composition that trials share, whose plain values a trial replaces."""

    def __init__(self, config: DictConfig, make: Callable[[Any, Path, list[str]], Job]) -> None:
        """config: composed, with its section `hydra`; make: the job of plain values, a folder and overrides."""
        self._config, self._make = copy.deepcopy(config), make
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        self._written: Any = OmegaConf.to_container(own, enum_to_str=True)
        self._values: Any = OmegaConf.to_container(own, resolve=True)
        self._hydra: Any = OmegaConf.to_container(config.hydra, enum_to_str=True)
        self._tasks = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        self._serves: dict[frozenset[str], bool] = {}

    def serves(self, changing: Sequence[Override], callbacks: Sequence[Callback]) -> bool:
        """Whether a trial that sets these values is a copy with these values, for which nothing else is to be done.

        Not where other values follow from them, where the folder does, or where the user's callbacks are told of jobs.
        """
        values = [override.value() for override in changing]
        if any(isinstance(value, dict) or "$" in "".join(_texts(value)) for value in values):
            return False
        keys = frozenset(str(override.key_or_group) for override in changing)
        if keys not in self._serves:
            folder = self._hydra["sweep"]["dir"], self._hydra["sweep"]["subdir"]
            self._serves[keys] = not (
                _depends([self._written, *folder], keys)
                or self._hydra["job"]["env_set"]
                or self._hydra["job"]["chdir"]
                or any(map(_hears_of_jobs, callbacks))
            )
        return self._serves[keys]

    def folder(self, number: int, folder_of: Callable[[DictConfig, int], Path]) -> Path:
        """The folder of trial `number`; folder_of: finds it in a composed configuration."""
        return folder_of(self._config, number)

    def job(self, changing: Sequence[Override], number: int, folder: Path) -> Job:
        """Trial `number` with these values set; writes the files of Hydra's jobs to its folder."""
        written, values = (_with(one, changing) for one in (self._written, self._values))
        hydra = copy.deepcopy(self._hydra)
        hydra["overrides"]["task"] += [override.input_line for override in changing]
        name = override_dirname([*self._tasks, *changing], hydra["job"]["config"]["override_dirname"])
        hydra["job"] |= {"num": number, "id": str(number), "override_dirname": name}
        hydra["runtime"]["output_dir"] = str(folder.absolute())
        if hydra["output_subdir"] is not None:
            below = folder / hydra["output_subdir"]
            below.mkdir(parents=True, exist_ok=True)
            for file, content in (
                ("config", written),
                ("hydra", {"hydra": hydra}),
                ("overrides", hydra["overrides"]["task"]),
            ):
                (below / f"{file}.yaml").write_text(_yaml(content), encoding="utf-8")
        return self._make(values, folder, hydra["overrides"]["task"])


def override_dirname(overrides: Sequence[Override], words: Any) -> str:
    """What Hydra names hydra.job.override_dirname; words: its section hydra.job.config.override_dirname."""
    lines = [str(one.input_line) for one in overrides if one.key_or_group not in words["exclude_keys"]]
    return str(words["item_sep"]).join(sorted(lines)).replace("=", words["kv_sep"])


def _hears_of_jobs(callback: Any) -> bool:
    return any(getattr(type(callback), name) is not getattr(Callback, name) for name in ("on_job_start", "on_job_end"))


def _with(values: Any, changing: Sequence[Override]) -> Any:
    """A copy of nested dictionaries in which the overrides' values are set."""
    own = copy.deepcopy(values)
    for override in changing:
        *above, last = str(override.key_or_group).split(".")
        section = own
        for key in above:
            section = section[key]
        section[last] = override.value()
    return own


def _texts(value: Any) -> Iterator[str]:
    """All texts among nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _depends(values: Any, keys: Collection[str]) -> bool:
    """Whether a value is an interpolation that may change with `keys`, as far as its text shows; else it does not."""
    for text in (one for one in _texts(values) if "${" in one):
        names = _REFERENCE.findall(text)
        if len(names) != text.count("${"):  # one within another
            return True
        for name in names:
            if name.startswith(_ELSEWHERE) or name in _NUMBERS:
                continue
            if ":" in name or name.startswith("."):
                return True
            if any(f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.") for key in keys):
                return True
    return False


class _Dumper(yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper):  # type: ignore[misc]
    """Writes YAML as OmegaConf does, for which a text such as 1e3 is a number unless it stands in quotes."""


def _text(dumper: Any, text: str) -> Any:
    try:
        float(text)
    except ValueError:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'")


_Dumper.add_representer(str, _text)


def _yaml(content: Any) -> str:
    text: str = yaml.dump(content, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    return text
