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
from .rendering import body_octets
from .source import Source
from .structure import DEFAULT_LIMITS, Index, Node
from .writing import write_field

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


def append_leaf(whole: Part, content: bytes | str | Message, type: str | None = None) -> Part:
    """Add a leaf that is no attachment as the last part of a multipart."""
    lines, body = _described(content, type, None, whole._eol, disposition="")
    return _append(whole, lines, body)


def append_copy(whole: Part, part: Part) -> Part:
    """Add a copy of a part, of whatever message, as the last part of a multipart: its Content fields and its body.

    Fields that no header may hold (raw 8-bit, lines too long) are written anew. Lines end as those of `whole` do.
    """
    whole._editing_body()
    body = part._body if part._body is not None else body_octets(part)
    raws = [_ended(field.raw, whole._eol) for field in _content_fields(part)] + [whole._eol, body]
    octets = b"".join(raws if part._encoding == "binary" else [_EOL.sub(whole._eol, raw) for raw in raws])
    new = _on_its_own(octets, whole)
    for field in new.fields:
        if not field.raw.isascii() or _LONG_LINE.search(field.raw):
            _write_anew(field)
    return _take_in(whole, new)


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
    return _take_in(whole, _new_part(whole, lines, body))


def _take_in(whole: Part, new: Part) -> Part:
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
    eol = parent._eol
    header = b"".join(write_field(name, value, eol) for name, value in lines) + eol
    return _on_its_own(header + body, parent)


def _on_its_own(octets: bytes, parent: Part) -> Part:
    """A part on a source of its own."""
    from .part import Part

    known = Index(Source(octets), DEFAULT_LIMITS)
    new = Part(known.header, known.tree, parent)
    new._place = None
    return new


def _described(
    content: bytes | str | Message, type: str | None, filename: str | None, eol: bytes, *, disposition: str
) -> tuple[list[tuple[str, str]], bytes]:
    """The Content fields for a leaf with that content, and its encoded body."""
    is_text = isinstance(content, str)
    kind = type or _type_of(content)
    if not _TYPE.fullmatch(kind) or kind.lower().startswith("multipart/"):
        raise EditError(f"{kind!r} is no content type for a leaf")
    octets = _octets_of(content, eol)
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


def _type_of(content: bytes | str | Message) -> str:
    """The default type; a message whose header is in UTF-8 is a message/global (RFC 6532 section 3.7)."""
    if isinstance(content, bytes | str):
        return "text/plain" if isinstance(content, str) else "application/octet-stream"
    header = b"".join(field.raw for field in content.fields)
    return "message/global" if not header.isascii() and is_utf_8(header) else "message/rfc822"


def is_utf_8(octets: bytes) -> bool:
    """Whether the octets are valid UTF-8."""
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _write_anew(field: Field) -> None:
    """Write a field as the rules have it, or leave it out where that cannot be."""
    try:
        if field.params:
            field.set_param("name", field.params.get("name"))
        else:
            field.value = field.value
    except EditError:
        field.remove()


def _octets_of(content: bytes | str | Message, eol: bytes) -> bytes:
    """The content in octets; lines of text, and of a message, end as they do around it."""
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        return _EOL.sub(eol, bytes(content))
    try:
        return charset.with_line_endings(content, eol).encode("utf-8")
    except UnicodeEncodeError:
        raise EditError("text: no charset can encode a lone surrogate") from None


def _content_fields(part: Part) -> list[Field]:
    return [field for field in part.fields if field.name.lower().startswith("content-")]


def _ended(raw: bytes, eol: bytes) -> bytes:
    return raw if raw.endswith((b"\n", b"\r")) else raw + eol


_EOL: Final = re.compile(rb"\r\n?|\n")
_LONG_LINE: Final = re.compile(rb"[^\r\n]{999}")
_SUBTYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}", re.I)
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}", re.I)
_END_OF_BODY: Final = re.compile(r"</body\s*>", re.I)
_END_OF_HTML: Final = re.compile(r"</html\s*>", re.I)
