"""A worker lives as long as its process and its study are open."""

import os
import signal
import subprocess
import sys
import threading

from src.sweep.studies import worker
from src.sweep.studies.worker import Pulse, Worker, lives, machine, process_start


def test_a_worker_lives_until_it_is_closed():
    mine = Worker()
    assert lives(mine.as_json()) is True
    mine.close()
    assert lives(mine.as_json()) is False


def test_another_process_lives_until_it_ends_even_before_its_parent_has_looked():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    about = {"host": machine(), "pid": process.pid, "started": process_start(process.pid), "token": "other"}
    assert lives(about) is True
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table of processes
    assert lives(about) is False
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait() == -signal.SIGKILL
    assert lives(about) is False


def test_a_process_number_that_came_again_is_another_process():
    about = {"host": machine(), "pid": os.getppid(), "started": "long ago", "token": "other"}
    assert lives(about) is False


def test_of_a_worker_elsewhere_only_heartbeats_can_tell():
    mine = Worker()
    assert lives({**mine.as_json(), "host": "elsewhere"}) is None
    assert lives({**mine.as_json(), "started": None}) is None
    assert lives({}) is None
    mine.close()


def test_without_a_table_of_processes_the_system_is_asked(monkeypatch):
    shown = process_start(os.getpid())
    monkeypatch.setattr(worker, "_PROCESSES", worker.Path("/nowhere"))
    asked = process_start(os.getpid())
    assert asked is not None
    assert asked != shown  # in words
    assert asked == process_start(os.getpid())
    assert machine() == worker.platform.node()


def test_a_pulse_beats_until_it_is_closed():
    before = set(threading.enumerate())  # another test may have left a pulse
    beaten = threading.Event()
    pulse = Pulse(beaten.set, 0.001)
    assert beaten.wait(60)
    pulse.close()
    beaten.clear()
    assert not any(thread.name == "pulse" for thread in set(threading.enumerate()) - before)
    assert not beaten.is_set()
