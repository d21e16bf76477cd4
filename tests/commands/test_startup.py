"""What a command must not load before it is needed: this is what makes it answer, or begin to train, at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Half a second to two seconds each.
LIBRARIES = {"torch", "numba", "pytorch_lightning", "mlflow", "optuna", "matplotlib", "sklearn", "scipy", "pandas"}

CODE = """
import sys
from src.commands import train

wanted, sys.argv = sys.argv[1].split(), ["train", *sys.argv[2:]]
status = 0
try:
    train.main()
except SystemExit as ended:
    status = ended.code
print("LOADED", *(name for name in wanted if name in sys.modules))
sys.exit(status)
"""


def loaded(names, *arguments, folder):
    """Exit status of the command with these arguments, and which modules of `names` it loaded."""
    ran = subprocess.run(
        [sys.executable, "-c", CODE, " ".join(names), *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "HYDRA_FULL_ERROR": "0"},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, set(ran.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("arguments", [["--help"], ["--help", "+exp=conv"], ["--cfg", "job"]])
def test_an_answer_loads_neither_libraries_nor_the_schema(arguments, tmp_path):
    assert loaded([*LIBRARIES, "pydantic", "rich"], *arguments, folder=tmp_path) == (0, set())


@pytest.mark.parametrize(
    "arguments",
    [["optim.etta=1"], ["+exp=shalow"], ["optim.eta=-1"], ["-m", "optim.eta=0.1,-1"], ["--help", "data=nist"]],
)
def test_a_refusal_loads_no_library(arguments, tmp_path):
    assert loaded(LIBRARIES, *arguments, folder=tmp_path) == (2, set())


def test_a_run_loads_what_it_trains_with_and_no_more(tmp_path):
    run = ["+exp=shallow", "data=digits", "max_epochs=1", "tracking=none", "figures=false"]
    engine = ["trainer.engine=torch", "trainer.compile=false", "trainer.threads=1"]
    names = LIBRARIES | {"torchmetrics", "scipy.special", "scipy.stats", "scipy.signal"}
    status, found = loaded(names, *run, *engine, folder=tmp_path)
    assert status == 0
    assert found == {"torch", "pytorch_lightning"}
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_lightning_loads_neither_metrics_nor_the_compiler_and_leaves_both_usable(tmp_path):
    code = """
import sys
from src.training.lightning import LightningModule, Trainer
heavy = ("torch._dynamo", "torchmetrics", "matplotlib", "scipy")
assert not [name for name in heavy if name in sys.modules]

import torch
import torchmetrics
assert torchmetrics.MeanMetric()(torch.tensor([1.0, 3.0])) == 2
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
assert isinstance(torch.compile(torch.nn.Linear(1, 1)), torch._dynamo.OptimizedModule)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
