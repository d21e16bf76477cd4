"""The GPU session rehearsed without a GPU: each part fills its file, and none stops another."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

SCRIPT = Path("benchmarks/gpu_session.sh")


def session(folder, **variables):
    """The lines of its summary, by part, and its exit status."""
    environment = os.environ | {"DEVICE": "cpu", "QUICK": "1", "OUT": str(folder), "PYTHON": sys.executable} | variables
    done = subprocess.run(["bash", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert (folder / "summary.txt").read_text() == done.stdout
    lines = re.findall(r"^(passed|failed|timed out|skipped) +\d+ s  (\w+): ", done.stdout, re.MULTILINE)
    return lines, done.returncode


@pytest.mark.timeout(1300)  # on a machine that is busy with much else
def test_a_rehearsal_fills_every_file_without_a_gpu_and_without_mlflow(tmp_path):
    (tmp_path / "mlflow.py").write_text("raise ImportError('not on that machine')")
    out = tmp_path / "out"
    parts = ["tests", "kinds", "runs", "runs", "steps", "kernels", "precisions", "trials", "chapter"]
    assert session(out, PYTHONPATH=str(tmp_path), DEADLINE="1200") == ([("passed", part) for part in parts], 0)
    texts = {path.stem: path.read_text() for path in out.glob("*.txt")}
    assert set(texts) == {"summary", *parts}
    assert "deselected" in texts["tests"]
    assert texts["runs"].count("test accuracy: ") == 1  # of three repeats
    assert texts["runs"].count("FINISHED") == 16  # of the sweep
    assert "| a | 3 | " in texts["steps"]
    assert [f"Matrix products in {one}:" in texts["precisions"] for one in ("32", "tf32", "bf16")] == [
        False,
        True,
        True,
    ]
    assert "| by-hand | " in texts["trials"]
    assert "test accuracy: " in texts["chapter"]
    with tarfile.open(out / "details.tar.gz") as details:
        names = details.getnames()
        taken = json.load(details.extractfile("details/steps.json"))["tables"][0]["raw"]["a, K=3"]
    assert sum(name.endswith("result.json") for name in names) == 1 + 16 + 1
    assert all(value > 0 for way in ("eager", "by-hand") for value in taken[way])


def test_a_part_that_fails_or_lasts_too_long_stops_no_other_and_none_begins_too_late(tmp_path):
    """With a Python that only pretends; the sweep never ends."""
    python = tmp_path / "python"
    python.write_text(
        """#!/bin/sh
case "$*" in
*pytest*) exit 3 ;;
*hydra/sweeper*) exec tail -f /dev/null ;;
*src.commands.reproduce*) echo shallow +exp=shallow repeats=3 ;;
esac
"""
    )
    python.chmod(0o755)
    ended = [("failed", "tests"), ("failed", "kinds"), ("passed", "runs"), ("timed out", "runs")]
    late = [("skipped", part) for part in ("steps", "kernels", "precisions", "trials", "chapter")]
    assert session(tmp_path / "out", PYTHON=str(python), DEADLINE="2") == (ended + late, 1)


def test_the_wheels_are_of_the_versions_that_the_project_is_pinned_to():
    pins = dict(re.findall(r"([\w-]+)==([\w.]+)", SCRIPT.read_text().partition('PACKAGES="')[2].partition('"')[0]))
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    ours = dict(one.split("==") for one in project["dependencies"] + project["optional-dependencies"]["dev"])
    assert {name: pins[name] for name in pins if name in ours} == {name: ours[name] for name in ours if name in pins}
    there_or_not_needed = {"torch", "pytorch-lightning", "numpy", "scipy", "numba", "mlflow", "matplotlib"}
    there_or_not_needed |= {"pandas", "pyarrow", "pillow"}  # of tables and folders of images, which it does not read
    assert {one.split("==")[0] for one in project["dependencies"]} - there_or_not_needed <= set(pins)
