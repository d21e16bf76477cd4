"""What src.check says of networks, and what it refuses."""

import pytest
import torch

from src.commands import check

DIGITS = ["data=digits", "tracking=none", "trainer.threads=1", "examples=4", "sample=4", "heart=0"]


def own(name: str) -> list[str]:
    return [f"model.target=tests.own_networks.{name}", "model.args={inputs: 784, outputs: 10}"]


def test_right_gradients_end_with_0_and_each_parameter_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*DIGITS, "model.hidden=[5]", "heart=3", "optim.eta=1"]
    assert check.main([one for one in arguments if one != "heart=0"]) == 0
    said = capsys.readouterr().out
    assert "first cost  2.303; 2.303 where all outputs are 0" in said
    assert all(said.count(f"layers.{number}.{what}") == 1 for number in (0, 1) for what in ("weight", "bias"))
    assert "by heart  3 examples: cost 2.303 to 0." in said
    assert "The gradients are right: 16 derivatives" in said


def test_a_wrong_gradient_ends_with_1_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([*DIGITS, *own("Wrong")]) == 1
    said = capsys.readouterr().out
    assert said.count("WRONG") == 2
    assert "first.weight[" in said
    assert "Wrong: 8 of 16 derivatives, in first.weight, first.bias." in said


def test_a_loss_that_makes_tensors_is_compared_in_float64_and_one_that_keeps_float32_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert check.main([*DIGITS, "model.hidden=[5]", "task.loss=tests.tasks.own_losses.weighted"]) == 0
    capsys.readouterr()
    assert check.main([*DIGITS, "model.hidden=[5]", "task.loss=tests.tasks.own_losses.of_one_type"]) == 2
    assert "cannot be computed in float64" in capsys.readouterr().err
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optim.etta=3"], "optim.etta: no such key; did you mean optim.eta"),
        (["model.hidden=[0]"], "model.hidden.0 = 0: must be"),
        (["sample=0"], "sample=0: must be a whole number; accepted: 1 to 10,000."),
        (["optim.eta=0.1,0.2"], "optim.eta=0.1,0.2: several values are a grid"),
        ([*own("Missing")], "tests.own_networks has no Missing"),
    ],
)
def test_what_cannot_be_checked_is_refused_like_by_train(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main(["data=digits", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
