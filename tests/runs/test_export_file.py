"""Exported graphs give what the networks give, and need no line of ours."""

from pathlib import Path

import pytest
import torch

from src.commands.compare import read_run
from src.config.error import UserError
from src.runs import export_file
from src.runs.export_file import export, largest_difference
from src.runs.predictor import Predictor, predictions
from src.runs.trained import networks_in
from tests import example
from tests.trained_runs import run_in

RUNS = {
    "one": {},
    "ensemble": {
        "scores": (0.5, 0.6, 0.7), "ensemble": 3, "model": {"dropout": 0.5},
        "result": {"scaling": {"mean": [0.3], "sd": [0.2]}},
    },
}  # fmt: skip


def predictor_of(folder: Path, **sections: object) -> Predictor:
    run = run_in(folder, **sections)  # type: ignore[arg-type]
    return Predictor([one.read() for one in networks_in(run, read_run(run))])


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.filterwarnings("ignore")  # the exporters' own
def test_a_graph_gives_what_the_networks_give_for_any_number_of_examples(kind: str, name: str, tmp_path: Path) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    predictor, path = predictor_of(tmp_path / "run", **RUNS[name]), tmp_path / f"a.{kind}"
    inputs = example.split(1000, 4).inputs
    assert export(predictor, inputs, kind, path) <= 1e-5
    call = {"pt2": export_file._pt2_call, "onnx": export_file._onnx_call}[kind](path.read_bytes())
    for count in (1, 1000):
        assert largest_difference(call(inputs[:count]), predictions(predictor, inputs[:count])) <= 1e-5


@pytest.mark.filterwarnings("ignore")
def test_a_graph_of_rows_gives_numbers_and_one_that_differs_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"channels": 5, "height": 1, "width": 1, "target_count": 2}
    result = {"target_scaling": {"mean": [2000.0, 10.0], "sd": [50.0, 1.0]}}
    predictor = predictor_of(
        tmp_path / "run", data=data, model={"maps": [], "hidden": [6]}, task={"name": "regress"}, result=result
    )
    rows = torch.randn(1000, 5, 1, 1, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "a.pt2"
    assert export(predictor, rows, "pt2", path) <= 1e-5
    given = export_file._pt2_call(path.read_bytes())(rows[:7, :, 0, 0])
    torch.testing.assert_close(given, predictions(predictor, rows[:7]))
    monkeypatch.setattr(export_file, "predictions", lambda *_: given.new_zeros(1000, 2))
    with pytest.raises(UserError, match=r"differ from the networks' by up to 2e\+03; accepted: at most 1e-04"):
        export(predictor, rows, "pt2", tmp_path / "b.pt2")
    assert not (tmp_path / "b.pt2").exists()


def test_a_format_whose_packages_are_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_file, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs onnx, onnxscript, onnxruntime, which are not installed; accepted: aft"):
        export_file.refuse_missing("onnx")
    export_file.refuse_missing("pt2")
