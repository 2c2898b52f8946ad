"""Doing: what becomes of a part that a rule matches."""

from __future__ import annotations

import re
from typing import Final

from penstock import Mail, Part

from .files import publish
from .findings import Finding
from .options import Options


def apply(mail: Mail, options: Options, finding: Finding) -> None:
    """Edit the message as the finding's rule says.

    Raises EditError where the part cannot be edited, OSError where a file cannot be written.
    """
    match finding.rule.action:
        case "drop":
            _drop(finding.part)
        case "rename":
            _rename(finding.part, finding.name, finding.rule.suffix)
        case "link" if options.link is not None:
            url = publish(options.link, mail.ledger, finding.name, finding.part.content, dry=mail.is_preview)
            _notice(mail, finding, "attachments/linked", url=url)
        case "keep":
            mail.keep(f"{finding.rule.name}: {finding.name}")
            _notice(mail, finding, "attachments/kept")
        case _:
            _notice(mail, finding, "attachments/replaced")


def _drop(part: Part) -> None:
    if part.parent is not None and part.parent.is_multipart:
        part.remove()
    else:
        part.replace("")


def _notice(mail: Mail, finding: Finding, template: str, **context: str) -> None:
    """Put the rendered template in the part's place, as HTML if that is all there is of it."""
    about = {"name": finding.name, "size": finding.size, "type": finding.part.content_type, "rule": finding.rule.name}
    view = mail.render(template, **about, reason=finding.rule.text, **context)
    text, kind = (view.html or "", "text/html") if view.plain is None else (view.plain, "text/plain")
    finding.part.replace(text, type=kind, filename=f"{finding.name}{_EXTENSIONS.get(kind, '')}")


def _rename(part: Part, name: str, suffix: str) -> None:
    """Give the file one name, wherever it had any."""
    new = f"{name}{suffix}"
    dispositions = [field for field in part.fields if field.name.lower() == "content-disposition"]
    for other in dispositions[1:]:
        other.remove()
    if not dispositions:
        part["Content-Disposition"] = "attachment"
    for field in part.fields:
        if field.name.lower() == "content-disposition":
            field.set_param("name", None)
            field.set_param("filename", new)
        elif field.name.lower() == "content-type" and _NAME.search(field.raw):
            field.set_param("filename", None)
            field.set_param("name", new)


_EXTENSIONS: Final = {"text/plain": ".txt", "text/html": ".html"}
_NAME: Final = re.compile(rb"name\*?[0-9]*\*?\s*=", re.IGNORECASE)
