"""A part of a message (RFC 2045): what it is, what it holds, and changes to both.

A part stands on a node of a source's tree. What is changed lies over the node: fields, octets in place
of the body, parts in place of the parts. A part that is made anew stands on a little source of its own, so that
it is read and changed like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from weakref import ref

from .. import charset
from . import surgery, transfer
from .edits import EditError
from .fields import Fields
from .header import HeaderIndex, encoding_of
from .names import extensions_of
from .parameters import ContentType
from .rendering import body_octets
from .structure import Node

if TYPE_CHECKING:
    from .message import Message


class Part(Fields):
    """One part; the message itself is its own outermost part."""

    __slots__ = ("__weakref__", "_body", "_parent_ref", "_parts", "_place", "_reshaped", "_tree")

    def __init__(self, header: HeaderIndex, tree: Node | None, parent: Part | None) -> None:
        """Not for handlers: parts come from a message, or from `attach`, `replace` and `wrap`."""
        self._index = header
        self._overlay = None                       # made with the first change
        self._tree = tree
        self._place = tree                         # the node whose place among the source's parts this one has
        # Weak, so that a message is freed as soon as nobody holds it.
        self._parent_ref = ref(parent) if parent is not None else None
        self._parts: list[Part] | None = None
        self._reshaped = False                     # parts were added, removed or exchanged
        self._body: bytes | None = None            # octets in place of the body, encoded

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.content_type}>"

    @property
    def parent(self) -> Part | None:
        """The part that this one is in; None for the message, and where the message is not held any more."""
        return self._parent_ref() if self._parent_ref is not None else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts directly within: of a multipart, or the one message in a message/rfc822."""
        return tuple(self._children())

    def walk(self) -> Iterator[Part]:
        """This part and all within, in the order of their octets."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting += reversed(part._children())

    @property
    def content_type(self) -> str:
        """The media type in lower case, `text/plain` where the standard has that as default."""
        return self._content_type().type or self._node.default

    @property
    def charset(self) -> str:
        """The declared charset in lower case, "" where none is."""
        return self._content_type().params.get("charset", "").strip().lower()

    @property
    def disposition(self) -> str:
        """`attachment`, `inline` or another word of Content-Disposition, in lower case; "" where there is none."""
        field = self.field("Content-Disposition")
        words = field.token.split() if field else []
        return words[0] if words else ""

    @property
    def filename(self) -> str | None:
        """The file name as a person reads it: from Content-Disposition, else Content-Type's name; None if neither."""
        field = self.field("Content-Disposition")
        name = field.params.get("filename") if field else None
        return name or self._content_type().params.get("name") or None

    @property
    def extension(self) -> str:
        """The last extension of the file name, as a file system would act on it: `.exe`; "" if there is none."""
        return (self.extensions or ("",))[-1]

    @property
    def extensions(self) -> tuple[str, ...]:
        """All extensions of the file name, in lower case: `(".pdf", ".exe")`."""
        return extensions_of(self.filename or "")

    @property
    def is_multipart(self) -> bool:
        """Whether this is a multipart whose parts were found."""
        return self.content_type.startswith("multipart/") and bool(self._children())

    @property
    def preamble(self) -> bytes:
        """What stands before the first part of a multipart, as it came (RFC 2046 section 5.1.1); nobody is shown it."""
        first = self._node.delimiters[:1] if self.is_multipart else []
        return _LAST_EOL.sub(b"", self._cut(self._node.body, first[0])) if first else b""

    @property
    def epilogue(self) -> bytes:
        """What stands behind the closing delimiter of a multipart, as it came."""
        close = self._node.close if self.is_multipart else None
        return _FIRST_LINE.sub(b"", self._cut(close, self._node.end), count=1) if close is not None else b""

    @property
    def is_attachment(self) -> bool:
        """Whether a person sees this as a file and not as text of the message."""
        if self.disposition == "attachment":
            return True
        return self.filename is not None and not self._children()

    @property
    def content(self) -> bytes:
        """The content, its transfer encoding undone; of a multipart or message the octets of the body."""
        if self._body is not None:
            return transfer.decode(self._body, self._encoding)
        if self._children():
            return body_octets(self)
        if self._overlay:
            return transfer.decode(self._raw_body, self._encoding)
        if self._node.content is None:
            self._node.content = transfer.decode(self._raw_body, self._encoding)
        return self._node.content

    @content.setter
    def content(self, content: bytes) -> None:
        """Set the content of a leaf; the transfer encoding stays where it serves."""
        self._editing_leaf()
        self._set_content(bytes(content), text=False)

    @property
    def text(self) -> str:
        """The content as text, by the declared charset, else a guessed one; lines end with LF."""
        text = charset.decode(self.content, self.charset)
        return charset.with_line_endings(text, b"\n") if "\r" in text else text

    @text.setter
    def text(self, text: str) -> None:
        """Set the text of a leaf; charset and transfer encoding stay where they can, else UTF-8."""
        if text == self.text:
            return
        self._editing_leaf()
        self._set_content(self._encoded_text(text), text=True)

    def body(self, kind: str) -> Part | None:
        """The part with the text that is shown, `kind` being `plain` or `html`; never an attachment; None if none."""
        wanted = f"text/{kind}"
        waiting: list[Part] = [self]
        while waiting:
            part = waiting.pop()
            if part.disposition == "attachment":
                continue
            children = part._children()
            if not children and part.content_type == wanted and part.filename is None:
                return part
            if part.content_type in _FIRST_ONLY:
                children = children[:1]
            if part.content_type.startswith("multipart/"):
                waiting += reversed(children)
        return None

    # --- changes -----------------------------------------------------------------------------------

    def replace(self, content: bytes | str, *, type: str | None = None, filename: str | None = None) -> None:
        """Put other content in the place of this part, whatever it was; `str` is text, by default `text/plain`.

        All its Content fields are replaced too. The default type of bytes is `application/octet-stream`.
        """
        surgery.replace(self, content, type, filename)

    def remove(self) -> None:
        """Take this part out. A multipart needs a part, so the last one leaves an empty text behind."""
        surgery.remove(self)

    def attach(self, content: bytes | str | Message, *, type: str | None = None, filename: str | None = None) -> Part:
        """Add an attachment behind all others and return it; what is no multipart/mixed is wrapped in one first."""
        return surgery.attach(self, content, type, filename)

    def wrap(self, subtype: str) -> Part:
        """Put a multipart of that subtype around this part and return it. Around the message: it becomes one."""
        return surgery.wrap(self, subtype)

    def unwrap(self) -> Part:
        """Put the only part of this multipart in its place and return it. Raises EditError if it is not alone."""
        return surgery.unwrap(self)

    def append_text(self, plain: str, html: str | None = None) -> None:
        """Add a footer to the text that is shown: `plain` to the plain text, `html` before `</body>`.

        Where no text is shown `plain` becomes a part of its own.
        """
        surgery.append_text(self, plain, html)

    def _set_content(self, content: bytes, *, text: bool) -> None:
        declared = self._encoding
        beyond = not (self._raw_body if self._body is None else self._body).isascii()
        encoding = transfer.fitting(content, self._eol, text=text, declared=declared, beyond=beyond)
        if encoding != (declared or "7bit"):
            self["Content-Transfer-Encoding"] = encoding
            self._declare_mime()
        body = transfer.encode(content, encoding, self._eol)
        self._body = body.removesuffix(self._eol) if encoding == "base64" and self.parent is not None else body

    def _encoded_text(self, text: str) -> bytes:
        """The text in the declared charset; in UTF-8, and so declared, where that one is not able to."""
        lines = charset.with_line_endings(text, b"\n")
        try:
            lines.encode("utf-8")
        except UnicodeEncodeError:
            raise EditError(f"{self.content_type}: no charset can encode a lone surrogate") from None
        final = charset.with_line_endings(lines, self._eol)
        declared = self.charset or "us-ascii"
        content = charset.encode(final, declared)
        if content is not None and charset.decode(content, declared) == final:
            return content
        if (field := self.field("Content-Type")) is not None and self._content_type().type:
            field.set_param("charset", "utf-8")
        else:
            self["Content-Type"] = f"{self.content_type}; charset=utf-8"
            self._declare_mime()
        return final.encode("utf-8")

    def _editing(self, name: str) -> None:
        self._held()._allow(name, body=self.parent is not None or name.lower().startswith("content-"))

    def _editing_leaf(self) -> None:
        if self._children():
            raise EditError(f"{self.content_type}: set the content of its parts, or replace it")
        self._editing_body()

    def _editing_body(self) -> None:
        self._held()._allow(self.content_type, body=True)

    def _declare_mime(self) -> None:
        message = self._held()
        if "MIME-Version" not in message:
            message.add("MIME-Version", "1.0")

    def _new_boundary(self) -> str:
        return self._held()._new_boundary()

    def _held(self) -> Message:
        """The message, to change it."""
        message = self._message
        if message is None:
            raise EditError(f"{self.content_type}: this part was removed, or its message is not held any more")
        return message

    # --- mechanism ---------------------------------------------------------------------------------

    @property
    def _node(self) -> Node:
        assert self._tree is not None
        return self._tree

    @property
    def _message(self) -> Message | None:
        """The message that this part is in, None where it was removed from its."""
        return parent._message if (parent := self.parent) is not None else None

    @property
    def _eol(self) -> bytes:
        message = self._message
        return message._eol if message is not None else b"\r\n"

    @property
    def _encoding(self) -> str:
        if not self._overlay:
            return self._index.encoding
        field = self.field("Content-Transfer-Encoding")
        return encoding_of(field._unfolded if field else None)

    @property
    def _raw_body(self) -> bytes:
        return self._cut(self._node.body, self._node.end)

    def _cut(self, start: int, end: int) -> bytes:
        return self._node.header.source.cut(start, end)

    def _content_type(self) -> ContentType:
        if not self._overlay:
            return self._index.content_type
        field = self.field("Content-Type")
        return ContentType(field._unfolded if field else "")

    def _children(self) -> list[Part]:
        if self._body is not None:
            return []
        if self._parts is None:
            self._parts = [Part(node.header, node, self) for node in self._node.children]
        return self._parts

    def _copy_changes(self, original: Part) -> None:
        """Take over what lies over the node of another part on the same one."""
        self._overlay = original._overlay.copy() if original._overlay else None
        self._body = original._body
        self._reshaped = original._reshaped
        if original._body is None and original._parts is not None and original._is_changed:
            self._parts = [part._twin(self) for part in original._parts]

    def _twin(self, parent: Part) -> Part:
        twin = Part(self._index, self._tree, parent)
        twin._place = self._place
        twin._copy_changes(self)
        return twin

    @property
    def _is_changed(self) -> bool:
        """Whether anything at or within this part differs from its node."""
        if self._overlay or self._reshaped or self._body is not None or self._index is not self._node.header:
            return True
        return any(part._is_changed for part in self._parts or ())


_FIRST_LINE: Final = re.compile(rb"[^\r\n]*+(?:\r\n?|\n|\Z)")
_LAST_EOL: Final = re.compile(rb"(?:\r\n|\r|\n)\Z")
_FIRST_ONLY: Final = {"multipart/signed", "multipart/related", "multipart/report"}
