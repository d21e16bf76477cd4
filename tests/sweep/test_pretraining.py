"""Layers that are trained one after another before the network: from what, on what, alone and in a stack, and again."""

import json
from pathlib import Path

import pytest
import torch

from src.commands import resume
from src.config.check import parse
from src.config.compose import composed
from src.config.error import ConfigError
from src.config.phases import phases
from src.data.codes import coded
from src.data.scaling import as_seen
from src.models.model import model_of
from src.runs import checkpoint
from src.sweep.job import Job
from src.sweep.start import start_from_run
from tests import example
from tests.commands.test_resume import stops_after, the_run
from tests.sweeping import SMALL, command, folders, members, replaced
from tests.tracking.test_tracker import empty_store

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

THREE = "pretrain.max_epochs=3"
AUTOENCODERS = ["pretrain=reconstruct", "pretrain.corruption=[0.1,0.3]", "pretrain.eta=0.1", THREE]
MACHINES = ["pretrain=contrast", "pretrain.k=2", "pretrain.persistent=true", THREE]
RUN = replaced(*SMALL, "model.hidden=[8,6]", "model.init=glorot", "tracking=none")
RUN = replaced(*RUN, "trainer.engine=auto", "trainer.compile=false")
STAYS = "optim.eta=1e-30"  # so that the network's own training changes nothing


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> Path:
    folder.mkdir(exist_ok=True)
    assert command(monkeypatch, folder, *replaced(*RUN, *more)) == 0
    return folder / the_run(folder)


def weights(folder: Path, member: int = 0) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"member-{member:02d}" / "weights.pt", weights_only=True)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [AUTOENCODERS, MACHINES])
def test_the_network_begins_with_the_weights_of_its_phases_each_trained_on_the_codes_below(kind, tmp_path, monkeypatch):
    folder = run(monkeypatch, tmp_path, *kind, STAYS, "max_epochs=1")
    network = weights(folder)
    for number in range(2):
        phase = folder / f"pretrain-{number + 1}"
        (member,) = members(phase)
        assert (member["status"], len(member["history"]), member["best_epoch"]) == ("FINISHED", 3, 3)
        for part in ("weight", "bias"):
            torch.testing.assert_close(network[f"layers.{number}.{part}"], weights(phase)[f"layers.0.{part}"])
    assert network["layers.2.weight"].abs().max() < 1e-20
    first, second = (weights(folder / f"pretrain-{number}") for number in (1, 2))
    assert (first["layers.0.weight"].shape, second["layers.0.weight"].shape) == ((8, 784), (6, 8))
    assert not (folder / "pretrain-2" / "checkpoint.pt").exists()


def test_codes_are_a_plain_forward_pass():
    data, torch_threads = example.dataset(), torch.get_num_threads()
    own = [{"layers.0.weight": torch.randn(5, 144), "layers.0.bias": torch.randn(5)} for _ in range(2)]
    once = coded(data, own, "sigmoid")
    twice = coded(once, [{"layers.0.weight": torch.eye(5), "layers.0.bias": torch.zeros(5)}] * 2, "sigmoid")
    assert once.train.inputs.shape == (2, 60, 5, 1, 1)
    for k, one in enumerate(own):
        layer = torch.nn.Linear(144, 5)
        layer.load_state_dict({name.removeprefix("layers.0."): value for name, value in one.items()})
        plain = torch.sigmoid(layer(as_seen(data.validation.inputs, None).flatten(1)))
        torch.testing.assert_close(once.validation.inputs[k].flatten(1), plain.detach())
        torch.testing.assert_close(twice.validation.inputs[k].flatten(1), plain.sigmoid().detach())
    assert torch.get_num_threads() == torch_threads


def test_a_phase_begins_with_the_weights_of_the_network_and_no_epochs_leave_them(tmp_path, monkeypatch):
    plain = run(monkeypatch, tmp_path / "plain", "max_epochs=2")
    none = run(monkeypatch, tmp_path / "none", *AUTOENCODERS, "pretrain.max_epochs=0", "max_epochs=2")
    for name, value in weights(plain).items():
        assert value.equal(weights(none)[name])
    still = run(monkeypatch, tmp_path / "still", *AUTOENCODERS, "pretrain.eta=1e-30", "pretrain.max_epochs=1")
    config = parse(composed([*RUN, *AUTOENCODERS]))
    initial = model_of(config).first_state(0)
    for number in range(2):
        kept = weights(still / f"pretrain-{number + 1}")["layers.0.weight"]
        torch.testing.assert_close(kept, initial[f"layers.{number}.weight"])


def test_a_member_is_pretrained_as_alone(tmp_path, monkeypatch):
    three = run(monkeypatch, tmp_path / "three", *AUTOENCODERS, "repeats=3")
    alone = run(monkeypatch, tmp_path / "alone", *AUTOENCODERS, "seed=1")
    same(weights(three, 1), weights(alone))
    same(weights(three / "pretrain-2", 1), weights(alone / "pretrain-2"))


def test_an_ensemble_is_pretrained_and_a_member_that_diverges_there_fails_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rates = ["-m", *AUTOENCODERS, "pretrain.eta=0.1,1e38", "ensemble=2"]
    assert command(monkeypatch, tmp_path, *replaced(*RUN, *rates)) == 1
    good, bad = folders(tmp_path)
    assert [one["status"] for one in members(good)] == ["FINISHED"] * 2
    assert [one["status"] for one in members(bad)] == ["FAILED"] * 2


@pytest.mark.parametrize("kind", [AUTOENCODERS, MACHINES])
def test_a_run_that_is_stopped_in_any_phase_goes_on_to_what_it_would_have_come_to(kind, tmp_path, monkeypatch, capsys):
    whole = run(monkeypatch, tmp_path / "whole", *kind)
    cut = tmp_path / "cut"
    cut.mkdir()
    monkeypatch.setattr(checkpoint, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    with monkeypatch.context() as patched:
        stops_after(1, patched)
        assert command(patched, cut, *replaced(*RUN, *kind)) == 130
    folder = cut / the_run(cut)
    assert "The run can go on with its pretraining: python -m src.resume" in capsys.readouterr().out
    for chunks in (2, 4):  # within the first phase, at the second's end; an epoch is one chunk
        with monkeypatch.context() as patched:
            stops_after(chunks, patched)
            patched.chdir(cut)
            assert resume.main([str(folder)]) == 130
    monkeypatch.chdir(cut)
    assert resume.main([str(folder)]) == 0
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(folder)[name], value, rtol=0, atol=0)
    assert not (folder / "checkpoint.pt").exists()


def test_mlflow_has_a_child_for_each_phase_with_its_figures(tmp_path, monkeypatch, tmp_path_factory, capsys):
    empty_store(tmp_path / "mlruns", tmp_path_factory)
    assert command(monkeypatch, tmp_path, *replaced(*RUN, *AUTOENCODERS, "tracking=mlflow", "figures=true")) == 0
    assert "could not be drawn" not in capsys.readouterr().out
    figures = {path.relative_to(path.parents[2]).as_posix() for path in tmp_path.glob("**/pretrain-*/figures/*.png")}
    assert {"pretrain-1/figures/filters_fc1.png", "pretrain-2/figures/reconstruction_cost.png"} <= figures
    from benchmarks.kills import client, tracked

    own = [run for run in tracked(client(tmp_path)) if "exp" in run.data.tags]
    runs = {run.data.tags["mlflow.runName"].split(" · ")[0]: run for run in own}
    assert set(runs) == {"custom", "custom pretrain-1", "custom pretrain-2"}
    for name in ("custom pretrain-1", "custom pretrain-2"):
        assert runs[name].data.tags["mlflow.parentRunId"] == runs["custom"].info.run_id
        assert runs[name].info.status == "FINISHED"
        assert "validation/reconstruction_cost" in runs[name].data.metrics


def test_a_sweep_pretrains_its_trials_together(tmp_path, monkeypatch, capsys):
    swept = ["-m", *AUTOENCODERS, "pretrain.corruption=[0.1],[0.4]", "optim.eta=0.1,0.2"]
    assert command(monkeypatch, tmp_path, *replaced(*RUN, *swept)) == 0
    assert "pretraining of layer 1: 4 networks" in capsys.readouterr().out
    alone = run(monkeypatch, tmp_path / "alone", *AUTOENCODERS, "pretrain.corruption=[0.4]", "optim.eta=0.1")
    found = [weights(folder) for folder in folders(tmp_path)]
    assert any(one["layers.0.weight"].allclose(weights(alone)["layers.0.weight"], atol=1e-5) for one in found)


def test_a_network_begins_with_the_weights_of_a_run_as_far_as_they_fit(tmp_path, monkeypatch, capsys):
    source = run(monkeypatch, tmp_path / "source", "repeats=2")
    capsys.readouterr()
    taken = run(monkeypatch, tmp_path / "taken", f"model.start={source}", "repeats=2", STAYS, "max_epochs=1")
    assert "layers.2.weight" in " ".join(capsys.readouterr().out.split())
    for member in range(2):
        same(weights(taken, member), weights(source, member))
    wider = parse(composed([*replaced(*RUN, "model.hidden=[8,7]"), f"model.start={source}"]))
    job = Job(wider, tmp_path, [])
    words = start_from_run(job)
    assert words.startswith("layers.0.weight, layers.0.bias of ")
    assert "anew: layers.1.weight" in words
    other = parse(composed([*replaced(*RUN, "model.hidden=[9]"), f"model.start={source}"]))
    with pytest.raises(ConfigError, match=r"none of its weights fit: layers.0.weight \(8, 784\).*accepted: the folder"):
        start_from_run(Job(other, tmp_path, []))
    nothing = parse(composed([*RUN, "model.start=nowhere"]))
    with pytest.raises(ConfigError, match=r"model.start = .nowhere.: holds no run"):
        start_from_run(Job(nothing, tmp_path, []))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["model.maps=[3]"], "layer 1 is a convolution"),
        (["model.hidden=[]"], "there is no hidden layer"),
        (["model.activation=relu"], "accepted: sigmoid"),
        (["pretrain.corruption=[0.1,0.2,0.3]"], "has 3 values for 2 hidden layers"),
        (["task=reconstruct"], "the layers of task=reconstruct have no others below"),
        (["model.start=somewhere"], "model.start gives the weights already"),
        (["data.normalise=channel"], "takes inputs for probabilities"),
    ],
)
def test_what_cannot_be_pretrained_is_refused(change, said):
    with pytest.raises(ConfigError, match=said):
        parse(composed([*replaced(*RUN, *AUTOENCODERS, *change)]))


def test_phases_are_the_layers_with_their_own_settings():
    config = parse(composed([*replaced(*RUN, *AUTOENCODERS, "ensemble=2", "repeats=2")]))
    first, second = phases(config)
    assert (first.members, first.task.corruption, second.task.corruption) == (4, 0.1, 0.3)
    assert [one.shapes()[0].weight_shape for one in (first, second)] == [(8, 784), (6, 8)]
    assert json.dumps(second.shown())
