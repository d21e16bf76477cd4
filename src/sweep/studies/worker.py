"""A *worker* is the process that trains a trial; this module tells whether it still lives.

A trial names its worker: machine, process number, the process' start (process numbers are used again) and a token that
is new each time a study is opened. On the same machine the operating system knows whether the worker lives. Of a worker
on another machine only its heartbeats are known: it writes one every BEAT_SECONDS, and counts as gone after
HEARTBEAT_SECONDS without one. Clocks of machines that share a study should therefore agree within a minute.
"""

import os
import platform
import subprocess
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEAT_SECONDS = 20.0
HEARTBEAT_SECONDS = 120.0  # without a beat: six are missing

_PROCESSES = Path("/proc")  # Linux; other systems have none

# Tokens of the workers that are open in this process. A worker that names this process but is not here is gone.
_OPEN: set[str] = set()


class Worker:
    """This process, for as long as one study is open in it."""

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        _OPEN.add(self.token)

    def as_json(self) -> dict[str, Any]:
        """The worker as a trial keeps it in its attributes."""
        pid = os.getpid()
        return {"host": machine(), "pid": pid, "started": process_start(pid), "token": self.token}

    def close(self) -> None:
        """Marks the worker as gone: its trials that still run count as left by it."""
        _OPEN.discard(self.token)


def lives(worker: dict[str, Any]) -> bool | None:
    """Whether a trial's worker (`Worker.as_json`) lives; None where only its heartbeats can tell."""
    if worker.get("host") != machine() or worker.get("started") is None:
        return None
    if worker["pid"] == os.getpid():
        return worker.get("token") in _OPEN
    return bool(process_start(worker["pid"]) == worker["started"])


def machine() -> str:
    """A name that differs between machines, between two starts of one, and between containers."""
    boot, space = _PROCESSES / "sys/kernel/random/boot_id", _PROCESSES / "self/ns/pid"
    parts = [platform.node()]
    if boot.exists() and space.exists():
        parts += [boot.read_text(encoding="utf-8").strip(), space.readlink().name]
    return " ".join(parts)


def process_start(pid: int) -> str | None:
    """When a process started, in the system's own words; None where there is no such process, or no way to know."""
    if (_PROCESSES / "self/stat").exists():
        try:
            fields = (
                (_PROCESSES / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
            )
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]  # state, start in ticks since the machine's start [proc(5)]
    if os.name != "posix":
        return None
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, start = (
        subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout.strip().partition(" ")
    )
    return None if state.startswith("Z") else start.strip() or None


class Pulse:
    """A thread that calls `beat` every `seconds`, beside training, until it is closed."""

    def __init__(self, beat: Callable[[], None], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            self._beat()

    def close(self) -> None:
        """Returns once the thread has ended."""
        self._closed.set()
        self._thread.join()
