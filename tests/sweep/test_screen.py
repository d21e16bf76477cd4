"""What a sweep says without a terminal."""

from pathlib import Path

from src.config import RunConfig
from src.sweep.job import Job
from src.sweep.outcome import Outcome
from src.sweep.screen import SweepScreen

SECTIONS = {"data": {"name": "digits"}, "model": {}, "optim": {"eta": 0.1}, "stop": {}, "trainer": {}}
CONFIG = RunConfig.model_validate({"name": "small", **SECTIONS, "tracking": {}})


def test_a_line_comes_now_and_then_and_only_where_something_is_new(capsys):
    now = [0.0]
    screen = SweepScreen(4, Path("here"), done=1, clock=lambda: now[0])

    def said_after(seconds, epoch):
        now[0] += seconds
        screen.epoch_ended({0: {"epoch": epoch}}, so_far=None)
        return capsys.readouterr().out

    assert said_after(5, 1) == ""
    assert said_after(6, 2) == "1/4 trials  0 done\n"
    assert said_after(60, 3) == ""
    screen.trial_ended(Outcome(Job(CONFIG, Path(), [], 1, "eta=1"), "FINISHED", validation_accuracy=0.97, epochs=3))
    assert said_after(1, 1) == ""
    assert said_after(60, 2).startswith("2/4 trials  1 done  best 97.00 % (eta=1)  ")
