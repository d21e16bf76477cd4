"""Exported graphs give what the networks give, and need no line of ours."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from src.commands.compare import read_run
from src.config.error import UserError
from src.data.columns import UNKNOWN
from src.data.preprocessing import Preprocessing
from src.data.whitening import whitening
from src.models.model import trained_network
from src.runs import export_file
from src.runs.export_file import export, largest_difference
from src.runs.predictor import Predictor, predictions
from src.runs.trained import networks_in
from tests import example
from tests.trained_runs import run_in, table, table_run

RUNS = {
    "one": {},
    "ensemble": {
        "scores": (0.5, 0.6, 0.7), "ensemble": 3, "model": {"dropout": 0.5},
        "result": {"scaling": {"mean": [0.3], "sd": [0.2]}},
    },
    "whitened": {
        "data": {"normalise": "pca"}, "model": {"maps": []},
        "result": {"whitening": whitening(example.split(300, 1).inputs, "pca", 0.1)},
    },
}  # fmt: skip


def predictor_in(run: Path) -> Predictor:
    return Predictor([one.read() for one in networks_in(run, read_run(run))])


def predictor_of(folder: Path, **sections: object) -> Predictor:
    return predictor_in(run_in(folder, **sections))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "name"), [("pt2", "one"), ("pt2", "whitened"), ("pt2", "ensemble"), ("onnx", "ensemble")]
)
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


def by_hand(run: Path, frame: pd.DataFrame) -> torch.Tensor:
    """The mean probabilities of a table's networks, each of which sees the rows through its own preprocessing."""
    shares = []
    for one in [left.read() for left in networks_in(run, read_run(run))]:
        features = torch.from_numpy(Preprocessing.from_json(one.result.preprocessing or {}).apply(frame))
        network = trained_network(one.config, one.result.weights)
        with torch.no_grad():
            shares.append(network(features[..., None, None]).softmax(-1))
    return torch.stack(shares).mean(0)


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
@pytest.mark.filterwarnings("ignore")
def test_a_graph_of_folds_takes_a_tables_columns_with_missing_and_unknown_values(kind: str, tmp_path: Path) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    run, path = table_run(tmp_path / "run", folds=3), tmp_path / f"a.{kind}"
    predictor, frame = predictor_in(run), table(1000, seed=1, missing=0.3)
    frame.loc[:9, "colour"] = "no colour that was seen"
    assert predictor.columns is not None
    rows = torch.from_numpy(predictor.columns.coded(frame, "a table"))
    assert (rows == UNKNOWN).sum() == 10
    assert rows.isnan().sum() > 1000
    assert export(predictor, rows, kind, path) <= 1e-5
    found = {"pt2": export_file._pt2_call, "onnx": export_file._onnx_call}[kind](path.read_bytes())(rows)
    torch.testing.assert_close(found, by_hand(run, frame), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_network_of_the_users_becomes_a_graph_or_is_said_to_branch_on_values(tmp_path: Path) -> None:
    own = {"maps": [], "hidden": [], "target": "tests.own_networks.Mlp", "args": {"dropout": 0.5, "leak": 0.1}}
    predictor, inputs = predictor_of(tmp_path / "mlp", model=own), example.split(1000, 4).inputs
    assert export(predictor, inputs, "pt2", tmp_path / "a.pt2") <= 1e-5
    found = export_file._pt2_call((tmp_path / "a.pt2").read_bytes())(inputs)
    torch.testing.assert_close(found, predictions(predictor, inputs), rtol=1e-5, atol=1e-6)
    branching = predictor_of(tmp_path / "if", model=own | {"target": "tests.own_networks.Branching", "args": {}})
    with pytest.raises(UserError, match=r"cannot be traced as a graph \(.*data-dependent.*\); accepted: a network th"):
        export(branching, inputs, "pt2", tmp_path / "b.pt2")


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
    with pytest.raises(UserError, match=r"differ from the networks' by up to 2e\+03; accepted: at most 1e-05"):
        export(predictor, rows, "pt2", tmp_path / "b.pt2")
    assert not (tmp_path / "b.pt2").exists()


def test_a_format_whose_packages_are_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_file, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs onnx, onnxscript, onnxruntime, which are not installed; accepted: aft"):
        export_file.refuse_missing("onnx")
    export_file.refuse_missing("pt2")
