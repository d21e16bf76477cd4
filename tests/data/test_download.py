"""A download leaves whole, right files or none, quickly, whatever mirrors and other processes do."""

import errno
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Event

import pooch
import pytest

from src.data import download, idx, mnist
from src.data.error import DataError, UnavailableError

ROOT = Path(__file__).resolve().parents[2]
READ_MNIST = """
import json, sys
from pathlib import Path
from src.data import download, mnist
mnist.MIRRORS = (sys.argv[1],)
mnist.SHA256 = json.loads(sys.argv[2])
mnist.cache_folder = lambda: Path(sys.argv[3])
files, source = mnist.read(None)
print(source, [file.values.shape for file in files.values()])
"""


@pytest.fixture
def mirror(mirror_of, folder, monkeypatch):
    """The only mirror, and it serves."""
    mirror = mirror_of(folder)
    monkeypatch.setattr(mnist, "MIRRORS", (mirror.url,))
    return mirror


def gets(mirror):
    return [name for method, name in mirror.requests if method == "GET"]


def assert_whole(cache):
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in idx.NAMES)
    idx.read_folder(cache, mnist.check)


def test_files_are_downloaded_once_and_kept(mirror, cache):
    assert mnist.read(None)[1] == f"MNIST from {mirror.url}, now in {cache}, checksums right"
    assert_whole(cache)
    asked = len(mirror.requests)
    assert mnist.read(None)[1] == f"MNIST from {cache}, checksums right"
    assert len(mirror.requests) == asked


def test_nothing_is_printed_where_there_is_no_terminal(mirror, cache, capfd):
    mnist.fetch(cache)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_the_progress_of_each_file(mirror, cache, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    mnist.fetch(cache)
    assert all(f"{name}.gz: 100%" in sys.stderr.getvalue() for name in idx.NAMES)


def test_only_what_is_missing_or_damaged_is_downloaded(mirror, cache, folder):
    cache.mkdir(parents=True)
    for name in (idx.TRAIN_IMAGES, idx.TEST_LABELS):
        (cache / f"{name}.gz").write_bytes((folder / f"{name}.gz").read_bytes())
    (cache / f"{idx.TEST_IMAGES}.gz").write_bytes((folder / f"{idx.TEST_IMAGES}.gz").read_bytes()[:-30])
    (cache / idx.TRAIN_LABELS).write_bytes(b"a damaged plain file, which would be found before the .gz")
    mnist.read(None)
    assert sorted(gets(mirror)) == sorted(f"{name}.gz" for name in (idx.TEST_IMAGES, idx.TRAIN_LABELS))
    assert_whole(cache)


def test_a_mirror_that_is_down_is_passed_over(mirror, cache, closed_mirror, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (closed_mirror, mirror.url))
    assert mnist.fetch(cache) == mirror.url
    assert_whole(cache)


def test_the_second_mirror_goes_on_where_the_first_served_a_wrong_file(mirror, mirror_of, folder, cache, monkeypatch):
    spoilt = mirror_of(shutil.copytree(folder, folder.with_name("spoilt")))
    (folder.with_name("spoilt") / f"{idx.TEST_IMAGES}.gz").write_bytes(gzip.compress(b"<html>please log in</html>"))
    monkeypatch.setattr(mnist, "MIRRORS", (spoilt.url, mirror.url))
    assert mnist.fetch(cache) == mirror.url
    assert gets(mirror) == [f"{idx.TEST_IMAGES}.gz", f"{idx.TEST_LABELS}.gz"]
    assert_whole(cache)


def test_a_wrong_file_is_never_put_in_place(mirror, cache, folder):
    (folder / f"{idx.TRAIN_IMAGES}.gz").write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError, match=f"^{mirror.url} served a wrong file: {idx.TRAIN_IMAGES}.gz is not an IDX file"):
        mnist.fetch(cache)
    assert list(cache.iterdir()) == []


def test_a_download_that_breaks_off_is_told_apart(mirror, cache):
    def break_off(name):
        raise ConnectionAbortedError

    mirror.server.handle_error = lambda *_: None  # else the server prints its traceback
    mirror.before_get = break_off
    with pytest.raises(DataError, match=f"^{mirror.url} could not be reached .ConnectionError"):
        mnist.fetch(cache)
    assert list(cache.iterdir()) == []


def test_an_answer_that_is_an_error_is_given_with_its_number(mirror, cache, folder):
    (folder / f"{idx.TEST_LABELS}.gz").unlink()  # found out after the first file was there
    with pytest.raises(DataError, match=f"^{mirror.url} answered HTTP 404$"):
        mnist.fetch(cache)


def test_a_full_disk_is_told_apart_from_a_mirror_that_is_down(mirror, cache, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(DataError, match=f"^{mirror.url} served what could not be stored .No space left"):
        mnist.fetch(cache)
    assert list(cache.iterdir()) == []


def test_a_mirror_is_asked_once_whatever_the_number_of_files(mirror_of, cache, tmp_path, monkeypatch):
    empty = mirror_of(tmp_path)
    monkeypatch.setattr(mnist, "MIRRORS", (empty.url, empty.url))
    with pytest.raises(DataError, match=f"^{empty.url} does not offer {idx.TRAIN_IMAGES}.gz; {empty.url} does not"):
        mnist.fetch(cache)
    assert empty.requests == [("HEAD", f"{idx.TRAIN_IMAGES}.gz")] * 2


def test_a_mirror_that_never_answers_is_given_up(cache, monkeypatch):
    over = Event()

    class Silent:
        def __init__(self, **_):
            pass

        def __call__(self, *_, **__):
            over.wait(60)
            return True

    monkeypatch.setattr(pooch, "HTTPDownloader", Silent)
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.01)
    with pytest.raises(DataError, match=r"gave no answer within 0.01 seconds; .*gave no answer within 0.01 seconds$"):
        mnist.fetch(cache)
    over.set()


def test_a_cache_folder_that_cannot_be_made_is_named(mirror, cache):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(UnavailableError, match=f"the folder {cache} cannot be made"):
        mnist.read(None)


def test_two_processes_that_start_at_once_both_read_whole_files(mirror, cache):
    first_file = Barrier(2, timeout=60)  # neither gets its first file before both have asked for it
    mirror.before_get = lambda name: first_file.wait() if name.startswith(idx.TRAIN_IMAGES) else None
    command = [sys.executable, "-W", "error", "-c", READ_MNIST, mirror.url, json.dumps(mnist.SHA256), str(cache)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        printed, errors = process.communicate(timeout=120)
        assert errors == b""
        assert b"[(20, 28, 28), (20,), (6, 28, 28), (6,)]" in printed
        assert process.returncode == 0
    assert sorted(gets(mirror)).count(f"{idx.TRAIN_IMAGES}.gz") == 2
    assert_whole(cache)
