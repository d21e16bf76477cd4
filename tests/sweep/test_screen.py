"""What a sweep says without a terminal."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from src.config.schema import RunConfig
from src.runs import terminal
from src.runs.checkpoint import Saved
from src.sweep.job import Job
from src.sweep.outcome import Outcome
from src.sweep.screen import SweepScreen
from src.sweep.trial_row import TrialRow, rows_of
from src.training.stack import members_of

SECTIONS = {"data": {"name": "digits"}, "model": {}, "optim": {"eta": 0.1}, "stop": {}, "trainer": {}}
CONFIG = RunConfig.model_validate({"name": "small", **SECTIONS, "tracking": {}, "max_epochs": 10})
JOB = Job(CONFIG, Path(), [], 1, "eta=1")


class Sweep:
    """Four trials, one of them done before, on a clock of their own."""

    def __init__(self, monkeypatch, capsys):
        monkeypatch.setattr(SweepScreen, "_header", lambda *_: None)
        self.now, self.capsys = 0.0, capsys
        self.screen = SweepScreen(4, Path("here"), done=1, clock=lambda: self.now)
        self.now = 1000.0  # the first stack was pretrained for so many seconds
        self.screen.stack(SimpleNamespace(members=members_of([CONFIG]), seconds=60.0), [JOB], 0)
        self.said()

    def said(self):
        return self.capsys.readouterr().out

    def epoch(self, number, after):
        """What is said when an epoch ends so many seconds after the one before."""
        self.now += after
        self.screen.epoch_ended({0: {"epoch": number}}, so_far=None)
        return self.said()

    def trial_ends(self, epochs):
        self.screen.best = "97.00 % (eta=1)"
        self.screen.trial_ended(Outcome(JOB, "FINISHED", validation_score=0.97, epochs=epochs))


@pytest.fixture
def sweep(monkeypatch, capsys):
    return Sweep(monkeypatch, capsys)


def test_no_number_is_broken_on_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "console", Console(width=40))
    row = TrialRow(1, "activation=relu eta=0.0123", "FINISHED", 0.8433, 1.0, 4000, {"parameters": 178_110})
    SweepScreen(1, Path("here")).table([row])
    said = capsys.readouterr().out
    for words in ("validation", "84.33", "4,000", "178,110", "FINISHED"):
        assert words in said
    assert "100.00" not in said


def ended(number, validation, test, status="FINISHED"):
    job = Job(CONFIG, Path(), [], number, f"eta={number}")
    return Outcome(job, status, validation_score=validation, test_score=test, epochs=10)


def test_the_best_is_chosen_by_validation_and_its_test_accuracy_alone_is_shown(capsys):
    rows = rows_of([ended(0, 0.91, 0.99), ended(1, 0.93, 0.95), ended(2, 0.92, 0.97), ended(3, 0.94, 0.9, "PRUNED")])
    assert [one.number for one in rows if one.best] == [1]
    SweepScreen(4, Path("here")).table(rows)
    said = capsys.readouterr().out
    places = [said.index(number) for number in ("94.00", "93.00", "92.00", "91.00")]
    assert places == sorted(places)
    assert "Best: trial 1 (eta=1): validation 93.00 %, test 95.00 %" in said
    assert not any(number in said for number in ("99.00", "97.00", "90.00"))


def test_a_trial_that_breaks_a_constraint_comes_last_and_is_marked(capsys):
    rows = [TrialRow(0, "a", "INFEASIBLE", 0.99), TrialRow(1, "b", "FINISHED", 0.9, here=False, best=True)]
    SweepScreen(2, Path("here")).table(rows)
    table, best = capsys.readouterr().out.split("* trained by this command\nINFEASIBLE: breaks a constraint")
    assert table.index("90.00") < table.index("99.00")
    assert " 0* " in table
    assert " 1 " in table
    assert "Best: trial 1 (b): validation 90.00 %\n" in best


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_line_of_progress_keeps_its_bar_its_time_and_its_words(monkeypatch, width):
    screen = Console(width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr(terminal, "console", screen)
    sweep = SweepScreen(1000, Path("here"), done=999)
    sweep.best, sweep.left = "97.33 % (trial 7: activation=relu eta=0.0123)", lambda: "at most about 90 min left"
    sweep._refresh()

    class Prepared:
        members, chunks = members_of([CONFIG.model_copy(update={"repeats": 100})]), SimpleNamespace(batches=1)

    run = terminal.ProgressBar([Prepared.members[0].config]).begin(0, Prepared, Saved("", {}, None, "", ""))
    run.progressed(5, 0, 100)
    wanted = {
        sweep: ("999/1000 trials ━", " 0:00:00 at most about 90 min left", "0 done  best 97.33 % (trial 7: activation"),
        run: ("epoch 6/10 ━", " 50 % 0:00:00 left -:--:--", "best validation –, mean –; 100 of 100 training"),
    }
    for shown, (begin, end, words) in wanted.items():
        with screen.capture() as capture:
            screen.print(shown.bar.get_renderable())
        bar, *below = capture.get().splitlines()
        assert bar.startswith(begin)
        assert bar.endswith(end)
        assert len(bar) == width
        assert " ".join(" ".join(below).split()).startswith(" ".join(words.split()))


def test_what_waits_is_counted(sweep):
    for waiting, words in ((0, ""), (1, "; 1 waits for the next stack"), (2, "; 2 wait for the next stack")):
        sweep.screen.stack(SimpleNamespace(members=members_of([CONFIG]), seconds=60.0), [JOB], waiting)
        assert f"1 trial, about 60 s{words}; softmax 10\n" in sweep.said()


def test_a_line_comes_every_ten_seconds(sweep):
    assert [bool(sweep.epoch(number, after=4)) for number in range(1, 4)] == [False, False, True]


def test_no_line_comes_twice(sweep):
    sweep.screen.words, sweep.screen.left = lambda: "the same", lambda: ""
    assert sweep.epoch(1, after=20) == "1/4 trials  the same\n"
    assert sweep.epoch(2, after=20) == ""


def test_the_time_left_is_at_most_that_of_whole_trials_until_one_has_ended(sweep):
    assert sweep.epoch(1, after=20) == "1/4 trials  0 done  at most about 10 min left\n"  # 29 epochs of 20 s
    sweep.trial_ends(epochs=1)
    assert sweep.epoch(1, after=20) == "2/4 trials  1 done  best 97.00 % (eta=1)  about 3 min left\n"  # 9 of 20 s
