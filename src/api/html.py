"""A short table as a notebook shows it."""

from collections.abc import Sequence
from html import escape

SHOWN = 12  # rows


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], below: str = "") -> str:
    """An HTML table with the first SHOWN rows; all texts are escaped."""
    more = [f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(one)}</td>' for one in row)}</tr>" for row in rows[:SHOWN])
    foot = "".join(f"<div>{escape(line)}</div>" for line in [*more, *filter(None, [below])])
    return f"<div><b>{escape(title)}</b></div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}"
