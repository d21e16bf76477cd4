"""A page of headings, paragraphs, tables, pictures and commands, as Markdown and as one self-contained HTML file.

Texts hold two marks, as Markdown writes them: **bold** and `code`; everything else is taken literally.
"""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

BEST = ' class="best"'
CSS_DPI, DPI = 96, 150  # pixels an inch: of a web page, and of the figures (src/runs/canvas.py)
STYLE = """
:root { color-scheme: light }
body { font: 16px/1.55 system-ui, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem }
h1 { font-size: 1.7rem; margin-bottom: .4rem }
h2 { font-size: 1.25rem; margin-top: 2.4rem; border-bottom: 1px solid #ddd }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #e4e4e4; text-align: left; vertical-align: top }
th { border-bottom: 2px solid #999; font-weight: 600 } .right { text-align: right; white-space: nowrap }
th.right { white-space: normal }
@media (max-width: 60rem) { table { font-size: .85rem } th, td { padding: .25rem .4rem } }
tbody tr:first-child.best td { background: #eef5fb } code, pre { font: .88em/1.45 ui-monospace, monospace }
code { background: #f3f3f3; padding: .08em .3em; border-radius: 3px; overflow-wrap: anywhere }
td:first-child code { white-space: nowrap }
pre { background: #f3f3f3; padding: .7rem .9rem; overflow-x: auto; border-radius: 4px }
blockquote { margin: 1rem 0; padding: .4rem 1rem; border-left: 4px solid #e69f00; background: #fff8ea }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto } figcaption { color: #555; font-size: .9rem }
nav { font-size: .92rem; color: #555 } nav a { margin-right: .9rem; white-space: nowrap }
"""
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body>
{body}
</body>
</html>
"""


@dataclass(frozen=True)
class Heading:
    """A section's title; the first heading of a page is the page's title."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Some sentences; with `warning` they are set apart from the others."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """A table. Columns whose names begin with > are aligned on the right; best_first: the first row is marked."""

    columns: list[str]
    rows: list[list[str]]
    best_first: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture in a png file, with a caption."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Listing:
    """Lines to be typed, or the text of an error."""

    text: str


Block = Heading | Paragraph | Table | Picture | Listing


@dataclass
class Document:
    """A page, which consists of blocks; the first one is a heading."""

    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Adds blocks at the end of the page."""
        self.blocks += blocks

    def markdown(self, folder: Path) -> str:
        """The page as Markdown for a file in `folder`: pictures have their paths from there, tables are aligned."""
        return "\n\n".join(_markdown(block, place == 0, folder) for place, block in enumerate(self.blocks)) + "\n"

    def html(self) -> str:
        """The page as one HTML file that holds its pictures."""
        titles = [block.text for block in self.blocks if isinstance(block, Heading)]
        links = " ".join(f'<a href="#{_anchor(title)}">{html.escape(title)}</a>' for title in titles[1:])
        parts = [_html(block, place == 0) for place, block in enumerate(self.blocks)]
        body = "\n".join([parts[0], f"<nav>{links}</nav>", *parts[1:]])
        return PAGE.format(title=html.escape(titles[0]), style=STYLE, body=body)


def _markdown(block: Block, first: bool, folder: Path) -> str:
    match block:
        case Heading(text):
            return f"# {text}" if first else f"## {text}"
        case Paragraph(text, warning):
            return f"> {text}" if warning else text
        case Picture(path, caption):
            return f"![{caption}]({path.relative_to(folder).as_posix()})\n\n*{caption}*"
        case Listing(text):
            return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
        case Table():
            return _markdown_table(block)


def _markdown_table(table: Table) -> str:
    names = [name.removeprefix(">") for name in table.columns]
    rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [names, *table.rows]]
    widths = [max(3, *(len(row[place]) for row in rows)) for place in range(len(names))]
    right = [name.startswith(">") for name in table.columns]

    def line(row: Sequence[str]) -> str:
        cells = (
            c.rjust(width) if to_right else c.ljust(width)
            for c, width, to_right in zip(row, widths, right, strict=True)
        )
        return f"| {' | '.join(cells)} |"

    rule = ["-" * (width - 1) + (":" if to_right else "-") for width, to_right in zip(widths, right, strict=True)]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def _html(block: Block, first: bool) -> str:
    match block:
        case Heading(text):
            return f"<h1>{html.escape(text)}</h1>" if first else f'<h2 id="{_anchor(text)}">{html.escape(text)}</h2>'
        case Paragraph(text, warning):
            return f"<blockquote>{_marked(text)}</blockquote>" if warning else f"<p>{_marked(text)}</p>"
        case Picture(path, caption):
            return _html_picture(path.read_bytes(), html.escape(caption, quote=True))
        case Listing(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Table():
            return _html_table(block)


def _html_picture(content: bytes, caption: str) -> str:
    """A figure element that holds the png, as wide as it was drawn; bytes 16 to 19 of a png are its width in pixels."""
    width = int.from_bytes(content[16:20]) * CSS_DPI // DPI
    data = base64.b64encode(content).decode()
    image = f'<img alt="{caption}" width="{width}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _html_table(table: Table) -> str:
    classes = [' class="right"' if name.startswith(">") else "" for name in table.columns]
    names = zip(table.columns, classes, strict=True)
    head = "".join(f"<th{kind}>{_marked(name.removeprefix('>'))}</th>" for name, kind in names)
    rows = []
    for place, row in enumerate(table.rows):
        cells = "".join(f"<td{kind}>{_marked(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
        rows.append(f"<tr{BEST if table.best_first and place == 0 else ''}>{cells}</tr>")
    body = "\n".join(rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _marked(text: str) -> str:
    """The text as HTML, its **bold** and `code` as elements."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    made = []
    for part in parts:
        if len(part) > 2 and part[0] == part[-1] == "`":
            made.append(f"<code>{html.escape(part[1:-1])}</code>")
        elif part.startswith("**") and part.endswith("**") and len(part) > 4:
            made.append(f"<strong>{html.escape(part[2:-2])}</strong>")
        else:
            made.append(html.escape(part))
    return "".join(made)


def _anchor(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower()).strip("-")
