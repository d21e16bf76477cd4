"""Downloading the files of a published set from public mirrors.

A file is downloaded beside its place, checked, and then moved to it, so that a reader never sees half a file and
processes that start at the same time do not disturb each other. A missing network is noticed within seconds: a mirror
is asked once whether it answers, for all its files, and is given up at its first failure.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pooch
from tqdm import tqdm

from src.data.error import DataError

ANSWER_SECONDS = 4.0  # in which a mirror must answer, looking up its name included
STALL_SECONDS = 20.0  # without a byte, after which a download is given up


Check = Callable[[Path], None]  # raises DataError unless the file is there and the right one


def fetch(folder: Path, names: Sequence[str], mirrors: Sequence[str], check: Check) -> str:
    """Downloads those of the files `names` that `check` refuses in `folder`; returns the mirror that served them.

    mirrors: addresses that end in "/", tried in this order. A downloaded file that `check` refuses is not kept.
    Raises DataError that says how each mirror failed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be made ({error.strerror})") from None
    findings = []
    for mirror in mirrors:
        try:
            _fetch_from(mirror, folder, names, check)
            return mirror
        except (OSError, DataError) as error:  # every error of requests is an OSError
            findings.append(f"{mirror} {_finding(error)}")
    raise DataError("; ".join(findings))


def _fetch_from(mirror: str, folder: Path, names: Sequence[str], check: Check) -> None:
    missing = [name for name in names if not _is_right(folder / name, check)]
    if missing:
        _ask(f"{mirror}{missing[0]}")
    for name in missing:
        with TemporaryDirectory(prefix=".download-", dir=folder) as draft:
            got = Path(draft) / name
            # total=1 until the header of the answer gives the size; disable=None shows the bar on a terminal only.
            with tqdm(desc=name, total=1, unit="B", unit_scale=True, disable=None) as bar:
                get = pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16, timeout=(ANSWER_SECONDS, STALL_SECONDS))
                get(f"{mirror}{name}", str(got), None)
            try:
                check(got)
            except DataError as error:
                raise DataError(f"served a wrong file: {str(error).replace(str(got), name)}") from None
            got.replace(folder / name)


def _is_right(path: Path, check: Check) -> bool:
    try:
        check(path)
    except DataError:
        return False
    return True


def _ask(url: str) -> None:
    """Raises DataError unless `url` exists and is answered within ANSWER_SECONDS.

    A thread asks, because requests' timeout covers neither looking up a name nor trying all addresses of a host.
    """
    answer = [f"gave no answer within {ANSWER_SECONDS:g} seconds"]

    def ask() -> None:
        try:
            exists = pooch.HTTPDownloader(timeout=ANSWER_SECONDS)(url, None, None, check_only=True)
            answer[0] = "" if exists else f"does not offer {url.rsplit('/', 1)[1]}"
        except OSError as error:
            answer[0] = _finding(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if answer[0]:
        raise DataError(answer[0])


def _finding(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"answered HTTP {response.status_code}"
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:  # an error of the disk; those of requests have no strerror
        return f"served what could not be stored ({error.strerror})"
    return f"could not be reached ({type(error).__name__})"
