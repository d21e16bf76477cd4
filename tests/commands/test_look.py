"""What src.look draws of runs, held to a plain network, and what it refuses."""

from pathlib import Path

import pytest
import torch

from src.commands import look
from src.commands.networks import chosen_networks
from src.models.model import trained_network
from src.runs import canvas
from src.runs.look import Look
from src.runs.predictor import Predictor
from src.training.augment.examples import changed_images
from src.training.engines.engine import Sums
from src.training.fit import prepare
from src.training.fit import run as trained_run
from tests import example
from tests.trained_runs import run_in, table_run

MLP = {"target": "tests.own_networks.Mlp", "args": {"dropout": 0.4}, "maps": [], "hidden": []}


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.runs.evaluation_data.load", lambda config, kind: example.dataset())
    monkeypatch.setattr(canvas, "DPI", 50)


def drawn(folder: Path) -> list[str]:
    assert all(one.stat().st_size > 1000 for one in folder.iterdir())
    return sorted(one.stem for one in folder.iterdir())


def test_a_convolution_has_every_figure_beside_the_runs_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(tmp_path / "run", scores=(0.5, 0.7), model={"dropout": 0.2})
    assert look.main([f"run={run}", "image=28"]) == 0
    said = capsys.readouterr().out
    assert "custom, member 1; trained on example" in said
    layers = [f"excited_layers.{number}" for number in range(3)]
    folder = run / "figures" / "look"
    expected = ["codes", *layers, "filters_layers.0", "maps_28", "occlusion", "seen"]
    assert drawn(folder) == expected
    assert said.count("Picture: ") == len(expected)
    assert "Not drawn" not in said
    assert look.main([f"run={run}", "unit=layers.1:3", f"output={tmp_path / 'out'}"]) == 0
    assert drawn(tmp_path / "out") == ["unit_layers.1_3"]


def test_of_the_folds_that_a_study_answers_with_the_first_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(tmp_path / "run", scores=(0.7, 0.5))
    folds = chosen_networks({"run": str(run), "study": "", "storage": "", "top": "2"})
    monkeypatch.setattr(look, "chosen_networks", lambda options: folds)
    assert look.main([f"run={run}", "unit=layers.1:3"]) == 0
    assert drawn(run / "figures" / "look") == ["unit_layers.1_3"]


def test_own_networks_and_rows_of_a_table_have_what_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("src.data.load.load", lambda config, kind: example.dataset())
    run = run_in(tmp_path / "own", model=MLP, augment={"shift": 2})
    assert look.main([f"run={run}"]) == 0
    excited = [f"excited_{name}" for name in ("first", "last", "norm")]
    expected = ["changed", "codes", *excited, "filters_first", "maps_0", "occlusion", "seen"]
    assert drawn(run / "figures" / "look") == expected
    for task in ({"name": "classify"}, {"name": "regress"}):
        target = (
            {"target": ["price", "area"], "drop": ["level"], "target_count": 2} if task["name"] == "regress" else {}
        )
        run = table_run(tmp_path / task["name"], task=task, data=target)
        capsys.readouterr()
        assert look.main([f"run={run}"]) == 0
        assert drawn(run / "figures" / "look") == ["codes"]
        assert capsys.readouterr().out.count("Not drawn: filters, feature maps") == 1


def test_exciting_images_and_occlusion_are_those_of_the_network_itself(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", model={"dropout": 0.2})
    [one] = chosen_networks({"run": str(run), "study": "", "storage": "", "top": "1"})
    test = example.dataset().test
    seen = Look(Predictor([one]).members[0], "classes", test.inputs, test.targets)  # type: ignore[arg-type]
    network = trained_network(one.config, one.result.weights).requires_grad_(False)
    maps = network.layers[0](test.inputs.float() / 255)  # type: ignore[index, operator]
    found = seen.excited(100)["layers.0"]
    for unit in range(maps.shape[1]):
        order = maps[:, unit].amax((1, 2)).argsort(descending=True)
        assert found.strongest(unit, 4) == order[:4].tolist()
        row, column = divmod(int(maps[order[0], unit].argmax()), maps.shape[3])
        assert (found.places[order[0], unit] * maps.shape[2]).tolist() == pytest.approx([row + 0.5, column + 0.5])
    covered = test.inputs[3].repeat(144, 1, 1, 1)
    for place, image in enumerate(covered):
        for row in range(place // 12 - 1, place // 12 + 1):  # a square of 12 / 5 pixels
            for column in range(place % 12 - 1, place % 12 + 1):
                if row >= 0 and column >= 0:
                    image[:, row, column] = 128
    logits = network(covered.float() / 255, dropout=torch.tensor(one.config.model.dropouts()))
    torch.testing.assert_close(seen.occlusion(3, 2), logits.softmax(1)[:, 2].view(12, 12), rtol=1e-5, atol=0)


def test_changed_images_are_those_that_the_member_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    config = example.config(augment={"shift": 2, "rotate": 20}, seed=3, max_epochs=1)
    prepared = prepare([config], example.dataset(), lambda line: None)
    trained, train = list[torch.Tensor](), prepared.engine.train

    def recorded(inputs: torch.Tensor, targets: torch.Tensor, order: torch.Tensor, *rest: torch.Tensor) -> Sums:
        trained.append(inputs[: order.numel()].clone())
        return train(inputs, targets, order, *rest)

    monkeypatch.setattr(prepared.engine, "train", recorded)
    trained_run(prepared, [])
    count = config.batch_size
    order = torch.arange(count).repeat(2)
    found = changed_images(config.augment, example.dataset().train, order, 3, batch=count).split(count)
    assert torch.equal(torch.cat(trained)[: config.batch_size], found[0])  # its first mini-batch
    assert not torch.equal(found[0], found[1])


def test_codes_that_are_all_the_same_are_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(tmp_path / "run", model={"maps": []})
    weights = run / "member-00" / "weights.pt"
    state = torch.load(weights, weights_only=True)
    torch.save({name: torch.full_like(value, torch.nan) for name, value in state.items()}, weights)
    assert look.main([f"run={run}"]) == 0
    assert "Not drawn: codes, for the 30 examples all have the same one." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image=30"], "image=30: must be the number of a test example; accepted: 0 to 29."),
        (["unit=3"], "unit=3: must name a layer and a unit of it; accepted: LAYER:U such as layers.0:3."),
        (["unit=layers.7:0"], "unit=layers.7:0: no such layer; accepted: layers.0, layers.1, layers.2."),
        (["unit=layers.1:6"], "unit=layers.1:6: layers.1 has 6 units; accepted: 0 to 5."),
        (["top=2"], "top=2: accepted: keys of data, and run, study, storage, image, unit, output."),
    ],
)
def test_what_is_not_there_is_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(tmp_path / "run")
    assert look.main([f"run={run}", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "figures").exists()
