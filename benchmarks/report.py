"""The output of a benchmark: the machine, Markdown tables to paste, and the same as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, nets
from benchmarks.measure import Sample
from src.config.files import write_json

MOST_TAKEN = 0.2  # the most cores that other processes may use during a measurement that counts


class Report:
    """Prints a benchmark's results at once; `save` writes all that was printed, and the raw samples, as JSON."""

    def __init__(self, title: str, quick: bool) -> None:
        self.content: dict[str, Any] = {"title": title, "machine": machine.header(), "notes": [], "tables": []}
        print(f"{title}\n\n{self.content['machine']}\n", flush=True)
        if quick:
            self.say("Quick: this only shows that the command works; its numbers mean nothing.")
        elif (taken := machine.cores_taken()) > MOST_TAKEN:
            self.say(
                f"The machine is busy: others keep {taken:.1f} cores. Whoever uses several threads suffers from that "
                "most, so these numbers do not count: run it again when the machine is quiet."
            )

    def say(self, text: str) -> None:
        """Prints a paragraph."""
        self.content["notes"].append(text)
        print(f"{text}\n", flush=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], raw: Any = None) -> None:
        """Prints a Markdown table; raw: the values behind it, for the JSON."""
        texts = [[str(cell) for cell in row] for row in rows]
        self.content["tables"].append({"columns": list(columns), "rows": texts, "raw": raw})
        print("\n".join(markdown(columns, texts)) + "\n", flush=True)

    def samples(self, taken: Mapping[str, Mapping[str, Sample]], titles: Mapping[str, str] = nets.TITLES) -> None:
        """Prints a table of samples, given as net -> contender -> sample: a row for each contender, a column a net.

        titles: the nets in words.
        """
        raw = {net: {name: one.values for name, one in samples.items()} for net, samples in taken.items()}
        names = dict.fromkeys(name for samples in taken.values() for name in samples)
        rows = [[name, *(str(samples.get(name, "–")) for samples in taken.values())] for name in names]
        self.table(["", *(f"{net}: {titles[net]}" for net in taken)], rows, raw)

    def save(self, path: Path | None) -> None:
        """Writes the JSON to `path`; None: nothing is written."""
        if path is not None:
            write_json(path, self.content)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows]]
