"""The command that shows MLflow's UI: what it starts, what it says, and that nothing is left of it."""

import base64
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from src.commands import ui
from src.commands.port import PORTS_TRIED, main
from src.config.schema import RunConfig
from src.tracking import __main__ as pending
from src.tracking import connection, journal
from src.tracking import tracker as tracking
from src.tracking.study_tracking import StudyTracker, Trial
from src.training.result import Result
from tests.tracking.test_tracker import empty_store

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
BROWSER_TESTS = "SWEEPSTACK_BROWSER_TESTS"
LOADS = 2  # a request that failed under load leaves a page that stays as it is
SECONDS_A_LOAD = 45.0  # 4–10 s while two trainings run on the same two cores
on_request = pytest.mark.skipif(
    os.environ.get(BROWSER_TESTS) != "1",
    reason=f"only on request, the page is MLflow's: {BROWSER_TESTS}=1 python -m pytest tests/commands/test_ui.py",
)
posix = pytest.mark.skipif(os.name != "posix", reason="process groups and SIGTERM are POSIX's")

# What uvicorn does on a port that another process uses.
TAKEN = "sys.exit('[Errno 98] error while attempting to bind on address: address already in use')"

# Answers as MLflow's server does, starts at once. {extra} runs first.
STAND_IN = """
import json, os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
{extra}
EXPERIMENTS = [
    {{"name": "mine", "experiment_id": "4", "tags": [
        {{"key": "mlflow.sharedViewState.sweepstack", "value": "x"}},
        {{"key": "mlflow.sharedViewState.study-1", "value": '{{"name": "study rates", "updatedAt": 5}}'}},
    ]}},
    {{"name": "Default", "experiment_id": "0"}},
]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"OK")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps({{"experiments": EXPERIMENTS}}).encode())
    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def group(pid: int) -> list[int]:
    """The processes of a group."""
    rows = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in rows.splitlines()]
    return [one for one, leader in pairs if leader == pid and alive(one)]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A file where the store would be; the stand-in server does not read it."""
    path = tmp_path / "mlflow.db"
    path.touch()
    return path


def stand_in(monkeypatch: pytest.MonkeyPatch, extra: str = "") -> list[subprocess.Popen[bytes]]:
    """Puts the stand-in in MLflow's place; the processes that are started get into the list. The proxy is dead."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    code = STAND_IN.format(extra=extra)
    monkeypatch.setattr(ui, "command", lambda uri, host, port: [sys.executable, "-c", code, str(port)])
    started: list[subprocess.Popen[bytes]] = []
    wait = ui.wait_until_up

    def waiting(process: subprocess.Popen[bytes], *more: Any) -> None:
        started.append(process)
        wait(process, *more)

    monkeypatch.setattr(ui, "wait_until_up", waiting)
    return started


def interrupt_when_ready(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Sends this process a signal as soon as the command has said all that it says."""

    def say(text: str, **how: Any) -> None:
        print(text, **how)
        if text.startswith("Ctrl-C"):
            os.kill(os.getpid(), number)

    monkeypatch.setattr(ui, "print", say, raising=False)


# What stands in the way


@pytest.mark.parametrize("given", ["{}/mlflow.db", "sqlite:///{}/mlflow.db"])
def test_a_missing_store_gets_one_paragraph(given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main([given.format(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"There is no store at {tmp_path}/mlflow.db" in error
    assert "python -m src.train" in error
    assert "\n\n" not in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite"])
def test_a_file_that_is_no_database_gets_one_sentence(
    content: bytes, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write_bytes(content)
    assert ui.main([str(store)]) == 2
    error = capsys.readouterr().err
    assert error == f"{store} is no SQLite database; accepted: the store of MLflow's runs, as mlruns/mlflow.db.\n"


def test_a_store_that_cannot_be_read_gets_one_sentence(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def locked(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", locked)
    assert ui.main([str(store)]) == 2
    assert capsys.readouterr().err == f"{store} cannot be read: Permission denied.\n"


def test_a_server_has_its_own_ui(capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["http://me:secret@host:5000"]) == 2
    assert "http://me:***@host:5000 is an MLflow server" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "0", "99999"])
def test_a_port_that_is_none_is_refused(port: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["--port", port, str(store)]) == 2
    assert f"--port {port}: must be a port number; accepted: 1 to 65535" in capsys.readouterr().err


def test_a_store_of_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["foo://bar"]) == 2
    assert "foo://bar: no database that MLflow knows; accepted: sqlite" in capsys.readouterr().err


def test_a_key_is_answered_with_how_options_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    given = "tracking.uri=sqlite:///mlruns/mlflow.db"
    assert ui.main([given]) == 2
    assert f"{given}: options are written --port 5000" in capsys.readouterr().err


def test_the_store_is_named_absolutely(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent)
    assert ui.store_uri("mlflow.db") == f"sqlite:///{store}"
    assert ui.store_uri("sqlite:///mlflow.db") == f"sqlite:///{store}"
    assert ui.store_uri("postgresql://host/base") == "postgresql://host/base"


def test_a_taken_port_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < ui.free_port("127.0.0.1", port) <= port + PORTS_TRIED
        assert main([str(port)]) == 0
    said = capsys.readouterr()
    assert said.err == f"port {port} is taken, {int(said.out)} is used\n"
    assert [main([given]) for given in ("99999", ".", "-1")] == [2, 2, 2]
    assert "'.': must be a port number, such as 8080" in capsys.readouterr().err


def test_no_free_port_is_an_error_that_names_the_field(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main([str(store), "--host", "203.0.113.7", "--port", "65530"]) == 2  # not an address of this machine
    assert "--port 65530: no port from it on can be used on 203.0.113.7" in capsys.readouterr().err


def test_the_server_is_lean(store: Path) -> None:
    words = ui.command(f"sqlite:///{store}", "127.0.0.1", 5000)
    assert words[words.index("--workers") + 1] == "1"
    assert words[words.index("--artifacts-destination") + 1] == (store.parent / "artifacts").as_uri()
    assert "--artifacts-destination" not in ui.command("postgresql://host/base", "127.0.0.1", 5000)


def test_no_variable_is_an_option_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("MLFLOW_STATIC_PREFIX", "_MLFLOW_STATIC_PREFIX", "MLFLOW_PORT", "UVICORN_PORT", "GUNICORN_CMD_ARGS")
    for name in (*names, "MLFLOW_S3_ENDPOINT_URL", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "other")
    known = ui.environment()
    assert not known.keys() & {*names}
    assert known["MLFLOW_S3_ENDPOINT_URL"] == "other"
    assert known["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert known["PATH"] == os.environ["PATH"]


# From start to end, with a stand-in for MLflow


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_everything(
    number: signal.Signals, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = stand_in(monkeypatch)
    interrupt_when_ready(monkeypatch, number)
    handler = signal.getsignal(signal.SIGTERM)
    port = unused_port()
    assert ui.main([str(store), "--port", str(port)]) == 0
    said = capsys.readouterr().out
    assert f"mine: http://127.0.0.1:{port}/#/experiments/4/runs?" in said
    assert re.search(r"study rates: http.*/experiments/4/runs\?.*viewStateShareKey=study-1&", said)
    assert group(started[0].pid) == []
    assert signal.getsignal(signal.SIGTERM) is handler


@posix
def test_children_that_ignore_the_end_are_ended_all_the_same(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    child = f"import signal, time; {deaf}; time.sleep(600)"
    started = stand_in(monkeypatch, f"{deaf}\nsubprocess.Popen([sys.executable, '-c', {child!r}])")
    interrupt_when_ready(monkeypatch, signal.SIGINT)
    monkeypatch.setattr(ui, "STOP_SECONDS", 0.2)
    assert ui.main([str(store), "--port", str(unused_port())]) == 0
    end = time.monotonic() + 10  # a killed process takes its moment to go
    while group(started[0].pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert group(started[0].pid) == []


def test_a_server_that_ends_by_itself_leaves_its_last_words(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, "sys.exit('the schema is out of date')")
    assert ui.main([str(store), "--port", str(unused_port())]) == 1
    assert "ended by itself; its last words:\n    the schema is out of date" in capsys.readouterr().err


def test_a_port_taken_at_the_last_moment_is_passed_over(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = stand_in(monkeypatch, "if not os.path.exists('met'):\n    open('met', 'w').close()\n    " + TAKEN)
    monkeypatch.chdir(store.parent)
    interrupt_when_ready(monkeypatch, signal.SIGINT)
    port = unused_port()
    assert ui.main([str(store), "--port", str(port)]) == 0
    assert len(started) == 2
    assert re.search(rf"^port {port} is taken, (\d+) is used\nmine: http://127.0.0.1:\1/", capsys.readouterr().out)


def test_a_port_that_is_always_taken_is_given_up(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = stand_in(monkeypatch, TAKEN)
    assert ui.main([str(store), "--port", str(unused_port())]) == 1
    assert len(started) == ui.STARTS
    assert "address already in use" in capsys.readouterr().err


def test_a_server_that_ends_later_is_noticed(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = stand_in(monkeypatch)
    monkeypatch.setattr(ui, "views", lambda base: started[0].terminate() or [])
    assert ui.main([str(store), "--port", str(unused_port())]) == 1
    shown = capsys.readouterr()
    assert "no saved view yet: http://127.0.0.1:" in shown.out
    assert "ended by itself" in shown.err


def test_a_server_that_never_answers_is_given_up(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = stand_in(monkeypatch, "time.sleep(600)")
    monkeypatch.setattr(ui, "START_SECONDS", 0.3)
    assert ui.main([str(store), "--port", str(unused_port())]) == 1
    assert "did not answer within" in capsys.readouterr().err
    assert started[0].poll() is not None


def test_an_answer_that_is_none_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [
        http.client.BadStatusLine("GET /health HTTP/1.1"),
        ConnectionRefusedError(),
        io.BytesIO(b"OK"),
    ]

    def answered(*about: Any, **more: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(ui.DIRECT, "open", answered)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        ui.wait_until_up(process, io.BytesIO(), "http://127.0.0.1:1", 60.0)
        process.communicate(b"\n")
    assert answers == []


# MLflow itself


@dataclass
class Shown:
    """A running UI."""

    process: subprocess.Popen[str]
    said: list[str]
    url: str
    store: str
    server: list[int]  # MLflow's processes

    @property
    def base(self) -> str:
        """The address without the view."""
        return self.url.split("/#")[0]


def track(uri: str, folder: Path, epochs: range, say: Any = print) -> Any:
    """A trial of two members after some epochs; with a clock of the caller's through `say`."""
    sections: dict[str, Any] = {"data": {"name": "mnist"}, "model": {"maps": [20]}, "optim": {"eta": 0.1}}
    config = RunConfig.model_validate(
        {"name": "shallow", **sections, "stop": {}, "trainer": {}, "tracking": {"uri": uri}, "repeats": 2}
    )
    tracker = tracking.open_tracker(config, folder, dataset="mnist", device="cpu", seeds=[0, 1], say=say)
    for epoch in epochs:
        tracker.epoch([{"epoch": epoch, "validation/accuracy": 0.9 + epoch / 100}] * 2)
    return tracker


def trial_config(uri: str, eta: float) -> RunConfig:
    sections: dict[str, Any] = {"data": {"name": "mnist"}, "model": {}, "optim": {"eta": eta}, "stop": {}}
    return RunConfig.model_validate({"name": "shallow", **sections, "trainer": {}, "tracking": {"uri": uri}})


def track_study(uri: str, folder: Path, trials: range, say: Any = print) -> StudyTracker:
    """A study of eta with some trials, all of them ended, the second one pruned."""
    space = {"optim.eta": "tag(log, interval(0.01, 1))"}
    about: dict[str, Any] = {"study": "rates", "uid": "u1", "log_keys": {"optim.eta"}, "params": space, "say": say}
    study = StudyTracker(trial_config(uri, 0.1), folder, **about)
    for number in trials:
        eta = 10 ** (number - 2)
        ask = {"number": number, "place": number, "attempt": 0, "label": f"eta={eta}", "seeds": [0]}
        trial = study.trial(trial_config(uri, eta), folder / str(number), dataset="mnist", device="cpu", **ask)
        trial.epoch([{"epoch": 1, "validation/accuracy": 0.9 + number / 100}])
        trial.finish(results()[:1], status="PRUNED" if number == 1 else None)
    return study


def results() -> list[Result]:
    values: dict[str, Any] = {"best_epoch": 3, "validation_score": 0.93, "test_score": 0.92, "seconds": 1.0}
    fixed: dict[str, Any] = {"config": {}, "status": "FINISHED", "history": [], "dataset": "mnist", "device": "cpu"}
    return [Result(seed=seed, **values, **fixed) for seed in range(2)]


@pytest.fixture
def shown(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The command, started as a user does on a store with a run and a study, while the port it is given is taken."""
    folder = tmp_path / "shown"
    uri = empty_store(folder, tmp_path_factory)
    track(uri, folder, range(1, 4)).finish(results(), {"test/mean": 0.92})
    track_study(uri, folder / "study", range(3)).finish("FINISHED", {"trial": 0, "validation_accuracy": 0.93})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["-m", "src.ui", "--port", str(taken.getsockname()[1]), uri]
        process = subprocess.Popen(
            [sys.executable, *words], cwd=tracking.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        said = [process.stdout.readline().strip()]
    try:
        while "Ctrl-C" not in said[-1]:
            line = process.stdout.readline()
            assert line, f"the command ended: {said}"
            said.append(line.strip())
        leader = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, row.split())) for row in leader.splitlines()]
        server = group(next(pid for pid, parent in pairs if parent == process.pid))
        yield Shown(process, said, said[1].split(": ", 1)[1], uri, server)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@posix
def test_the_ui_answers_under_the_address_that_it_prints(shown: Shown) -> None:
    assert re.fullmatch(r"port \d+ is taken, \d+ is used", shown.said[0])
    assert shown.said[1].startswith("sweepstack: http://127.0.0.1:")
    assert "viewStateShareKey=sweepstack" in shown.url
    assert shown.said[2].startswith(f"study rates: {shown.base}/#/experiments/")
    with urllib.request.urlopen(shown.url, timeout=10) as page:
        assert page.status == 200
        assert b"<title>MLflow</title>" in page.read()
    assert len(shown.server) == 2  # by default MLflow starts 15


@posix
@on_request
def test_a_browser_shows_the_view(shown: Shown, browser: "Browser") -> None:
    wanted = {"2 matching runs", "shallow · seed 1", "Parallel Coordinates", "log10.optim.eta", "test/error"}
    browser.shows(shown.url, wanted)


@posix
@on_request
def test_a_browser_shows_the_view_of_a_study(shown: Shown, browser: "Browser") -> None:
    wanted = {"study rates", "3 matching runs", "#2 eta=1", "trial vs. best/validation_accuracy"}
    wanted |= {"Parallel Coordinates", "log10.optim.eta vs. best/validation_accuracy", "validation/error"}
    url = shown.said[2].split(": ", 1)[1]
    browser.shows(url.replace("CHART", "TABLE"), {"3 matching runs", "#2 eta=1"})
    table = colours(browser.picture())
    text = browser.shows(url, wanted)
    assert "shallow · seed" not in text  # other runs
    # Three trials in two charts, by their number and by their eta; in a curve that is drawn, an epoch is a point too.
    points = browser.count(".scatterlayer path.point", 6, SECONDS_A_LOAD)
    assert points >= 6
    assert points % 3 == 0
    assert browser.count(".parcoords .dimension", 2, SECONDS_A_LOAD) == 2
    assert colours(browser.picture()) > table


def colours(picture: bytes) -> int:
    """How many different ones a PNG shows."""
    pixels = imread(io.BytesIO(picture))
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))


class Browser:
    """A headless Chromium, driven through chromedriver's HTTP interface (W3C WebDriver)."""

    def __init__(self, driver: str, profile: Path):
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1700,1700"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options = {"binary": BROWSER, "args": [*flags, f"--user-data-dir={profile}"]}
        self.session = f"{driver}/session"
        answer = self.ask("", capabilities={"alwaysMatch": {"goog:chromeOptions": options}})
        self.session += f"/{answer['sessionId']}"

    def ask(self, what: str, **body: Any) -> Any:
        """One command; the value that the browser answers with."""
        address = f"{self.session}/{what}".rstrip("/")
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def shows(self, url: str, wanted: set[str]) -> str:
        """The text of the page, once it holds all that is wanted; fails where it does not come to that."""
        text = ""
        for _ in range(LOADS):
            self.ask("url", url="about:blank")  # from an address with a # to itself, a browser loads nothing
            self.ask("url", url=url)
            text = self.text_with(wanted, SECONDS_A_LOAD)
            if all(one in text for one in wanted):
                return text
        pytest.fail(f"{[one for one in wanted if one not in text]} not on the page, which says:\n{text}")

    def picture(self) -> bytes:
        """What is seen of the page, as PNG."""
        with urllib.request.urlopen(f"{self.session}/screenshot", timeout=120) as answer:
            return base64.b64decode(json.load(answer)["value"])

    def count(self, selector: str, wanted: int, seconds: float) -> int:
        """How many such elements the page has, as soon as they are `wanted`; after so many seconds whatever it has."""
        script = f"return document.querySelectorAll({selector!r}).length"
        deadline = time.monotonic() + seconds
        while (found := int(self.ask("execute/sync", script=script, args=[]))) < wanted:
            if time.monotonic() > deadline:
                break
            time.sleep(ui.POLL_SECONDS)
        return found

    def text_with(self, wanted: set[str], seconds: float) -> str:
        """The page's text as soon as it holds all that is wanted; after so many seconds whatever it holds."""
        deadline = time.monotonic() + seconds
        while True:
            text = str(self.ask("execute/sync", script="return document.body.innerText", args=[]))
            if all(one in text for one in wanted) or time.monotonic() > deadline:
                return text
            time.sleep(ui.POLL_SECONDS)

    def quit(self) -> None:
        """Ends the browser's processes."""
        with urllib.request.urlopen(urllib.request.Request(self.session, method="DELETE"), timeout=60):
            pass


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    assert BROWSER, "no chromium on the PATH"
    assert DRIVER, "no chromedriver on the PATH"
    words = [DRIVER, "--port=0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        try:
            assert driver.stdout is not None
            port = next(found[1] for line in driver.stdout if (found := re.search(r"on port (\d+)\.", line)))
            browser = Browser(f"http://127.0.0.1:{port}", tmp_path)
            yield browser
            browser.quit()
        finally:
            driver.terminate()


@posix
def test_a_study_goes_on_through_the_server(shown: Shown, tmp_path: Path) -> None:
    doomed = track_study(shown.base, tmp_path, range(0))
    about: dict[str, Any] = {"label": "", "dataset": "mnist", "device": "cpu", "seeds": [0]}
    doomed.trial(trial_config(shown.base, 0.1), tmp_path, number=3, place=3, attempt=0, **about)
    doomed.finish("KILLED")  # and trial 3 runs

    study = track_study(shown.base, tmp_path, range(4, 6))
    states = {0: "COMPLETE", 1: "PRUNED", 2: "KILLED", 3: "FAIL"}
    again = {number: Trial(trial_config(shown.base, 0.1), tmp_path, number, number, 0, **about) for number in states}
    study.reconcile(states, again.__getitem__)
    study.finish("FINISHED")
    client, experiment_id = connection.connect(shown.store, "sweepstack")
    found = client.search_runs([experiment_id], "tags.study = 'rates'")
    assert len(found) == 7
    statuses = {run.data.tags["number"]: run.data.tags["status"] for run in found if run.data.tags["kind"] == "trial"}
    ended = {"0": "FINISHED", "1": "PRUNED", "2": "KILLED", "3": "FAILED", "4": "FINISHED", "5": "FINISHED"}
    assert statuses == ended
    assert "RUNNING" not in {run.info.status for run in found}
    assert study.address == shown.said[2].split(": ", 1)[1]


@posix
def test_a_run_tracked_through_the_server_outlives_it(shown: Shown, tmp_path: Path) -> None:
    said: list[str] = []
    tracker = track(shown.base, tmp_path, range(1, 3), said.append)
    shown.process.send_signal(signal.SIGTERM)
    assert shown.process.wait(timeout=30) == 0
    assert [pid for pid in shown.server if alive(pid)] == []

    start = time.monotonic()
    tracker.epoch([{"epoch": 3, "validation/accuracy": 0.5}] * 2)
    tracker.finish(results())
    assert time.monotonic() - start < 10
    assert [line.split(" (")[0] for line in said[:1]] == [f"tracking: {shown.base} does not answer"]
    assert len(said) == 2

    assert pending.main([str(tmp_path / journal.PENDING), shown.store]) == 0
    client, experiment_id = connection.connect(shown.store, "sweepstack")
    found = client.search_runs([experiment_id], "tags.kind = 'member'", order_by=["attributes.start_time DESC"])
    assert len(found) == 4
    for run in found[:2]:
        points = client.get_metric_history(run.info.run_id, "validation/accuracy")
        assert [point.step for point in points] == [1, 2, 3]
        assert run.info.status == "FINISHED"
