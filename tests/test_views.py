"""Views: heads stay heads, values stay values, and a site's templates go first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.views import BUILT_IN, TemplateMissing, View, ViewError, Views


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def render(folder: Path, text: str, /, suffix: str = "txt", **context: Any) -> View:
    write(folder, f"letter.{suffix}", text)
    return Views([folder]).render("letter", context)


def test_a_letter_has_its_headers_in_its_head(tmp_path: Path) -> None:
    view = render(tmp_path, "Subject: Welcome to {{ name }}\nX-A: 1\n\nHello {{ name }}\n", name="Tee & Café")
    assert view == View((("Subject", "Welcome to Tee & Café"), ("X-A", "1")), "Hello Tee & Café\n", None)


@pytest.mark.parametrize(
    ("source", "headers", "plain"),
    [
        ("\nNote: this is text\n", (), "Note: this is text\n"),
        ("Only text, no head\nSubject: no\n", (), "Only text, no head\nSubject: no\n"),
        ("{{ name }}: text\n\nmore", (), "tea: text\n\nmore\n"),
        ("Subject: all head", (("Subject", "all head"),), "\n"),
        ("Subject: long\n and folded\n\nbody\n\nand more\n\n", (("Subject", "long and folded"),), "body\n\nand more\n"),
        ("Subject: dos\r\nX-A: b\r\n\r\nbody\r\n", (("Subject", "dos"), ("X-A", "b")), "body\n"),
        ("{# who #}\nA: b\n{% if name %}\nC: {{ name }}\n{% endif %}\n\nd", (("A", "b"), ("C", "tea")), "d\n"),
    ],
)  # fmt: skip
def test_where_the_head_ends(tmp_path: Path, source: str, headers: tuple[Any, ...], plain: str) -> None:
    assert render(tmp_path, source, name="tea") == View(headers, plain, None)


@given(value=st.text())
def test_no_value_makes_a_header(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "values"
    view = render(folder, "Subject: a {{ v }} b\nX-B: c{{ v }}\n\nbody\n", v=value)
    assert [name for name, _ in view.headers] == ["Subject", "X-B"]
    assert all(character >= " " and character not in "\x7f\x85\u2028\u2029" for _, v in view.headers for character in v)
    assert view.plain == "body\n"


def test_no_detour_makes_a_header(tmp_path: Path) -> None:
    evil = "x\r\n\r\nBcc: eve@example.org"
    for form in ("{{ v|replace('\r', '\n') }}", "{% set w = v %}{{ w }}", "{% for c in [v] %}{{ c }}{% endfor %}"):
        view = render(tmp_path, f"Subject: {form}\n\nbody", v=evil)
        assert view.headers == (("Subject", "x    Bcc: eve@example.org"),)


def test_html_is_escaped_and_text_is_not(tmp_path: Path) -> None:
    write(tmp_path, "letter.html", "Subject: html\nX-Only: {{ v }}\n\n<p>{{ v }}</p>\n")
    view = render(tmp_path, "Subject: text\n\n{{ v }}\n", v="<b>&")
    assert view == View((("Subject", "text"), ("X-Only", "<b>&")), "<b>&\n", "<p>&lt;b&gt;&amp;</p>\n")


def test_html_alone(tmp_path: Path) -> None:
    assert render(tmp_path, "<p>{{ v }}</p>", "html", v=1) == View((), None, "<p>1</p>\n")


def test_blocks_leave_no_empty_lines(tmp_path: Path) -> None:
    view = render(
        tmp_path, "\n{% for n in names %}\n  {% if n %}\n- {{ n }}\n  {% endif %}\n{% endfor %}\nend\n", names="ab"
    )
    assert view.plain == "- a\n- b\nend\n"


def test_a_missing_value_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(ViewError, match=r"letter\.txt: line 5: .*'nmae'") as caught:
        render(tmp_path, "Subject: a\nX-B: c\n\nHello\n{{ nmae }}\n")
    assert (caught.value.path, caught.value.line) == (str(tmp_path / "letter.txt"), 5)


@pytest.mark.parametrize(
    ("source", "line"),
    [("Subject: a\n\nb\n{% if %}\n", 4), ("Subject: a\nX: {{ 1 + }}\n\nb\n", 2), ("A: b\n\n\n\n{{ 1 / 0 }}\n", 5)],
)
def test_a_broken_template_names_file_and_line(tmp_path: Path, source: str, line: int) -> None:
    with pytest.raises(ViewError, match=rf"letter\.txt: line {line}: "):
        render(tmp_path, source)


def test_a_line_of_the_head_that_is_no_header(tmp_path: Path) -> None:
    with pytest.raises(ViewError, match="no header: 'what is this'"):
        render(tmp_path, "Subject: a\nwhat is this\n\nbody\n")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_bytes(b"Subject: caf\xe9\n\nbody\n")
    with pytest.raises(ViewError, match=r"letter\.txt: cannot be read"):
        Views([tmp_path]).render("letter", {})


@pytest.mark.parametrize("name", ["nothing", "tea/nothing", "../letter", "/etc/passwd", "", "a//b", "tea/../letter"])
def test_a_missing_template_tells_where_it_was_sought(tmp_path: Path, name: str) -> None:
    write(tmp_path, "letter.txt", "\nbody\n")
    views = Views([tmp_path, BUILT_IN])
    with pytest.raises(TemplateMissing) as caught:
        views.render(name, {})
    assert caught.value.name == name
    assert all(str(place) in str(caught.value) for place in caught.value.places)
    assert not views.has(name)


def test_templates_include_and_extend_within_their_places_only(tmp_path: Path) -> None:
    write(tmp_path / "a", "base.txt", "Subject: base\n\n{% block main %}{% endblock %}\n-- \n{% include 'sig.txt' %}")
    write(tmp_path / "b", "sig.txt", "\nAnn\n")
    write(tmp_path / "a", "letter.txt", "Subject: s\n\n{% extends 'base.txt' %}{% block main %}hi{% endblock %}")
    write(tmp_path / "a", "leak.txt", "\n{% include v %}")
    secret = write(tmp_path, "secret.txt", "\nsecret\n")
    views = Views([tmp_path / "a", tmp_path / "b"])
    assert views.render("letter", {}) == View((("Subject", "s"),), "hi-- \nAnn\n", None)
    for path in ("../secret.txt", str(secret), "a/../../secret.txt"):
        with pytest.raises(ViewError, match=r"leak\.txt: line 2: TemplateNotFound"):
            views.render("leak", {"v": path})


def places_of_tea(folder: Path, *, is_package: bool) -> Views:
    module = folder / "app" / "tea" / "__init__.py" if is_package else folder / "app" / "tea.py"
    return Views.for_module("tea", module, is_package, site=[folder / "site"], paths=[folder / "path"])


def test_the_places_of_a_package_in_their_order(tmp_path: Path) -> None:
    order = [
        "app/tea/templates/tea/welcome.txt",
        "app/tea/templates/welcome.txt",
        "path/templates/tea/welcome.txt",
        "site/tea/welcome.txt",
    ]
    for name in order:
        write(tmp_path, name, f"\n{name}\n")
        view = places_of_tea(tmp_path, is_package=True).render("tea/welcome", {})
        assert view.plain == f"{name}\n"


def test_the_places_of_a_plain_module(tmp_path: Path) -> None:
    write(tmp_path, "app/templates/welcome.txt", "\nnot mine\n")
    write(tmp_path, "app/templates/tea/welcome.txt", "\nmine\n")
    assert places_of_tea(tmp_path, is_package=False).render("tea/welcome", {}).plain == "mine\n"


def test_a_site_overrides_both_forms_at_once(tmp_path: Path) -> None:
    write(tmp_path, "app/tea/templates/welcome.html", "<p>old</p>\n")
    write(tmp_path, "site/tea/welcome.txt", "\nnew\n")
    assert places_of_tea(tmp_path, is_package=True).render("tea/welcome", {}) == View((), "new\n", None)


def test_the_built_in_letter_of_confirmation_can_be_overridden(tmp_path: Path) -> None:
    context = {
        "purpose": "join",
        "facts": ("tea",),
        "sender": "ann@example.org",
        "confirm_address": "tea-confirm+abc@lists.test",
        "expires": datetime(2026, 3, 4, tzinfo=UTC),
    }
    view = places_of_tea(tmp_path, is_package=True).render("confirm", context)
    assert view.headers == (("Subject", "Please confirm: join tea"),)
    assert view.plain is not None
    assert "tea-confirm+abc@lists.test" in view.plain
    assert "4 March 2026" in view.plain
    write(tmp_path, "site/confirm.txt", "Subject: Bitte {{ purpose }}\n\nJa?\n")
    assert places_of_tea(tmp_path, is_package=True).render("confirm", context).plain == "Ja?\n"


def test_the_filters(tmp_path: Path) -> None:
    long = "one two three\nfour https://example.org/a-very-long-link\n\nnext"
    view = render(tmp_path, "\n{{ t|quote }}\n{{ t|wrap(12) }}\n{{ d|date }} {{ d|date('%H:%M') }}\n",
                  t=long, d=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))  # fmt: skip
    assert view.plain == (
        "> one two three\n> four https://example.org/a-very-long-link\n>\n> next\n"
        "one two\nthree four\nhttps://example.org/a-very-long-link\n\nnext\n4 March 2026 05:06\n"
    )
