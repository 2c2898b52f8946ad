"""attachments: what may not come in as a file is dropped, replaced, put behind a link, renamed, held or refused.

Rules decide, in their order: the first that matches a part says what becomes of it. A part is known by every
name that some mail program might give the file, by the type that it declares, and by what its content
begins with, since each of the three may lie. Attached messages are looked into as well. What cannot be looked
into because it is only a piece of something (message/partial, RFC 2046 section 5.2.2), lies elsewhere, can be
read in two ways, or is too deep or too much is refused by default: a filter that passes what it cannot see is none.

A message that is signed or encrypted is never edited; refusing and holding go on.
"""

from __future__ import annotations

import logging

from penstock import EditError, Hold, Mail, Reject, Verdict, stateless

from .actions import apply
from .findings import Finding, find, looks, unreadable
from .options import Link, Options, Rule

__all__ = ["Link", "Options", "Rule", "strip"]

log = logging.getLogger("penstock")


@stateless  # no route: once per message, and all recipients get the same
def strip(mail: Mail, options: Options) -> Verdict | None:
    parts = looks(mail.message)
    if options.unreadable != "pass" and (why := unreadable(mail.message, parts)):
        return _stop(options.unreadable, options, why)
    found = find(parts, options.rules)
    mail.results["attachments"] = [finding.as_dict() for finding in found]
    for finding in found:
        log.info("handler=attachments action=%s rule=%r file=%r", finding.rule.action, finding.rule.name, finding.name)
    return (_verdict(found) or _edit(mail, options, [f for f in found if f.rule.action != "pass"])) if found else None


def _verdict(found: list[Finding]) -> Verdict | None:
    """A refusal goes before a hold, and both before an edit: the message is not needed in pieces."""
    for finding in found:
        if finding.rule.action == "reject":
            return finding.rule.refusal
    for finding in found:
        if finding.rule.action == "hold":
            return Hold(f"{finding.rule.name}: {finding.name}")
    return None


def _edit(mail: Mail, options: Options, found: list[Finding]) -> Verdict | None:
    sealed = [finding for finding in found if mail.message.sealed or finding.is_sealed]
    if sealed and options.sealed == "hold":
        return Hold(f"{sealed[0].rule.name}: {sealed[0].name}, in a signed or encrypted message")
    for finding in found:
        if finding in sealed:
            continue
        try:
            apply(mail, options, finding)
        except EditError as error:
            return Hold(f"{finding.rule.name}: {finding.name} could not be taken out: {error}")
    return None


def _stop(how: str, options: Options, why: str) -> Verdict:
    if how == "hold":
        return Hold(why)
    return Reject(550, "5.6.0", f"{options.unreadable_text}: {why}")
