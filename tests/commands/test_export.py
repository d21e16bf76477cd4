"""The command src.export: a graph of a run's networks, in a file and in MLflow's registry, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.commands import export
from src.commands.compare import read_run
from src.runs.predictor import Predictor, predictions
from src.runs.trained import networks_in
from tests import example
from tests.trained_runs import run_in


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.runs.test_data.load", lambda config, kind: example.dataset())


@pytest.mark.filterwarnings("ignore")  # MLflow's and the exporters' own
def test_a_registered_graph_is_served_by_mlflow_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow

    run, uri = run_in(tmp_path / "run"), f"sqlite:///{tmp_path}/m.db"
    graph = f"output={tmp_path / 'a.pt2'}"
    assert export.main([f"run={run}", graph, "register=true", "name=small", f"tracking.uri={uri}"]) == 0
    assert f"MLFLOW_TRACKING_URI={uri} mlflow models predict -m models:/small/1" in capsys.readouterr().out
    client = mlflow.MlflowClient(uri)
    found = client.get_model_version_download_uri("small", "1")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        model = mlflow.pyfunc.load_model(found)
    finally:
        mlflow.set_tracking_uri(before)
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 1, example.SIDE, example.SIDE)
    images = example.dataset().test.inputs
    ours = predictions(Predictor([one.read() for one in networks_in(run, read_run(run))]), images)
    torch.testing.assert_close(torch.from_numpy(np.asarray(model.predict(images.numpy()))), ours)


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
