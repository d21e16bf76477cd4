"""The commands of the README's part on one's own data, network and loss, each run as it stands there, but shorter."""

import importlib
import shlex
import sys
from pathlib import Path

from sklearn.datasets import load_diabetes, load_wine

from src.api.command import Begun, run

README = Path(__file__).resolve().parents[2] / "README.md"
SHORTER = ["max_epochs=2", "figures=false", "tracking=none", "trainer.engine=torch", "trainer.compile=false"]
NETWORK = """
from torch import nn

class Wide(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, x):
        return self.layers(x)
"""


def commands():
    """The words of each command of the section, behind python -m."""
    section = README.read_text(encoding="utf-8").split("\n## Your own data")[1].split("\n## ")[0]
    return [shlex.split(line)[2:] for line in section.splitlines() if line.startswith("    python -m ")]


def test_the_commands_on_ones_own_data_network_and_loss_run(tmp_path, monkeypatch):
    wine, diabetes = load_wine(as_frame=True), load_diabetes(as_frame=True)
    kinds = wine.target.map({0: "barolo", 1: "grignolino", 2: "barbera"})
    wine.data.assign(kind=kinds).to_csv(tmp_path / "wine.csv", index=False)
    wine.data.head(6).to_csv(tmp_path / "new.csv", index=False)
    diabetes.data.assign(price=diabetes.target).to_csv(tmp_path / "houses.csv", index=False)
    (tmp_path / "mynets.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    todo = commands()
    assert [words[0] for words in todo] == [
        *["src.train"] * 4, "src.report", "src.predict", "src.evaluate", "src.export"
    ]  # fmt: skip
    for name, *arguments in todo:
        arguments = [one.replace("run=RUN", "run=first") for one in arguments]
        if name != "src.train":
            command = importlib.import_module(name.replace("src.", "src.commands."))
            assert command.main(arguments) == 0
            continue
        study = "-m" in arguments
        first = not study and not (tmp_path / "first").exists()
        where = ["hydra.sweeper.n_trials=2"] if study else ["hydra.run.dir=first"] if first else []
        run([*arguments, *SHORTER, *where], Begun())
    assert (tmp_path / "wine.pt2").is_file()
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 7
    sys.modules.pop("mynets", None)
