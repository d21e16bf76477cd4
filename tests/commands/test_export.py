"""The command src.export: a graph of a run's networks, in a file and in MLflow's registry, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.commands import export
from src.commands.compare import read_run
from src.runs.predictor import Predictor, predictions
from src.runs.trained import networks_in
from tests import example
from tests.trained_runs import run_in, table, table_run


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.runs.evaluation_data.load", lambda config, kind: example.dataset())


def served(uri: str, version: str) -> Any:
    """The model `small` of this version as MLflow loads it, without a line of ours."""
    import mlflow

    found = mlflow.MlflowClient(uri).get_model_version_download_uri("small", version)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        return mlflow.pyfunc.load_model(found)
    finally:
        mlflow.set_tracking_uri(before)


def ours(run: Path) -> Predictor:
    return Predictor([one.read() for one in networks_in(run, read_run(run))])


@pytest.mark.usefixtures("data")
@pytest.mark.filterwarnings("ignore")  # MLflow's and the exporters' own
def test_registered_graphs_of_images_and_of_a_table_are_served_by_mlflow_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, graph = f"sqlite:///{tmp_path}/m.db", f"output={tmp_path / 'a.pt2'}"
    more = [graph, "register=true", "name=small", f"tracking.uri={uri}"]
    run = run_in(tmp_path / "run")
    assert export.main([f"run={run}", *more]) == 0
    assert f"MLFLOW_TRACKING_URI={uri} mlflow models predict -m models:/small/1" in capsys.readouterr().out
    model = served(uri, "1")
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 1, example.SIDE, example.SIDE)
    images = example.dataset().test.inputs
    answers = torch.from_numpy(np.asarray(model.predict(images.numpy())))
    torch.testing.assert_close(answers, predictions(ours(run), images))

    run = table_run(tmp_path / "table")
    assert export.main([f"run={run}", *more]) == 0
    model, predictor, frame = served(uri, "2"), ours(run), table(50, seed=1)
    assert model.metadata.signature.inputs.input_names() == ["age", "time", "colour", "doors"]
    frame["time"] = frame["time"].fillna(0).astype("int64")  # whole numbers, which MLflow does not take for others
    answered = model.predict(frame)
    assert list(answered.columns) == ["prediction", "high", "low", "middle"]
    assert predictor.columns is not None
    probabilities = predictions(predictor, torch.from_numpy(predictor.columns.coded(frame, "a table")))
    np.testing.assert_allclose(answered.iloc[:, 1:].to_numpy(), probabilities.numpy(), rtol=1e-5)
    assert answered["prediction"].tolist() == answered.iloc[:, 1:].idxmax(axis=1).tolist()
    described = json.loads((tmp_path / "a.pt2.json").read_text(encoding="utf-8"))
    assert described["inputs"]["columns"][2] == {
        "name": "colour", "kind": "category", "values": ["blue", "light green", "red"],
    }  # fmt: skip


def test_what_cannot_be_exported_is_refused_in_one_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = f"run={run_in(tmp_path / 'run')}"
    for arguments, words in [
        (["output=a.bin"], "format=bin: accepted: pt2 or onnx."),
        (["output=a.pt2", "format=onnx", "register=yes"], "ends in .onnx. register=yes: accepted: true or false."),
        (["output=a.onnx", "register=true"], "a model in MLflow holds a pt2 graph; accepted: format=pt2."),
        ([], "output= is missing."),
    ]:
        assert export.main([run, *arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert words in err
