"""KEY=VALUE arguments: everything that is wrong in one message."""

import pytest

from src.error import UserError
from src.key_values import asks_for_help, key_values

DEFAULTS = {"study": None, "storage": "sqlite:///a.db", "out": ""}
USAGE = "python -m src.report study=NAME"


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        key_values(list(arguments), DEFAULTS, USAGE)
    message = str(caught.value)
    assert message.endswith(f"Usage: {USAGE}")
    return message


def test_what_is_not_given_takes_its_default() -> None:
    given = key_values(["study=a=b", "out=x"], DEFAULTS, USAGE)
    assert given == {"study": "a=b", "storage": "sqlite:///a.db", "out": "x"}


def test_everything_wrong_is_said_at_once() -> None:
    message = refused("studdy=a", "bare", "zzz=1", "out=", "storage=a", "storage=b")
    assert "studdy: no such key; did you mean study?" in message
    assert "'bare' is no KEY=VALUE." in message
    assert "zzz: no such key; accepted: study, storage, out." in message
    assert "out= must not be empty." in message
    assert "storage is given twice, as a and as b." in message
    assert "study= is missing." in message


@pytest.mark.parametrize("argument", ["-h", "--help"])
def test_help_is_the_commands_own_description(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert asks_for_help(["study=a", argument], "What it does\n")
    assert capsys.readouterr().out == "What it does\n"
    assert not asks_for_help(["study=help"], "What it does")
