"""The report on a study: which trial is best and how far that can be trusted, what mattered, what it cost.

    FOLDER/report.md      reads well as plain text; pictures beside it in FOLDER/figures/
    FOLDER/report.html    the same in one file, pictures inside, no network

The report keeps to three rules: every mean has its interval and its n; the test score is shown only for the trial that
validation chose and for the setting fixed beforehand, never to choose by; the best of many trials looks better than it
is, and the report says by about how much.
"""

import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.config.files import write_text
from src.config.wording import number_of
from src.report import study_figures as draw
from src.report.document import Block, Document, Heading, Listing, Paragraph, Picture, Table
from src.report.study_comparison import comparison
from src.report.study_dimension import Dimension, dimensions, keys, settings, shown
from src.report.study_importance import FEWEST, MOST, Importance, Sample, explained, importances, samples
from src.report.study_quantity import quantities, tested, value_spread
from src.report.study_statistics import busy_seconds, luck, saved
from src.sweep.studies.study_record import Study, Trial

LEADERS = 10
WIDEST = 4  # at most this many parameters have a column of their own; more would be wider than a page
NAMED = 10  # trials named in a sentence
POOR_FIT = 0.2  # where a forest explains less than this part of the variation, its shares are hardly more than noise
REASON_LINES = 12  # how many of the last lines of an error's traceback are shown
MEANINGS = {
    "COMPLETE": "trained to the end",
    "PRUNED": "given up early, others were better at that epoch",
    "DIVERGED": "given up, no network had a finite validation cost in any epoch; PRUNED in Optuna",
    "FAIL": "raised an error",
    "KILLED": "stopped by the user, or its process ended",
    "RUNNING": "training now, or left by a process that ended",
}


def write_report(study: Study, folder: Path) -> list[Path]:
    """Writes report.html, report.md and the figures; returns their paths, in this order. Raises OSError."""
    document = report(study, folder)
    pages = [
        write_text(folder / "report.html", document.html()),
        write_text(folder / "report.md", document.markdown(folder)),
    ]
    return pages + [block.path for block in document.blocks if isinstance(block, Picture)]


def report(study: Study, folder: Path) -> Document:
    """The report's content; its figures are drawn and written to `folder`/figures."""
    figures = folder / "figures"
    document = Document([Heading(f"Study {study.name}")])
    document.add(*_answer(study), *_caution(study), *_leaderboard(study), *comparison(study))
    document.add(*_importance(study, figures), *_pictures(study, figures))
    document.add(*_pruning(study), *_cost(study), *_states(study), *_repetition(study))
    return document


# Which trial is best.


def _answer(study: Study) -> list[Block]:
    """The report's beginning: the best trial or the Pareto front, and how far the study has come."""
    if study.best is None:
        words = _no_best(study)
    elif len(study.maximised) > 1:
        aims = " and ".join(f"{'higher' if one.maximise else 'lower'} {one.label}" for one in quantities(study))
        front = study.front()
        keep = " that keep all constraints" if study.settings.get("constraints") else ""
        words = f"**Pareto front: {_named(front)}**, of {len(study.ranked)} complete ones{keep}. "
        words += f"No other trial is better in all of {aims} at once; which one to take is a choice, not a result."
    else:
        words = f"**Best: trial {study.best.place}**, {_scores(study, study.best)}: `{settings(study.best)}`."
    return [Paragraph(words), Paragraph(_progress(study))]


def _no_best(study: Study) -> str:
    """Why there is no best trial, in words."""
    complete = [trial for trial in study.places if trial.state == "COMPLETE"]
    if not complete:
        yet = " yet" if study.left or study.count()["RUNNING"] else ""
        return f"**No trial is complete{yet}**, so there is no best one."
    broken = Counter(rule for trial in complete for rule in study.broken(trial))
    if not broken:
        return f"**No complete trial has a finite value** ({_named(complete)}), so there is no best one."
    rules = ", ".join(f"`{rule}` by {number_of(count, 'trial')}" for rule, count in broken.items())
    words = (
        f"**No trial keeps all constraints**, so there is no best one. {number_of(len(complete), 'trial')} complete; "
    )
    return f"{words}broken: {rules}."


def _scores(study: Study, trial: Trial) -> str:
    quantity, spread = quantities(study)[0], value_spread(study, trial)
    words = f"{quantity.label} **{quantity.spread(spread)}{quantity.unit}**"
    if spread.half is not None:
        words += f" (mean and 95 % interval, n = {spread.n})"
    elif spread.n == 1:
        words += " (n = 1, so no interval)"
    test, of_test = tested(study, trial)
    return words if test.mean is None else f"{words}, {of_test.label} {of_test.spread(test)}{of_test.unit}"


def _progress(study: Study) -> str:
    count = study.count()
    total = f" of {study.total}" if study.total else ""
    states = ", ".join(f"{number} {state}" for state, number in count.items()) or "nothing has started"
    words = f"{number_of(sum(count.values()), 'trial', total)}: {states}."
    if count["RUNNING"] or study.left:
        words += " **The study is not finished**; this is what is there so far."
    dataset = study.identity.get("dataset")
    data = f" Data: {dataset}." if isinstance(dataset, str) else ""
    return f"{words}{data} Written on {datetime.date.today():%Y-%m-%d} by `{study.command('report')}`."


def _caution(study: Study) -> list[Block]:
    """A warning that the best trial's value is too good, by about how much, and how to measure it without that bias."""
    trials, quantity = len(study.ranked), quantities(study)[0]
    lucky = study.by_hand or quantity.name == study.score.field("validation")
    if study.best is None or trials < 2 or not lucky:
        return []
    subject = "The front" if len(study.maximised) > 1 else "The best"
    words = f"**{subject} of {trials} looks better than it is**, for it was chosen by the very figure that is shown. "
    if study.by_hand:
        return [Paragraph(f"{words}How much so depends on how far a value changes when it is measured again.", True)]
    surplus = luck(study)
    if surplus is not None:
        words += f"Were all {trials} equally good, the best of them would still stand out by about "
        words += f"{quantity.difference(surplus).lstrip('+')}, by the luck of its seeds (estimated from the spread "
        words += "between networks of one trial). "
    else:
        words += "With one network a trial, nothing here tells a good setting from a lucky seed. "
    again = study.command("rerun", f"trial={study.best.place}", *study.fresh_seeds())
    words += f"To know, train it with fresh seeds, `{again}`, and quote that run's mean and interval."
    return [Paragraph(words, warning=True)]


# The leaderboard.


def _leaderboard(study: Study) -> list[Block]:
    if not study.ranked:
        return []
    several, axes = len(study.maximised) > 1, keys(study)
    rows = study.front() if several else study.ranked
    first, *rest = quantities(study)
    columns = [">rank", ">trial", f">{first.axis_label}", ">n", *(f">{one.axis_label}" for one in rest)]
    columns += ["parameters"] if len(axes) > WIDEST else [f"{'' if one.choices else '>'}{one.short}" for one in axes]
    columns += [">epochs", ">time (s)"]
    listed = list(enumerate(rows, start=1))
    chosen = listed[:LEADERS] + [(rank, trial) for rank, trial in listed[LEADERS:] if trial is study.published]
    table = Table(columns, [_row(study, rank, trial, axes) for rank, trial in chosen], best_first=not several)
    return [Heading("Pareto front" if several else "Leaderboard"), table, Paragraph(_reading(study, len(rows)))]


def _row(study: Study, rank: int, trial: Trial, axes: list[Dimension]) -> list[str]:
    first, *rest = quantities(study)
    spread = value_spread(study, trial)
    name = f"{trial.place} (published)" if trial is study.published else str(trial.place)
    cells = [str(rank), name, first.spread(spread), str(spread.n or "–")]
    cells += [one.figure(value) for one, value in zip(rest, trial.values[1:], strict=True)]
    if len(axes) > WIDEST:
        cells.append(f"`{settings(trial)}`")
    else:
        cells += [shown(one.value(trial)) if one.within(trial) else "–" for one in axes]
    return [*cells, _number(trial.epochs, ",d"), _number(trial.seconds, ",.1f")]


def _reading(study: Study, rows: int) -> str:
    """What the leaderboard's figures mean, and which trials it cannot tell from the best."""
    words = f"The best {LEADERS} of {rows}. " if rows > LEADERS else ""
    words += "Complete trials only."
    if any(value_spread(study, trial).half is not None for trial in study.ranked[:LEADERS]):
        words += " ± is half the 95 % interval of the mean over the trial's n networks (Student's t)."
    if not study.by_hand:
        words += (
            f" Epochs count all networks of a trial. Test {study.score.plural} are left out, so that nobody chooses "
        )
        words += "by them."
    broken = [trial for trial in study.places if trial.state == "COMPLETE" and study.broken(trial)]
    if broken:
        words += f" Left out, as they break a constraint: {_named(broken)}."
    best = study.best
    half = value_spread(study, best).half if best else None
    if best is not None and half is not None and len(study.maximised) == 1:
        near = [trial for trial in study.ranked[1:] if abs((trial.value or 0) - (best.value or 0)) <= half]
        words += f" Within the best one's interval: {_named(near)}." if near else ""
    return words


def _named(trials: list[Trial]) -> str:
    """The trials by their numbers, such as `trials 3, 7 and 11 more`."""
    names = [str(trial.place) for trial in trials]
    if len(names) > NAMED:
        return f"trials {', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return f"trial{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


# What mattered, and pictures.


def _importance(study: Study, figures: Path) -> list[Block]:
    if not study.ranked:
        return []
    compared = samples(study)
    found = importances(study, compared)
    title = Heading("What mattered")
    if all(share is None for one in found for share in one.shares):
        words = f"Too little to say: {number_of(len(compared[0].points), 'trial')} to compare, "
        return [title, Paragraph(f"{words}{number_of(len(found), 'parameter')} that varied.")]
    fit = explained(study, compared[0])
    path = figures / "importance.png"
    pictures = list[Block]()
    if fit is None or fit >= POOR_FIT:
        draw.importance_figure(found, compared, path)
        words = (
            f"Share of the variation of the {quantities(study)[0].label} that each parameter explains alone (fANOVA)"
        )
        pictures.append(Picture(path, words))
    rows = [[f"`{one.dimension.label}`", *map(_percent, one.shares), str(one.trials)] for one in found]
    columns = ["parameter", *(f">{sample.words} (%)" for sample in compared), ">trials"]
    return [title, *pictures, Table(columns, rows), Paragraph(_trust(compared, found, fit))]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}"


def _trust(compared: Sequence[Sample], found: Sequence[Importance], fit: float | None) -> str:
    """How the shares were computed, and how far the forest behind them can be trusted."""
    first, second = (len(sample.points) for sample in compared)
    words = f"A random forest for each column, fitted to {min(MOST, first)} and {min(MOST, second)} trials"
    words += f" (evenly spaced among {first:,} and {second:,})" if first > MOST else ""
    words += ". Of the variation of its predictions a share is due to each parameter alone, the rest to parameters "
    words += (
        "jointly. Settings that fail altogether weigh most in the first column; the second one asks what told good "
    )
    words += f"trials from the best; – stands for fewer than {FEWEST} trials, equal ones, or nothing else that varies."
    if fit is not None:
        words += " Of the variation among trials that it was not fitted to, the first forest explains "
        words += f"{_percent(max(0, fit))} %"
        words += "; that is so little that the shares are hardly more than noise." if fit < POOR_FIT else "."
    if any(one.trials < first for one in found):
        words += " A parameter that only some trials have is assessed among those, so a column need not add up to 100."
    return words


def _pictures(study: Study, figures: Path) -> list[Block]:
    if not study.ranked:
        return []
    varied = [dimension for dimension in keys(study) if not dimension.single]
    blocks = _fronts(study, figures)
    draw.history_figure(study, figures / "history.png")
    caption = "Every trial by its number; the line is the best so far"
    blocks += [Heading("History"), Picture(figures / "history.png", caption)]
    if varied:
        draw.parallel_figure(study, figures / "parallel.png")
        caption = (
            "A line a complete trial, coloured by its value, the best one thick; pruned and diverged ones in grey, "
        )
        caption += "to where they stood"
        blocks += [Heading("Parallel coordinates"), Picture(figures / "parallel.png", caption)]
        draw.slices_figure(study, figures / "slices.png")
        caption = "The value against each parameter, all others as they happened to be"
        blocks += [Heading("Slices"), Picture(figures / "slices.png", caption)]
    if study.by_epoch and any(trial.curve for trial in study.ranked):
        draw.curves_figure(study, figures / "curves.png")
        caption = f"The best {draw.BEST_CURVES} by epoch, mean over each trial's networks"
        blocks += [Heading("Curves of the best"), Picture(figures / "curves.png", caption)]
    return blocks


def _fronts(study: Study, figures: Path) -> list[Block]:
    """A picture of the first objective over each other one."""
    blocks = list[Block]()
    for place, quantity in enumerate(quantities(study)[1:], start=1):
        path = figures / f"front_{place}.png"
        draw.front_figure(study, place, path)
        blocks.append(Picture(path, f"{quantities(study)[0].label} against {quantity.label}; numbers name trials"))
    return [Heading("Trade-off"), *blocks] if blocks else []


# Effort.


def _pruning(study: Study) -> list[Block]:
    count, found = study.count(), saved(study)
    if study.by_hand and not count["PRUNED"]:
        return []
    pruner = study.settings.get("pruner", "unknown")
    if not count["PRUNED"]:
        words = f"No trial was pruned (pruner: {pruner})."
    elif found is None:
        words = f"{number_of(count['PRUNED'], 'trial')} pruned; how many epochs they were to train is not recorded."
    else:
        words = f"Pruning (pruner: {pruner}) ended {number_of(count['PRUNED'], 'trial')} early and saved "
        words += f"**{found.pruned:,} of {found.planned:,} epochs ({_percent(found.pruned / found.planned)} %)**, "
        words += "counted over all networks of the complete and the pruned trials."
    if found is not None and found.stopped:
        words += (
            f" In complete trials, networks that stopped by themselves left out a further {found.stopped:,} epochs."
        )
    return [Heading("What pruning saved"), Paragraph(words)]


def _cost(study: Study) -> list[Block]:
    ended = [trial for trial in study.trials if trial.ended and trial.started and trial.seconds is not None]
    going_on = {(trial.place, trial.attempt - 1) for trial in study.trials if trial.resumed}
    own = [trial for trial in ended if (trial.place, trial.attempt) not in going_on]  # later attempts contain others
    killed = sum(
        trial.state == "KILLED" and trial.seconds is None and (trial.place, trial.attempt) not in going_on
        for trial in study.trials
    )
    epochs = sum(trial.epochs or 0 for trial in own)
    rows = [["networks' epochs trained", f"{epochs:,}" if epochs else "not recorded"]]
    devices = dict.fromkeys(trial.device for trial in study.trials if trial.device)
    rows += [["on", "; ".join(devices)]] if devices else []
    if ended:
        busy, added = busy_seconds(ended), sum(trial.seconds or 0 for trial in own)
        rows += [["by the clock, while at least one trial trained", _time(busy)]]
        rows += [["added up over trials (those of one stack, trained together, share their time)", _time(added)]]
        starts, ends = ([getattr(trial, name) for trial in ended] for name in ("started", "ended"))
        rows += [["from", f"{min(starts):%Y-%m-%d %H:%M}"], ["to", f"{max(ends):%Y-%m-%d %H:%M}"]]
    if killed:
        rows += [["left out: killed, without a note of how long they trained", number_of(killed, "trial")]]
    return [Heading("Cost"), Table(["what", ">how much"], rows)]


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _states(study: Study) -> list[Block]:
    count = study.count()
    rows = [[state, str(count[state]), words] for state, words in MEANINGS.items() if count[state]]
    blocks: list[Block] = [Heading("States"), Table(["state", ">trials", "meaning"], rows)] if rows else []
    again = [trial for trial in study.places if trial.attempt > 0]
    if went_on := [trial for trial in again if trial.resumed]:
        blocks.append(Paragraph(f"Killed, and gone on after the last checkpoint: {_named(went_on)}."))
    if anew := [trial for trial in again if not trial.resumed]:
        blocks.append(Paragraph(f"Killed and started again: {_named(anew)}."))
    return blocks + _failures(study)


def _failures(study: Study) -> list[Block]:
    """The end of each different traceback once, with the trials that failed with it."""
    alike = dict[str, list[Trial]]()
    for trial in study.places:
        if trial.state == "FAIL":
            reason = "\n".join(trial.reason.strip().splitlines()[-REASON_LINES:])
            alike.setdefault(reason or "no reason is recorded", []).append(trial)
    blocks = list[Block]()
    for reason, trials in list(alike.items())[:LEADERS]:
        words = f"Failed: {_named(trials)}, {'the first ' if len(trials) > 1 else ''}with `{settings(trials[0])}`:"
        blocks += [Paragraph(words), Listing(reason)]
    return blocks


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _repetition(study: Study) -> list[Block]:
    """What was searched and how, and the commands that repeat or go on with it."""
    given = study.settings
    names = ("sampler", "sampler_options", "seed", "pruner", "pruner_options", "objectives", "constraints", "n_trials")
    rows = [[f"`{name}`", _listed(given[name])] for name in names if given.get(name) not in (None, [], {}, "")]
    rows += [[f"`{one.label}`", one.domain] for one in dimensions(study)]
    created = study.attributes.get("created")
    rows += [["created", created]] if isinstance(created, str) else []
    typed = study.attributes.get("command")
    lines = [typed] if isinstance(typed, str) and typed else []
    if study.best is not None and not study.by_hand:
        lines.append(study.command("rerun", f"trial={study.best.place}"))
    table = [Table(["setting", "value"], rows)] if rows else []
    return [Heading("How to repeat it"), *table, Listing("\n".join([*lines, study.command("report")]))]
