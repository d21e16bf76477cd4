"""Words that screens, reports and figures share."""


def number_of(number: int, noun: str, total: str = "") -> str:
    """1 trial, 2 trials, 5,000 trials; with a `total` such as " of 9": 1 of 9 trials."""
    return f"{number:,}{total} {noun}" + ("" if number == 1 and not total else "s")


def ending(status: str, reason: str) -> str:
    """How a trial ended, in a word: its status, but DIVERGED for one PRUNED with a `reason`, hopeless by itself."""
    return "DIVERGED" if status == "PRUNED" and reason else status
