"""What holds for every command: Ctrl-C while it is imported, a reader that has gone, a terminal of few characters."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import SMALL

ROOT = Path(__file__).resolve().parents[2]
HELP = ["-m", "src.train", "--help"]
RUN = ["-m", "src.train", *SMALL, "tracking=none"]
STUDY = [*RUN, "-m", "hydra/sweeper=optuna", "hydra.sweeper.study_name=small", "hydra.sweeper.n_trials=2", "seed=0,9"]


def started(folder, *arguments, **variables):
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_ctrl_c_amid_an_import_stops_whatever_the_library_makes_of_it(tmp_path):
    content = "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    pass"
    (tmp_path / "hydra.py").write_text(content)  # which src.train imports first
    process = started(tmp_path, *HELP)
    assert (process.communicate(), process.returncode) == (("", "Stopped.\n"), 130)


def test_a_program_that_imports_the_package_keeps_its_own_ctrl_c(tmp_path):
    code = "import signal, src; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert started(tmp_path, "-c", code).communicate() == ("True\n", "")


@pytest.mark.parametrize(("arguments", "results"), [(HELP, 0), (RUN, 1), (STUDY, 2)])
def test_a_command_whose_reader_has_gone_goes_on_in_silence(arguments, results, tmp_path):
    process = started(tmp_path, *arguments)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", 0)
    process.stderr.close()
    assert len(list(tmp_path.rglob("result.json"))) == results


def test_a_terminal_that_lacks_characters_columns_and_windows_shows_what_it_can(tmp_path):
    odd = {"PYTHONIOENCODING": "ascii", "COLUMNS": "0", "MPLBACKEND": "Foo"}
    process = started(tmp_path, *RUN, "figures=true", **odd)
    said, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "FC 8 sigmoid ? softmax 10" in said  # on one line, whatever COLUMNS
    assert list(tmp_path.rglob("accuracy.png"))


def test_a_locale_of_ascii_reads_and_writes_utf8_and_shows_what_it_can(tmp_path):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = started(tmp_path, "-m", "src.train", 'name="Größe"', "--cfg", "job", **locale)
    said, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "name: Gr??e" in said  # one a character: the argument was read as UTF-8


def test_every_file_is_read_and_written_in_an_encoding_that_is_named():
    """Of what takes the locale's encoding where none is named: text files, and what other programs print."""
    for path in (path for folder in ("src", "hydra_plugins", "benchmarks") for path in (ROOT / folder).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
                where = f"{path.relative_to(ROOT)}:{call.lineno}"
                assert named.get("text") != "True", f"{where}: encoding= makes text as well"
                text = name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute)
                assert not text or "encoding" in named, where
