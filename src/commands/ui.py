"""MLflow's UI, lean: python -m src.ui [--port 5000] [--host 127.0.0.1] [store]

store: MLflow's address of a database (sqlite:///…, postgresql://…), or the path of a SQLite file. As `mlflow ui` starts
it, the UI takes 15 processes and 2.1 GB; here two processes of MLflow and 0.4 GB, for the jobs of its GenAI half are
off. The command prints the addresses of the comparison view and of the latest studies' views, and runs until Ctrl-C or
SIGTERM; no process outlives it.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from src.commands.arguments import run_command, words_and_keys
from src.commands.port import free_port, moved
from src.config.address import DATABASES, RUNS, absolute, is_run_store, lower_scheme, masked, sqlite_path
from src.config.error import UserError
from src.tracking.connection import ENVIRONMENT
from src.tracking.readable import readable
from src.tracking.view import KEY, TAG, study_views, view_url

USAGE = "python -m src.ui [--port 5000] [--host 127.0.0.1] [store]"
SQLITE_HEADER = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html
STARTS = 3  # attempts to start the server: its port may be taken after it was found to be free
# Environment variables that set options of MLflow's server or of the servers under it: a prefix of addresses, a port, a
# store, a log-in, artifacts only. Those that say how to reach artifacts in S3 are not among them.
SERVERS_OPTIONS = (
    r"_?MLFLOW_(?!S3_)|UVICORN_|GUNICORN_|FLASK_|WERKZEUG_|WEB_CONCURRENCY|FORWARDED_ALLOW_IPS|SCRIPT_NAME"
)
# Requests to our own server use no proxy, which could not reach the ports of this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
STUDIES_SHOWN = 8  # studies of each experiment whose addresses are printed; all are in the UI's list of views
START_SECONDS = 120.0  # in which the server must answer; it takes 4 s on a quiet machine
STOP_SECONDS = 5.0
POLL_SECONDS = 0.1


class UiError(Exception):
    """The UI cannot be shown; the text is the whole message, `status` the command's exit status."""

    def __init__(self, text: str, status: int = 1):
        super().__init__(text)
        self.status = status


class _PortTakenError(UiError):
    """Another process has taken the server's port before the server could."""


def store_uri(given: str) -> str:
    """The store's address as MLflow takes it, with an absolute path. Raises UiError (status 2) if there is no store."""
    if re.match(r"[\w.]+=", given) and not Path(given).exists():
        raise UiError(
            f"{masked(given)}: options are written --port 5000, and the store alone, such as PATH/mlflow.db", 2
        )
    given = lower_scheme(given)
    uri = absolute(given if "://" in given else f"sqlite:///{Path(given).as_posix()}")
    if uri.startswith("http"):
        raise UiError(f"{masked(uri)} is an MLflow server, which has a UI of its own: open that address.", 2)
    if uri.split("://")[0].split("+")[0] not in DATABASES or not is_run_store(uri):
        raise UiError(f"{masked(uri)}: no database that MLflow knows; accepted: {', '.join(DATABASES)} or a path", 2)
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise UiError(
            f"There is no store at {path}: nothing was tracked there yet. The first run creates it, for example\n"
            "    python -m src.train +exp=shallow\n"
            "If the runs are kept somewhere else, name that store: python -m src.ui PATH/mlflow.db",
            2,
        )
    if path is not None:
        _refuse_other_files(path)
    return uri


def _refuse_other_files(path: Path) -> None:
    """Raises UiError (status 2) where the file is no SQLite database; an empty file is an empty database."""
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_HEADER))
    except OSError as error:
        raise UiError(f"{path} cannot be read: {error.strerror}.", 2) from None
    if start not in (SQLITE_HEADER, b""):
        raise UiError(f"{path} is no SQLite database; accepted: the store of MLflow's runs, as mlruns/mlflow.db.", 2)


def command(uri: str, host: str, port: int) -> list[str]:
    """The command line that starts MLflow's server with one worker."""
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    words += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    path = sqlite_path(uri)
    if path is not None:  # the folder for artifacts of runs that are logged through this server, as for all others
        words += ["--artifacts-destination", (path.parent.resolve() / "artifacts").as_uri()]
    return words


def environment() -> dict[str, str]:
    """The server's environment: this one without the variables that are options of servers; telemetry and jobs off."""
    kept = {name: value for name, value in os.environ.items() if not re.match(SERVERS_OPTIONS, name)}
    return {**kept, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@contextlib.contextmanager
def server(uri: str, host: str, port: int) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A context with MLflow's server and its output; at its end, after errors too, the server's processes are ended."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command(uri, host, port),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own: Ctrl-C reaches only us, and we end the whole group
        )
        try:
            yield process, output
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its children by SIGTERM, and by SIGKILL after STOP_SECONDS."""
    _signal_all(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    _signal_all(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


def _signal_all(process: subprocess.Popen[bytes], number: int) -> None:
    if os.name != "posix":
        process.terminate()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def wait_until_up(process: subprocess.Popen[bytes], output: IO[bytes], base: str, seconds: float) -> None:
    """Waits until the server answers. Raises UiError with the end of its output if it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            words = _tail(output)
            kind = _PortTakenError if "address already in use" in words.lower() else UiError
            raise kind(f"MLflow's server ended by itself; its last words:\n{words}")
        try:
            with DIRECT.open(f"{base}/health", timeout=2.0):
                return
        # HTTPException: on loopback, a client may connect to itself on a port on which no server listens yet.
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            time.sleep(POLL_SECONDS)
    raise UiError(f"MLflow's server did not answer within {seconds:.0f} s; its last words:\n{_tail(output)}")


def _tail(output: IO[bytes]) -> str:
    output.seek(0)
    return masked("\n".join(f"    {line}" for line in output.read().decode(errors="replace").splitlines()[-12:]))


def views(base: str) -> list[tuple[str, str]]:
    """Name and address of the saved views: those of each experiment, latest change first, and of its studies."""
    body = json.dumps({"max_results": 1000, "order_by": ["last_update_time DESC"]}).encode()
    request = urllib.request.Request(
        f"{base}/api/2.0/mlflow/experiments/search", body, {"Content-Type": "application/json"}
    )
    with DIRECT.open(request, timeout=30.0) as answer:
        experiments: list[dict[str, Any]] = json.load(answer).get("experiments", [])
    found = []
    for experiment in experiments:
        tags = {tag["key"]: tag["value"] for tag in experiment.get("tags", [])}
        own = [(KEY, experiment["name"])] if TAG in tags else []
        for key, name in [*own, *study_views(tags)[:STUDIES_SHOWN]]:
            found.append((name, view_url(base, experiment["experiment_id"], key)))
    return found


def serve(given: str, host: str, port: int) -> None:
    """Runs the UI of the store `given` until it is interrupted. Raises UiError where that is not possible."""
    store, chosen = store_uri(given), free_port(host, port)
    with readable(store) as uri:
        for left in reversed(range(STARTS)):
            try:
                _show(uri, host, chosen, moved(port, chosen))
            except _PortTakenError:
                if not left:
                    raise
                chosen = free_port(host, chosen + 1)


def _show(uri: str, host: str, port: int, remark: str) -> None:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    base = f"http://{shown}:{port}"
    with server(uri, host, port) as (process, output):
        wait_until_up(process, output, base, START_SECONDS)
        print(remark, end="")
        for name, url in views(base) or [("no saved view yet", base)]:
            print(f"{name}: {url}")
        print("Ctrl-C ends it.", flush=True)
        process.wait()
        raise UiError(f"MLflow's server ended by itself; its last words:\n{_tail(output)}")


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_serve, arguments, __doc__, "")


def _serve(arguments: list[str]) -> int:
    stores, options = words_and_keys(arguments, {"port": "5000", "host": "127.0.0.1"}, USAGE)
    if len(stores) > 1:
        raise UserError(f"{' '.join(stores)}: one store is shown at a time. Usage: {USAGE}")
    if not options["port"].isdecimal():
        raise UserError(f"--port {options['port']}: must be a port number; accepted: 1 to 65535")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        serve(stores[0] if stores else RUNS, options["host"], int(options["port"]))
    except KeyboardInterrupt:
        return 0
    except UiError as error:
        print(error, file=sys.stderr)
        return error.status
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
