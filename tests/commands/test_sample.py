"""What src.sample draws from a run's folder, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.commands import sample
from src.config.files import write_json
from src.runs import canvas
from tests import example

PIXELS = example.SIDE**2
SMALL = ["chains=3", "rows=2", "steps=4"]


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.data.load.load", lambda config: example.dataset())
    monkeypatch.setattr(canvas, "DPI", 60)


def run_in(folder: Path, inputs: int = PIXELS, scores: tuple[float, ...] = (-9.0,), **fields: Any) -> Path:
    """A run of task=contrast with random weights, six hidden units and a member a score."""
    raw = example.raw(task={"name": "contrast"}, model={"maps": [], "hidden": [6]})
    given = {
        "status": "FINISHED", "history": [{"epoch": 1}], "best_epoch": 1, "test_pseudo_likelihood": -9.0,
        "seconds": 1.0, "dataset": "example", "device": "cpu",
    }  # fmt: skip
    kept = [
        {"config": raw, "seed": seed, "validation_pseudo_likelihood": score} | given | fields
        for seed, score in enumerate(scores)
    ]
    write_json(folder / "result.json", kept)
    for seed in range(len(scores)):
        torch.manual_seed(seed)
        shapes = {"layers.0.weight": (6, inputs), "layers.0.bias": (6,), "visible_bias": (inputs,)}
        (folder / f"member-0{seed}").mkdir()
        torch.save({name: torch.randn(shape) for name, shape in shapes.items()}, weights_in(folder, seed))
    return folder


def weights_in(folder: Path, member: int = 0) -> Path:
    return folder / f"member-0{member}" / "weights.pt"


def drawn(*arguments: object, out: Path) -> dict[str, np.ndarray]:
    assert sample.main([*map(str, arguments), *SMALL, f"out={out}"]) == 0
    with np.load(out.with_suffix(".npz")) as content:
        return dict(content)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a command that must fail: on stderr alone, exit 2, one line."""
    assert sample.main([*map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix("Nothing was drawn: ")


def test_chains_of_the_best_member_begin_with_test_images_and_the_seed_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(tmp_path / "run", scores=(-9.0, -7.0, -8.0))
    assert sample.main([f"run={run}", *SMALL]) == 0
    assert f"Picture: {run / 'samples.png'}\nSamples: {run / 'samples.npz'}\n" in capsys.readouterr().out
    with np.load(run / "samples.npz") as content:
        first = dict(content)
    test_images = example.dataset().test.inputs[first["starts"]].numpy()
    np.testing.assert_array_equal(first["images"], test_images.astype(np.float32) / 255)
    assert first["means"].shape == first["drawn"].shape == (2, 3, 1, example.SIDE, example.SIDE)
    assert set(np.unique(first["drawn"])) == {0, 1}
    assert (run / "samples.png").stat().st_size > 1000
    same = drawn(f"run={run}", "member=1", out=tmp_path / "a.png")
    assert all(np.array_equal(same[name], value) for name, value in first.items())
    for changes in (["member=0"], ["seed=1"]):
        assert not np.array_equal(drawn(f"run={run}", *changes, out=tmp_path / "b.png")["means"], first["means"])


def test_a_deep_belief_nets_machines_are_taken_from_the_bottom_to_the_top(tmp_path: Path) -> None:
    run_in(tmp_path / "pretrain-10", inputs=6)
    run_in(tmp_path / "pretrain-2", inputs=6)
    run_in(tmp_path / "pretrain-1")
    assert [one.name for one in sample.phases_of(tmp_path)] == ["pretrain-1", "pretrain-2", "pretrain-10"]
    made = drawn(f"run={tmp_path}", out=tmp_path / "a.png")
    assert made["means"].shape == (2, 3, 1, example.SIDE, example.SIDE)
    weights_in(tmp_path / "pretrain-10").unlink()
    assert sample.main([f"run={tmp_path}", *SMALL]) == 2


def test_what_cannot_be_drawn_is_refused_in_one_paragraph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(tmp_path / "run")
    assert "no such folder; accepted: a run's own" in refused(capsys, f"run={tmp_path / 'no'}")
    assert "holds no result.json" in refused(capsys, f"run={run / 'member-00'}")
    assert "member=1: the run has no such member; accepted: best, 0." in refused(capsys, f"run={run}", "member=1")
    wrong = refused(capsys, f"run={run}", "steps=0", "rows=two")
    assert "rows=two: must be a whole number; accepted: 1 to 1,000. steps=0: must" in wrong
    assert "chains=31: example has 30 test images" in refused(capsys, f"run={run}", "chains=31")
    assert "accepted: a file name that ends in .png" in refused(capsys, f"run={run}", "out=a.jpg")
    weights_in(run).unlink()
    assert "holds no weights, for the member (FINISHED)" in refused(capsys, f"run={run}")
    weights_in(run).write_bytes(b"half")
    assert "cannot be read as the weights of a machine" in refused(capsys, f"run={run}")
    torch.save({}, weights_in(run))  # as of a run that was killed in its first epoch
    assert "did not come to the end of an epoch" in refused(capsys, f"run={run}")
    other = run_in(tmp_path / "other", dataset="mnist")
    assert "the run was trained on mnist; here is example" in refused(capsys, f"run={other}")
    net = run_in(tmp_path / "net", config=example.raw(), validation_accuracy=0.5, test_accuracy=0.5)
    assert "is of task=classify; accepted: a run of task=contrast" in refused(capsys, f"run={net}")
