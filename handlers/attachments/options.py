"""What an administrator says: rules in their order, and what to do where no rule can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from penstock import Reject, Size, means

from .content import EXECUTABLES

Action = Literal["drop", "replace", "link", "rename", "keep", "hold", "reject", "pass"]


@dataclass(frozen=True)
class Rule:
    """One rule: all the conditions that it gives hold for a part, each by any of its patterns."""

    name: str = field(metadata=means("What the rule is called in the log, in notices and in results."))
    action: Action = field(metadata=means("What becomes of the part, or of the whole message."))
    names: tuple[str, ...] = field(default=(), metadata=means("Patterns of file names: `*.exe`, in any case."))
    types: tuple[str, ...] = field(default=(), metadata=means("Patterns of the declared type: `video/*`."))
    content: tuple[str, ...] = field(default=(), metadata=means("Patterns of the type that the content shows."))
    larger_than: Size | None = field(default=None, metadata=means("The content has more octets than this."))
    text: str = field(
        default="Files of this kind are not accepted here",
        metadata=means("The reason that the notice or the refusal gives."),
    )
    code: int = field(default=550, metadata=means("The SMTP code of a refusal."))
    status: str = field(default="5.7.1", metadata=means("The enhanced status of a refusal (RFC 3463)."))
    suffix: str = field(default=".blocked", metadata=means("What `rename` puts behind the file name."))

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            raise ValueError(f"a rule needs a name that can be printed, not {self.name!r}")
        if not (self.names or self.types or self.content or self.larger_than is not None):
            raise ValueError(f"the rule {self.name!r} has no condition; give names, types, content or larger_than")
        if not self.suffix.startswith(".") or not self.suffix.isprintable() or set(self.suffix) & set('/\\"'):
            raise ValueError(f"{self.suffix!r} is no suffix of a file name; write it like .blocked")
        if self.action == "reject":
            _ = self.refusal

    @property
    def refusal(self) -> Reject:
        """The verdict of the action `reject`. Raises ValueError for a code, status or text that cannot be one."""
        return Reject(self.code, self.status, self.text)


@dataclass(frozen=True)
class Link:
    """Where `link` puts files, and where a web server of yours offers that folder."""

    directory: Path = field(metadata=means("The folder that files are written to."))
    url: str = field(metadata=means("The address of that folder on the web."))

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"{self.url!r} is no address of a folder; write it like https://files.example.org/mail")


_EXECUTABLE: Final = """
ade adp apk app appx bat cab chm cmd com cpl dll dmg exe hta inf ins iso isp jar jnlp js jse lib lnk mde msc msi msix
msp mst nsh ocx pif ps1 ps1xml psc1 reg scf scr sct shb sys vb vbe vbs vhd vhdx vxd wsc wsf wsh xll
"""
EXECUTABLE_NAMES: Final = tuple(f"*.{extension}" for extension in _EXECUTABLE.split())

STANDARD: Final = (
    Rule("executable by content", "replace", content=EXECUTABLES, text="Programs are not accepted here"),
    Rule("executable by name", "replace", names=EXECUTABLE_NAMES, text="Programs are not accepted here"),
)
"""The rules of a site that gives none."""


@dataclass(frozen=True)
class Options:
    """The table `[handlers.attachments]`."""

    rules: tuple[Rule, ...] = field(
        default=STANDARD,
        metadata=means(
            "The rules, the first that matches a part decides; your own take the place of the standard ones.",
            default="programs, by content or by name, are replaced with a notice",
        ),
    )
    link: Link | None = field(default=None, metadata=means("Where the action `link` puts files; it needs this."))
    sealed: Literal["pass", "hold"] = field(
        default="pass",
        metadata=means(
            "A signed or encrypted message with a part that a rule would take out: pass it untouched, or hold it."
        ),
    )
    unreadable: Literal["reject", "hold", "pass"] = field(
        default="reject",
        metadata=means(
            "A message that is a fragment or whose content lies elsewhere (message/partial, message/external-body), "
            "that can be read in two ways (two Content-Type fields, a multipart that does not show its parts, an "
            "encoding that only some know), or has too many parts or levels to look into."
        ),
    )
    unreadable_text: str = field(
        default="This message cannot be checked", metadata=means("How the refusal of an unreadable message begins.")
    )

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rules are called {twice[0]!r}; give each its own name")
        if self.link is None and any(rule.action == "link" for rule in self.rules):
            raise ValueError('a rule has the action "link", but the table link with directory and url is missing')
        Reject(550, "5.6.0", self.unreadable_text)
