"""Changes to the shape of a message: replace, remove, attach, wrap, unwrap, and footers.

Each works on the overlay only; rendering finds the octets. The header fields that describe a body (Content-*)
go where the body goes (RFC 2045 section 3), and what is around a part of 8bit is 8bit too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from weakref import ref

from .. import charset
from . import transfer
from .edits import EditError
from .field import Field
from .header import HeaderIndex
from .parameters import written
from .source import Source
from .structure import DEFAULT_LIMITS, Index, Node

if TYPE_CHECKING:
    from .message import Message
    from .part import Part


def replace(part: Part, content: bytes | str, type: str | None, filename: str | None) -> None:
    """See Part.replace."""
    part._editing_body()
    disposition = "inline" if part.disposition == "inline" else "attachment"
    lines, body = _described(content, type, filename, part._eol, disposition=disposition)
    for field in _content_fields(part):
        field.remove()
    for name, value in lines:
        part.add(name, value)
    _take_body(_new_part(part, lines, body), part)
    part._declare_mime()


def remove(part: Part) -> None:
    """See Part.remove."""
    parent, siblings = part.parent, _siblings(part)
    if parent is None or siblings is None:
        raise EditError(f"{part.content_type}: only a part of a multipart can be removed")
    part._editing_body()
    place = siblings.index(part)
    stand_in = [] if len(siblings) > 1 else [_new_part(parent, [("Content-Type", "text/plain")], b"")]
    siblings[place : place + 1] = stand_in
    parent._reshaped = True
    part._parent_ref = None


def attach(part: Part, content: bytes | str | Message, type: str | None, filename: str | None) -> Part:
    """See Part.attach."""
    lines, body = _described(content, type, filename, part._eol, disposition="attachment")
    whole = part if part.content_type == "multipart/mixed" and part.is_multipart else wrap(part, "mixed")
    return _append(whole, lines, body)


def append_leaf(whole: Part, content: bytes | str, type: str) -> Part:
    """Add a leaf that is no attachment as the last part of a multipart."""
    lines, body = _described(content, type, None, whole._eol, disposition="")
    return _append(whole, lines, body)


def wrap(part: Part, subtype: str) -> Part:
    """See Part.wrap."""
    if not _SUBTYPE.fullmatch(subtype):
        raise EditError(f"{subtype!r} is no subtype of multipart")
    part._editing_body()
    _declare_type(part)
    boundary = part._new_boundary()
    lines = [("Content-Type", f'multipart/{subtype}; boundary="{boundary}"')]
    if part._encoding in transfer.BEYOND_7BIT:
        lines.append(("Content-Transfer-Encoding", part._encoding))
    siblings = _siblings(part)
    if siblings is None:
        return _wrap_message(part, lines, boundary)
    parent = part.parent
    assert parent is not None                      # a part with siblings has one
    whole = _new_part(parent, lines, b"")
    whole._node.boundary = boundary.encode()
    whole._parts, whole._reshaped = [part], True
    siblings[siblings.index(part)] = whole
    parent._reshaped = True
    part._parent_ref = ref(whole)
    whole._place, part._place = part._place, None
    return whole


def unwrap(part: Part) -> Part:
    """See Part.unwrap."""
    if not part.is_multipart or len(part._children()) != 1:
        raise EditError(f"{part.content_type}: only a multipart with one part can be unwrapped")
    part._editing_body()
    (child,) = part._children()
    _declare_type(child)
    siblings = _siblings(part)
    if siblings is None:
        return _unwrap_message(part, child)
    parent = part.parent
    assert parent is not None                      # a part with siblings has one
    siblings[siblings.index(part)] = child
    parent._reshaped = True
    child._parent_ref, part._parent_ref = part._parent_ref, None
    child._place, part._place = part._place, None
    return child


def append_text(part: Part, plain: str, html: str | None) -> None:
    """See Part.append_text."""
    shown, marked_up = part.body("plain"), part.body("html")
    if shown is None and marked_up is None:
        if plain:
            attach(part, plain, "text/plain", None)["Content-Disposition"] = "inline"
        return
    if shown is not None and plain:
        text = shown.text
        shown.text = text + ("" if not text or text.endswith("\n") else "\n") + plain
    if marked_up is not None and html:
        text = marked_up.text
        ends = list(_END_OF_BODY.finditer(text)) or list(_END_OF_HTML.finditer(text))
        at = ends[-1].start() if ends else len(text)
        marked_up.text = text[:at] + html + text[at:]


def _wrap_message(message: Part, lines: list[tuple[str, str]], boundary: str) -> Part:
    """The message's body and Content fields move into a part of their own; the object stays the message."""
    from .part import Part

    raws = b"".join(_ended(field.raw, message._eol) for field in _content_fields(message))
    header = HeaderIndex(Source(raws + message._eol), 0, len(raws) + len(message._eol))
    inner = Part(header, message._node, message)
    _take_body(message, inner)
    for field in _content_fields(message):
        field.remove()
    for name, value in lines:
        message[name] = value
    message._declare_mime()
    outer = Node(HeaderIndex(Source(b""), 0, 0), 0, "text/plain")
    outer.boundary = boundary.encode()
    message._tree, message._body, message._parts, message._reshaped = outer, None, [inner], True
    return message


def _unwrap_message(message: Part, child: Part) -> Part:
    """The other way round: body and Content fields of the only part become the message's."""
    raws = [_ended(field.raw, message._eol) for field in _content_fields(child)]
    for field in _content_fields(message):
        field.remove()
    for raw in raws:
        message._add_raw(raw)
    _take_body(child, message)
    child._parent_ref = None
    return message


def _siblings(part: Part) -> list[Part] | None:
    """The parts of the multipart that this one is in; None for a message, which has a header of its own to keep."""
    parent = part.parent
    return parent._children() if parent is not None and parent.is_multipart else None


def _append(whole: Part, lines: list[tuple[str, str]], body: bytes) -> Part:
    whole._editing_body()
    new = _new_part(whole, lines, body)
    whole._children().append(new)
    whole._reshaped = True
    _declare_encoding(new)
    return new


def _declare_encoding(part: Part) -> None:
    """Say of all around a part that is not 7bit that they are not, either (RFC 2045 section 6.4)."""
    around: Part | None = part
    while part._encoding in transfer.BEYOND_7BIT and (around := around and around.parent) is not None:
        if around._encoding in ("", "7bit"):
            around["Content-Transfer-Encoding"] = part._encoding


def _declare_type(part: Part) -> None:
    """Say the type that a part has by default, since the default depends on the multipart around it."""
    if part.parent is not None and part.content_type != "text/plain" and not part._content_type().type:
        part["Content-Type"] = part.content_type


def _take_body(giver: Part, taker: Part) -> None:
    parts = giver._parts
    taker._tree, taker._body, taker._parts, taker._reshaped = giver._node, giver._body, parts, giver._reshaped
    for part in parts or ():
        part._parent_ref = ref(taker)


def _new_part(parent: Part, lines: list[tuple[str, str]], body: bytes) -> Part:
    """A part on a source of its own."""
    from .part import Part
    from .writing import write_field

    eol = parent._eol
    header = b"".join(write_field(name, value, eol) for name, value in lines) + eol
    known = Index(Source(header + body), DEFAULT_LIMITS)
    new = Part(known.header, known.tree, parent)
    new._place = None
    return new


def _described(
    content: bytes | str | Message, type: str | None, filename: str | None, eol: bytes, *, disposition: str
) -> tuple[list[tuple[str, str]], bytes]:
    """The Content fields for a leaf with that content, and its encoded body."""
    is_text = isinstance(content, str)
    kind = type or ("text/plain" if is_text else "application/octet-stream" if isinstance(content, bytes) else _MESSAGE)
    if not _TYPE.fullmatch(kind) or kind.lower().startswith("multipart/"):
        raise EditError(f"{kind!r} is no content type for a leaf")
    octets = _text_octets(content, eol) if isinstance(content, str) else bytes(content)
    encoding = "7bit" if octets.isascii() else "8bit"
    if not kind.startswith("message/"):
        encoding = transfer.fitting(octets, eol, text=is_text)
    words = [kind]
    if is_text:
        words.append("charset=utf-8" if not octets.isascii() else "charset=us-ascii")
    lines = [("Content-Type", "; ".join(words)), ("Content-Transfer-Encoding", encoding)]
    if filename is not None:
        lines.append(("Content-Disposition", "; ".join([disposition, *written("filename", filename)])))
    elif disposition and not is_text:
        lines.append(("Content-Disposition", disposition))
    return lines, transfer.encode(octets, encoding, eol)


def _text_octets(text: str, eol: bytes) -> bytes:
    try:
        return charset.with_line_endings(text, eol).encode("utf-8")
    except UnicodeEncodeError:
        raise EditError("text: no charset can encode a lone surrogate") from None


def _content_fields(part: Part) -> list[Field]:
    return [field for field in part.fields if field.name.lower().startswith("content-")]


def _ended(raw: bytes, eol: bytes) -> bytes:
    return raw if raw.endswith((b"\n", b"\r")) else raw + eol


_MESSAGE: Final = "message/rfc822"
_SUBTYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}", re.I)
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}", re.I)
_END_OF_BODY: Final = re.compile(r"</body\s*>", re.I)
_END_OF_HTML: Final = re.compile(r"</html\s*>", re.I)
