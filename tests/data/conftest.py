"""A small set in MNIST's format, standing in for MNIST; no test here reaches a network or the user's cache."""

import gzip
import hashlib
import socket
import struct
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from src.data import idx, mnist

TRAINING, TEST = 20, 6  # images


TYPES = {">u1": 0x08, ">i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx_bytes(values: np.ndarray, kind: str = ">u1") -> bytes:
    """An IDX file, of unsigned bytes or another type."""
    header = struct.pack(f">HBB{values.ndim}I", 0, TYPES[kind], values.ndim, *values.shape)
    return header + values.astype(kind).tobytes()


@pytest.fixture(name="idx_bytes")
def _idx_bytes() -> Callable[..., bytes]:
    return idx_bytes


@pytest.fixture(scope="session")
def values() -> dict[str, np.ndarray]:
    """What the four files hold."""
    random = np.random.default_rng(6)
    return {
        idx.TRAIN_IMAGES: random.integers(0, 256, (TRAINING, 28, 28)),
        idx.TRAIN_LABELS: np.arange(TRAINING) % 10,
        idx.TEST_IMAGES: random.integers(0, 256, (TEST, 28, 28)),
        idx.TEST_LABELS: np.arange(TEST) % 10,
    }


@pytest.fixture(scope="session")
def contents(values: dict[str, np.ndarray]) -> dict[str, bytes]:
    """The four files, uncompressed."""
    return {name: idx_bytes(array) for name, array in values.items()}


@pytest.fixture
def folder(tmp_path: Path, contents: dict[str, bytes]) -> Path:
    """A folder with the four files, gzipped as the mirrors have them."""
    return write(tmp_path / "letters", contents)


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The user's cache folder; it does not exist yet."""
    return tmp_path / "user" / "cache"


@pytest.fixture
def closed_mirror() -> str:
    """A mirror that refuses connections."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/"


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch: pytest.MonkeyPatch, contents: dict[str, bytes], cache: Path, closed_mirror: str) -> None:
    """The small set is MNIST, its mirrors are down, its cache is empty, and the environment names no folder."""
    monkeypatch.setattr(mnist, "SHA256", {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()})
    monkeypatch.setattr(mnist, "cache_folder", lambda: cache)
    monkeypatch.setattr(mnist, "MIRRORS", (closed_mirror, closed_mirror))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class StudyCache:
    """A local server of a folder that records what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[tuple[str, str]] = []  # (method, file)
        self.before_get: Callable[[str], object] = lambda name: None
        mirror = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def send_head(self) -> Any:
                mirror.requests.append((self.command, self.path.strip("/")))
                if self.command == "GET":
                    mirror.before_get(self.path.strip("/"))
                return super().send_head()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirror_of() -> Iterator[Callable[[Path], StudyCache]]:
    """Starts a mirror of a folder; all are stopped at the end."""
    started: list[StudyCache] = []

    def start(folder: Path) -> StudyCache:
        started.append(StudyCache(folder))
        return started[-1]

    yield start
    for mirror in started:
        mirror.close()
