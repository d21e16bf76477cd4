"""Records one trial in MLflow: one run a member, and above them one run for the trial where it has several members.

The tracker turns what happens in a trial into notes: names, tags and params when it starts, metrics after every epoch,
results and artifacts at its end. The notes pass the queue in src/tracking/journal.py, which keeps them while the store
does not answer; what is left at the end of a run is in a file that this module's command logs later:

    python -m src.tracking FILE [URI of the store]

MLflow is imported when a run is tracked, not before: it takes a second or two.
"""

import functools
import getpass
import json
import math
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from src.config.address import absolute
from src.config.kept_config import dotted
from src.config.metric import Metric
from src.config.schema import RunConfig
from src.config.task import task_in
from src.tracking.journal import PENDING, Journal, milliseconds
from src.tracking.log_error import DATA_TAG, best_key, validation_data, with_log_error
from src.tracking.view import members_view
from src.tracking.writer import UID_TAG
from src.training.result import Result, Row, Status

GIT_SECONDS = 5.0
VALUE_LENGTH = 6000  # MLflow 3.17: MAX_PARAM_VAL_LENGTH
FIGURES = (".png", ".svg", ".pdf", ".html")
LOG_KEYS = ("optim.eta", "optim.lambda_")
ROOT = Path(__file__).resolve().parents[2]


class Tracker(Protocol):
    """Records the epochs and results of one trial. No method raises because the store does not answer."""

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Records one epoch: one row a member, None for a member that has stopped.

        validation/error is added. NaN and infinite values are left out; a tag says from which epoch on.
        """

    def finish(self, results: Sequence[Result], summary: Row | None = None, artifacts: Iterable[Path] = ()) -> None:
        """Records what the trial left: one result a member, its summary and its figures, and ends every run.

        Weights are taken from `folder/member-00/weights.pt`, `folder/member-01/weights.pt` and so on.
        """

    def abort(self, status: Status, reason: str) -> None:
        """Ends every run as KILLED or FAILED when there will be no results; `reason` becomes a tag."""


class NullTracker:
    """Records nothing (tracking=none)."""

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Does nothing."""

    def finish(self, results: Sequence[Result], summary: Row | None = None, artifacts: Iterable[Path] = ()) -> None:
        """Does nothing."""

    def abort(self, status: Status, reason: str) -> None:
        """Does nothing."""


def open_tracker(
    config: RunConfig,
    folder: Path,
    *,
    dataset: str,
    device: str,
    seeds: list[int],
    members: Sequence[tuple[str, RunConfig]] = (),
    label: str = "",
    tags: dict[str, str] | None = None,
    run: str | None = None,
    parent: str | None = None,
    resumed: str = "",
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> Tracker:
    """The tracker of one trial, with its runs in MLflow created (or queued, where the store does not answer).

    folder: where the trial's files lie. dataset, device: what is really used. seeds: one a member. members: name and
    configuration of each, where they differ in more than their seeds. label: what tells the trial from others, such as
    "eta=0.03". tags: more tags for every run, such as sweep=NAME. run: the uid of the trial's run, unlike any other's.
    parent: that of the run below which it stands.
    resumed: such as "after epoch 12", where the trial goes on and its runs may be in the store; what these have already
    is not written again. say: takes one line for the user. clock: seconds.
    """
    if config.tracking.kind == "none":
        return NullTracker()
    journal = Journal(absolute(config.tracking.uri), config.tracking.experiment, folder, say=say, clock=clock)
    labels = _Labels(config, dataset, device, label, tags or {})
    return MlflowTracker(config, journal, labels, seeds, members, run or uuid.uuid4().hex, parent, resumed)


class MlflowTracker:
    """The Tracker that records in MLflow: it turns what happens into notes, which its journal writes."""

    def __init__(
        self,
        config: RunConfig,
        journal: Journal,
        labels: "_Labels",
        seeds: list[int],
        members: Sequence[tuple[str, RunConfig]],
        run: str,
        parent: str | None,
        resumed: str,
    ):
        self._journal, self._resumed = journal, resumed
        self._score = config.task.metric
        self._not_finite = [False] * len(seeds)
        self._trial = run
        self._members = [run] if len(seeds) == 1 else [f"{run}-{index}" for index in range(len(seeds))]
        named = members or [(labels.seed_name(index, seed), config) for index, seed in enumerate(seeds)]
        params = [labels.params(own, seed) for (_, own), seed in zip(named, seeds, strict=True)]
        if len(seeds) > 1:
            shared = {key: text for key, text in params[0].items() if all(one.get(key) == text for one in params)}
            self._start(self._trial, parent, labels.trial(), shared if members else params[0])
        for uid, (name, _), own in zip(self._members, named, params, strict=True):
            self._start(uid, parent if uid == self._trial else self._trial, labels.member(name), own)
        if not members:
            journal.add({"do": "text", "run": self._trial, "name": "config.yaml", "text": config_text(config)})
        journal.add({"do": "view", "run": self._trial, **asdict(members_view(labels.dataset, config.task.metric))})
        journal.flush()

    def _start(
        self, uid: str, parent: str | None, labelled: tuple[str, dict[str, str]], params: dict[str, str]
    ) -> None:
        name, tags = labelled
        note = {"do": "run", "run": uid, "parent": parent, "name": name, "tags": {**tags, UID_TAG: uid}}
        # A run that goes on is looked for before it is created.
        self._journal.add({**note, "time": milliseconds(), **({"tried": True} if self._resumed else {})})
        if self._resumed:
            ended = {"reason": ""} if uid == self._trial else {}  # why it had ended
            commit = {"resumed.git.commit": git_commit()["git.commit"]}
            self._journal.add({"do": "open", "run": uid})
            self._journal.batch(uid, tags={"status": "RUNNING", "resumed": self._resumed, **commit, **ended})
        self._journal.batch(uid, params=params)

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Records one epoch: a row a member, None for a member that has stopped."""
        for index, (uid, row) in enumerate(zip(self._members, rows, strict=True)):
            if row is None:
                continue
            values, lost = curve_values(row, self._score)
            tags = {}
            if lost and not self._not_finite[index]:
                self._not_finite[index] = True
                tags["not_finite"] = f"{', '.join(lost)} from epoch {int(row['epoch'])}"
            self._journal.batch(uid, metrics=values, step=int(row["epoch"]), tags=tags)
        self._journal.flush()

    def finish(self, results: Sequence[Result], summary: Row | None = None, artifacts: Iterable[Path] = ()) -> None:
        """Records one result a member, the trial's summary and artifacts, the weights, and the end of every run."""
        statuses = {uid: result.status for uid, result in zip(self._members, results, strict=True)}
        for uid, result in zip(self._members, results, strict=True):
            # Step 0: MLflow draws a metric whose step is above 0 as a curve, these as bars.
            self._journal.batch(uid, metrics=last_values(result), tags=member_tags(result))
        self._journal.batch(self._trial, metrics=finite_values(summary or {}))
        self._end({**statuses, self._trial: trial_status(list(statuses.values()))}, artifacts)

    def abort(self, status: Status, reason: str) -> None:
        """Ends every run as KILLED or FAILED, without results; `reason` becomes a tag."""
        self._journal.batch(self._trial, tags={"reason": reason[:1000]})
        self._end(dict.fromkeys([*self._members, self._trial], status), ())

    def _end(self, statuses: dict[str, Status], artifacts: Iterable[Path]) -> None:
        for uid, status in statuses.items():
            self._journal.batch(uid, tags={"status": status})
        for index, uid in enumerate(self._members):
            self._journal.file(uid, self._journal.folder / f"member-{index:02d}" / "weights.pt", "")
        for path in artifacts:
            self._journal.file(self._trial, path, "figures" if path.suffix in FIGURES else "")
        for uid, status in statuses.items():
            self._journal.add({"do": "end", "run": uid, "status": status, "time": milliseconds()})
        if self._resumed:  # everything was said again, so what an earlier process kept is out of date
            (self._journal.folder / PENDING).unlink(missing_ok=True)
        self._journal.close()


def trial_status(statuses: list[Status]) -> Status:
    """A trial's status from its members': KILLED if any was killed, else FINISHED if any finished, else FAILED."""
    if "KILLED" in statuses:
        return "KILLED"
    return "FINISHED" if "FINISHED" in statuses else "FAILED"


class _Labels:
    """The names, tags and params of a trial's runs."""

    def __init__(self, config: RunConfig, dataset: str, device: str, label: str, more: dict[str, str]):
        self._config = config
        self.dataset = dataset
        self._label = [short_label(label)] if label else []
        self._last = [dataset] if dataset != "mnist" else []
        self._tags = {"exp": config.name, "dataset": dataset, DATA_TAG: validation_data(dataset)}
        self._tags |= {"device": device, **provenance(), **more}

    def trial(self) -> tuple[str, dict[str, str]]:
        """Run name and tags of the run above the members."""
        count, ensemble = self._config.replicates_in_words, self._config.ensemble
        if ensemble > 1:
            repeats = self._config.replicates
            count = f"ensemble of {ensemble}" if repeats == 1 else f"{repeats} ensembles of {ensemble}"
        return self._name(count), {**self._tags, "kind": "ensemble" if ensemble > 1 else "repeats"}

    def member(self, shown: str) -> tuple[str, dict[str, str]]:
        """Run name and tags of a member."""
        return self._name(shown), {**self._tags, "kind": "member"}

    def _name(self, shown: str) -> str:
        """A run's name, short and what differs early: the UI's column shows some twenty letters."""
        return " · ".join([self._config.name, shown, *self._label, *self._last])

    def seed_name(self, index: int, seed: int) -> str:
        """The part of a member's name that tells it from the trial's other members, such as "seed 7"."""
        ensemble = self._config.ensemble
        if folds := self._config.data.folds:
            return f"fold {index // ensemble % folds + 1} · seed {seed}"
        if ensemble > 1 and self._config.repeats > 1:
            return f"repeat {index // ensemble} · seed {seed}"
        return f"seed {seed}"

    def params(self, config: RunConfig, seed: int) -> dict[str, str]:
        """A member's params in MLflow: its flattened configuration, and log10.KEY for axes in log scale."""
        content = {**config.shown(), "seed": seed}
        return {**flatten(content), **logarithms(dotted(content), LOG_KEYS), "dataset": self.dataset}


def short_label(label: str) -> str:
    """Settings as a run's name shows them: "optim.eta=0.2939 model.activation=tanh" is "eta=0.294 tanh"."""
    return " ".join(map(_short, label.split()))


def _short(setting: str) -> str:
    key, is_setting, value = setting.partition("=")
    if not is_setting:
        return setting
    if value.lower() not in ("true", "false", "none", "null") and (value.isidentifier() or value.startswith("[")):
        return value
    if re.fullmatch(r"\d*\.\d+(e[+-]?\d+)?", value):
        value = f"{float(value):.3g}"
    return f"{key.split('.')[-1]}={value}"


def flatten(content: dict[str, Any]) -> dict[str, str]:
    """Nested sections as `section.key` -> text; lists as JSON, None as null, longer texts cut to MLflow's limit."""
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in dotted(content).items()}
    return {key: text[:VALUE_LENGTH] for key, text in texts.items()}


def logarithms(values: dict[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """log10.KEY -> the logarithm, for each of `keys` whose value is a positive number.

    MLflow's parallel coordinates have linear axes only.
    """
    numbers = {key: values.get(key) for key in keys}
    return {
        f"log10.{key}": f"{math.log10(value):.4f}"
        for key, value in numbers.items()
        if isinstance(value, int | float) and value > 0
    }


def config_text(config: RunConfig) -> str:
    """The configuration as YAML with which the run can be repeated."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(config.shown())


def curve_values(row: Row, score: Metric) -> tuple[Row, list[str]]:
    """The values of an epoch that are recorded, and the names of those left out as they are not finite.

    validation/error is added where the score has an error.
    """
    values = {key: value for key, value in row.items() if key != "epoch"}
    if score.has_error and score.key("validation") in values:  # the view draws its curves on a logarithmic axis
        values["validation/error"] = score.error(values[score.key("validation")])
    return finite_values(values), [key for key, value in values.items() if not math.isfinite(value)]


def last_values(result: Result) -> Row:
    """The metrics that are recorded when a member ends: best epoch, scores, errors, its snapshots' scores, seconds."""
    values = {
        "best/epoch": result.best_epoch,
        **score_values(result.score, result.validation_score, result.test_score),
        f"snapshots/{result.score.field('validation')}": result.snapshots_validation_score,
        f"snapshots/{result.score.field('test')}": result.snapshots_test_score,
        "seconds": result.seconds,
        **_reported(result),
    }
    known = {key: float(value) for key, value in values.items() if value is not None}
    return with_log_error(finite_values(known), result.score)


def _reported(result: Result) -> dict[str, float]:
    """The metrics that the task reports beside its score, such as best/validation_f1 and test/f1."""
    named = task_in(result.config).reported if result.metrics else []
    keys = {best_key(one): one.field("validation") for one in named}
    keys |= {one.key("test"): one.field("test") for one in named}
    return {key: result.metrics[name] for key, name in keys.items() if name in result.metrics}


def score_values(score: Metric, validation: float | None, test: float | None) -> dict[str, float | None]:
    """The metrics of a network's best validation score and its test score, with the test error if the score has one."""
    error = {"test/error": None if test is None else score.error(test)} if score.has_error else {}
    return {best_key(score): validation, score.key("test"): test, **error}


def member_tags(result: Result) -> dict[str, str]:
    """Tags that say which repeat of its trial a member is, and which vote of an ensemble."""
    return {"repeat": str(result.repeat), "vote": str(result.vote)}


def finite_values(values: Row) -> Row:
    """The values that are finite: charts can show no others."""
    # SQL stores turn infinity into 1.8e308 and NaN into 0 with a mark; either ruins the axis of every chart.
    return {key: float(value) for key, value in values.items() if math.isfinite(value)}


# Which program and which versions computed the numbers.


def provenance() -> dict[str, str]:
    """Tags that every run has: the versions of the program and its libraries, the commit, the user."""
    packages = {"torch": "torch", "lightning": "pytorch-lightning", "sweepstack": "sweepstack"}
    versions = {f"version.{name}": _version(package) for name, package in packages.items()}
    source = {"mlflow.source.name": "sweepstack", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    return {**git_commit(), **versions, "version.python": sys.version.split()[0], **source}


@functools.cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without an account
        return "unknown"


@functools.cache
def git_commit() -> dict[str, str]:
    """The commit of this source tree and whether tracked files differ from it; unknown outside a git checkout."""
    try:
        top, commit = _ask_git("rev-parse", "--show-toplevel", "HEAD").split("\n")
        if Path(top).resolve() != ROOT:
            raise ValueError("the source tree lies in somebody else's checkout")
        dirty = bool(_ask_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return {"git.commit": "unknown", "git.dirty": "unknown"}
    return {"git.commit": commit, "git.dirty": str(dirty).lower(), "mlflow.source.git.commit": commit}


def _ask_git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", check=True, timeout=GIT_SECONDS
    ).stdout.strip()
