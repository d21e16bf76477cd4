"""A page as Markdown and HTML: aligned, escaped, and without anything from elsewhere."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.report.document import CSS_DPI, Document, Heading, Listing, Paragraph, Picture, Table
from src.runs.canvas import DPI, page

VOID = {"meta", "img"}


class Checked(HTMLParser):
    """Collects text, addresses and anchors; fails on elements that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.styles = "", ""
        self.sources: list[str] = []
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.widths: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.sources += [given[name] for name in ("src",) if name in given]
        self.links += [given[name] for name in ("href",) if name in given]
        self.anchors += [given[name] for name in ("id",) if name in given]
        self.widths += [given["width"]] if "width" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.styles += data
        else:
            self.text += data


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    with page(tmp_path / "figures" / "a.png", (4, 2)) as figure:
        figure.add_subplot()
    picture = Picture(tmp_path / "figures" / "a.png", 'What "it" shows & means')
    document = Document([Heading("A page"), Heading("First & last"), picture])
    shown = Checked(document.html())
    assert shown.links == ["#first-last"]
    assert shown.anchors == ["first-last"]
    (source,) = shown.sources
    assert source.startswith("data:image/png;base64,")
    assert "url(" not in shown.styles
    assert "@import" not in shown.styles
    assert shown.widths == [str(4 * CSS_DPI)]  # as wide as it was drawn
    assert DPI == 150
    assert '![What "it" shows & means](figures/a.png)' in document.markdown(tmp_path)


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"])))
def test_a_text_is_never_taken_for_html(text: str) -> None:
    plain = text.replace("`", "'").replace("*", "+")
    blocks = [Paragraph(plain), Table(["a"], [[plain]]), Listing(plain), Paragraph(plain, warning=True)]
    shown = Checked(Document([Heading(plain), *blocks]).html())
    assert shown.text.count(plain) >= len(blocks) if plain.strip() else True


def test_bold_and_code_are_the_only_marks() -> None:
    text = Document([Heading("a"), Paragraph("**b** `c <d>` *e* _f_")]).html()
    assert "<strong>b</strong> <code>c &lt;d&gt;</code> *e* _f_" in text


cells = st.text(st.sampled_from("ab|±\n5"), max_size=9)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=4)))
def test_a_table_is_aligned_in_plain_text(rows: list[list[str]]) -> None:
    columns = [f">c{place}" if place % 2 else f"c{place}" for place in range(len(rows[0]))]
    lines = Document([Heading("t"), Table(columns, rows)]).markdown(Path()).splitlines()[2:]
    assert len(lines) == len(rows) + 2
    assert len({len(line) for line in lines}) == 1
    assert all(line.replace("\\|", "").count("|") == len(columns) + 1 for line in lines)
    rule = [cell.strip() for cell in lines[1].strip("|").split("|")]
    assert [cell.endswith(":") for cell in rule] == [name.startswith(">") for name in columns]


@pytest.mark.parametrize("best", [True, False])
def test_only_a_best_row_is_marked(best: bool) -> None:
    text = Document([Heading("t"), Table(["a", ">b"], [["1", "2"], ["3", "4"]], best_first=best)]).html()
    assert text.count('<tr class="best">') == best
    assert text.count('<td class="right">') == 2
