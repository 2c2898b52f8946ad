"""Views: Jinja2 templates into the text of letters.

The template `tea/welcome` is `tea/welcome.txt`, `tea/welcome.html`, or both. A file begins with its head,
header lines up to the first empty line; one that begins with an empty line has none:

    Subject: Welcome to {{ listname }}

    Hello {{ name }}, …

The head is cut off from the template's *source* and rendered by itself, and every value put into it has
its control characters made blanks. So a value that holds a line end never makes another header (RFC 5322 section
2.2 ends a header at CRLF), nor ends the head. Values are escaped in HTML, not in text; one that is not given is an
error, not a gap in a letter.
"""

from __future__ import annotations

import re
import textwrap
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateNotFound, TemplateSyntaxError

BUILT_IN: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class View:
    """A rendered template: header fields in order, decoded, and the bodies that it has, lines ended by LF."""

    headers: tuple[tuple[str, str], ...]
    plain: str | None
    html: str | None


class ViewError(Exception):
    """A template that cannot be rendered: `path` and `line` say where, as far as known."""

    def __init__(self, reason: str, path: str | None = None, line: int | None = None) -> None:
        self.reason, self.path, self.line = reason, path, line
        super().__init__(": ".join(str(part) for part in (path, line and f"line {line}", reason) if part))


class TemplateMissing(ViewError):
    """A template that is in none of the places looked at, `places`, in their order."""

    def __init__(self, name: str, places: Iterable[Path]) -> None:
        self.name, self.places = name, tuple(places)
        looked = ", ".join(map(str, self.places)) or "nowhere"
        super().__init__(f"no template {name!r} (.txt or .html); looked for {looked}")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of templates. With `module`, a handler's own: `tea/welcome` may be just `welcome` there."""

    folder: Path
    module: str = ""

    def candidates(self, name: str) -> list[Path]:
        """The files that `name` could be, without their extensions or with, as `name` has it."""
        first, _, rest = name.partition("/")
        own = [self.folder / rest] if self.module and rest and first == self.module else []
        return [*own, self.folder / name]


class Views:
    """The templates that one handler sees, compiled once."""

    def __init__(self, directories: Sequence[Path | Place] = (BUILT_IN,)) -> None:
        """`directories` are searched in their order."""
        self.places = tuple(place if isinstance(place, Place) else Place(place) for place in directories)
        self._bodies = _environment(_Loader(self.places, head=False), autoescape=lambda name: _is_html(name))
        self._heads = _environment(_Loader(self.places, head=True), autoescape=False, finalize=_on_one_line)

    @classmethod
    def for_module(
        cls, name: str, module_file: Path, is_package: bool, site: Sequence[Path] = (), paths: Sequence[Path] = ()
    ) -> Views:
        """The places of the handler `name`, the nearest to the site first.

        The `site` folders, `templates/` in each of `paths`, `templates/` of the handler's package or beside its
        file (`module_file`), and the built-in ones.
        """
        own = Place(module_file.parent / "templates", name if is_package else "")
        shared = [Place(path / "templates") for path in paths]
        return cls([*map(Place, site), *shared, own, Place(BUILT_IN)])

    def render(self, name: str, context: Mapping[str, Any]) -> View:
        """Render the template `name`.

        The first place that has it in either form gives both, so that a site's text never goes out with another's
        HTML. The text's head comes first; the HTML's adds the headers that the text's has not. Raises TemplateMissing,
        or ViewError with file and line.
        """
        text, html = self._forms(name)
        headers = self._head(text, context)
        given = {header.lower() for header, _ in headers}
        headers += [(header, value) for header, value in self._head(html, context) if header.lower() not in given]
        return View(tuple(headers), self._body(text, context), self._body(html, context))

    def has(self, name: str) -> bool:
        """Whether there is such a template."""
        try:
            return any(self._forms(name))
        except TemplateMissing:
            return False

    def _forms(self, name: str) -> tuple[str | None, str | None]:
        stems = [stem for place in self.places for stem in place.candidates(name)] if _NAME.fullmatch(name) else []
        for stem in stems:
            forms = [stem.with_name(stem.name + suffix) for suffix in (".txt", ".html")]
            if any(form.is_file() for form in forms):
                text, html = (str(form) if form.is_file() else None for form in forms)
                return text, html
        raise TemplateMissing(name, stems)

    def _head(self, path: str | None, context: Mapping[str, Any]) -> list[tuple[str, str]]:
        if path is None:
            return []
        rendered = _rendered(self._heads, path, context)
        unfolded = re.sub(r"\n[ \t]+", " ", rendered)
        return [_header(line, path) for line in unfolded.split("\n") if line.strip()]

    def _body(self, path: str | None, context: Mapping[str, Any]) -> str | None:
        if path is None:
            return None
        return _rendered(self._bodies, path, context).strip("\n") + "\n"


class _Loader(BaseLoader):
    """Heads or bodies of templates: by path for what `Views` found, by name for what a template includes.

    Neither leads out of the places, since the name that a template includes may come from a value.
    """

    def __init__(self, places: Sequence[Place], *, head: bool) -> None:
        self._places = places
        self._head = head

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        path = self._find(template)
        try:
            source = path.read_text("utf-8").replace("\r\n", "\n").rstrip("\n") + "\n"
        except (OSError, UnicodeDecodeError) as error:
            raise ViewError(f"cannot be read: {error}", str(path)) from error
        head, body = _split(source)
        return (head if self._head else body), str(path), None

    def _find(self, template: str) -> Path:
        if ".." not in template.split("/"):
            for place in self._places:
                found = Path(template).is_relative_to(place.folder)
                for path in [Path(template)] if found else place.candidates(template.lstrip("/")):
                    if path.is_file():
                        return path
        raise TemplateNotFound(template)


def _environment(loader: BaseLoader, **given: Any) -> Environment:
    environment = Environment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        **given,
    )
    environment.filters.update(date=_date, quote=_quote, wrap=_wrap)
    return environment


def _split(source: str) -> tuple[str, str]:
    """Head and body; the body keeps its line numbers by a comment as long as the head."""
    match = _HEAD.match(source)
    if not match:
        return "", source
    return match["head"], "{#" + "\n" * match[0].count("\n") + "#}" + source[match.end() :]


def _rendered(environment: Environment, path: str, context: Mapping[str, Any]) -> str:
    try:
        template: Template = environment.get_template(path)
        return template.render(context)
    except ViewError:
        raise
    except TemplateSyntaxError as error:
        raise ViewError(str(error.message), error.filename or path, error.lineno) from error
    except Exception as error:
        where, line = _place_of(error) or (path, None)
        raise ViewError(f"{type(error).__name__}: {error}", where, line) from error


def _place_of(error: Exception) -> tuple[str, int | None] | None:
    frames = traceback.extract_tb(error.__traceback__)
    return next(((f.filename, f.lineno) for f in reversed(frames) if f.filename.endswith((".txt", ".html"))), None)


def _header(line: str, path: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _FIELD_NAME.fullmatch(name):
        raise ViewError(f"the head has a line that is no header: {line!r}", path)
    return name, value.strip()


def _is_html(name: str | None) -> bool:
    return bool(name and name.endswith(".html"))


def _on_one_line(value: Any) -> Any:
    return _CONTROL.sub(" ", str(value))


def _date(value: date, form: str = "%-d %B %Y") -> str:
    """`{{ when|date }}`, or with a form of strftime: `{{ when|date("%H:%M") }}`."""
    return value.strftime(form)


def _quote(text: str, mark: str = "> ") -> str:
    """`{{ text|quote }}`: every line marked, as mail quotes."""
    return "\n".join((mark + line).rstrip() for line in text.splitlines())


def _wrap(text: str, width: int = 72) -> str:
    """`{{ text|wrap }}`: paragraphs in lines of `width`; a long word, such as a link, stays whole."""
    paragraphs = re.split(r"\n[ \t]*\n", text.strip())
    return "\n\n".join(textwrap.fill(p, width, break_long_words=False, break_on_hyphens=False) for p in paragraphs)


_NAME: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")
_FIELD_NAME: Final = re.compile(r"[!-9;-~]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEAD: Final = re.compile(
    r"""(?P<head> (?: (?: [ \t]* \{[%#] .* \n )*            # statements and comments may come first
                      [!-9;-z|~] [!-9;-~]* : .* \n          # but then a header: a name is printable ASCII, not a blank
                      (?: (?! [ \t]*\n ) .* \n )* )? )      # and all else up to
        (?: [ \t]* \n | \Z )                                # the first empty line""",
    re.VERBOSE,
)
