"""KEY=VALUE arguments: everything that is wrong in one message."""

import sys

import pytest

from src.commands.arguments import key_values, run_command, words_and_keys
from src.config.error import UserError

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


def test_a_tilde_is_the_users_own_folder(monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    given = key_values(["study=a~", "out=~/x", "storage=~you"], DEFAULTS, USAGE)
    assert given == {"study": "a~", "out": "/home/me/x", "storage": "~you"}


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
    assert run_command(len, ["study=a", argument], "What it does\n", "Nothing") == 0
    assert capsys.readouterr().out == "What it does\n"


def test_a_command_that_cannot_run_or_is_stopped_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def act(arguments: list[str]) -> int:
        raise UserError("study=a: no such study") if arguments else KeyboardInterrupt

    assert run_command(act, ["study=help"], "", "Nothing was done") == 2
    assert run_command(act, [], "", "Nothing was done") == 130
    assert capsys.readouterr().err == "Nothing was done: study=a: no such study\nStopped.\n"
    assert run_command(len, ["study=help"], "What it does", "Nothing") == 1


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(arguments: list[str]) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert run_command(act, [], "", "Nothing was done") == 0
    print("goes nowhere")


def test_words_and_options_stand_anywhere_among_keys() -> None:
    words, keys = words_and_keys(["a", "-o", "x", "b", "study=s"], DEFAULTS, USAGE)
    assert words == ["a", "b"]
    assert keys == {"study": "s", "storage": "sqlite:///a.db", "out": "x"}
    assert words_and_keys(["--out=y", "study=s"], DEFAULTS, USAGE)[1]["out"] == "y"
    for wrong, said in ((["study=s", "-o"], "-o: a value is missing"), (["--port", "1"], "accepted: -o, --out")):
        with pytest.raises(UserError, match=said):
            words_and_keys(wrong, DEFAULTS, USAGE)
