"""Message: the octets as they came, an index over them, and an overlay of edits.

`bytes(Message(raw)) == raw` for every input, and reading never raises. What is changed lies over the source,
so that an edit touches only its own octets, a signature over the rest stays good, and a copy for another recipient
costs next to nothing: source, index and decoded contents are shared.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from secrets import token_bytes
from typing import Final

from ..tally import SCANS
from .edits import Edit, EditError, apply, checked, compose, edits_of
from .header import Defect, HeaderIndex
from .overlay import Overlay
from .part import Part
from .rendering import message_pieces
from .source import Source
from .structure import DEFAULT_LIMITS, Index, Limits, Node


class Message(Part):
    """A message: its own outermost part, and all its octets."""

    __slots__ = ("_base", "_edits", "_known", "_origin", "_unsealed", "_wraps")

    _edits: tuple[Edit, ...] | None
    _unsealed: bool

    def __init__(self, raw: bytes | bytearray | memoryview | mmap.mmap, *, limits: Limits | None = None) -> None:
        """`raw` is kept and must not change; `limits` bound how far the MIME tree is followed."""
        SCANS.add()
        source = Source(raw)
        self._take(Index(source, limits or DEFAULT_LIMITS))
        self._origin = source
        self._base: tuple[Edit, ...] = ()

    def __bytes__(self) -> bytes:
        """The message with its edits."""
        if not self.edits and isinstance(self.raw, bytes):
            return self.raw
        return b"".join(self.chunks())

    @property
    def raw(self) -> bytes | bytearray | memoryview | mmap.mmap:
        """The source, as it was handed in."""
        return self._origin.raw

    @property
    def size(self) -> int:
        """The size in octets, with the edits."""
        return self._origin.size + sum(len(edit.data) - (edit.end - edit.start) for edit in self.edits)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The message as buffers in order: spans of the source, not copied, and the edits' octets between them."""
        return apply(self._origin.view, self.edits)

    @property
    def is_ascii(self) -> bool:
        """Whether no octet is beyond ASCII, so that the message may go where 8BITMIME (RFC 6152) is not offered."""
        views = (memoryview(chunk) for chunk in self.chunks())
        return all(bytes(view[at : at + _PIECE]).isascii() for view in views for at in range(0, view.nbytes, _PIECE))

    @property
    def body_start(self) -> int:
        """The offset in the source where the body begins: behind the header's empty line."""
        return self._origin_header.end

    @property
    def raw_body(self) -> memoryview:
        """The body in the source, not copied."""
        return self._origin.view[self.body_start :]

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What was changed, over the offsets of `raw`: sorted, disjoint, empty for an untouched message."""
        if self._edits is None:
            source = self._known.source
            pieces = message_pieces(self, source) if self._is_touched else ()
            own = edits_of(pieces, source.view, self._index.end) if self._is_touched else ()
            self._edits = self._over_origin(own) if self._base else own
        return self._edits

    @classmethod
    def with_edits(cls, raw: bytes | bytearray | memoryview | mmap.mmap, edits: Iterable[Edit]) -> Message:
        """The message with those edits over that source; further ones add to them. Raises EditError for bad ones.

        Edits of header fields lie over the source as they did before; edits of the body are applied to a copy.
        """
        origin = Source(raw)
        base = checked(edits, origin.size)
        if not base:
            return cls(raw)
        message = cls(raw)
        message._overlay = Overlay.replayed(message._index, base)
        if message._overlay is None and all(edit.end <= message.body_start and not edit.body for edit in base):
            header = b"".join(apply(origin.view[: message.body_start], base))
            message._overlay = Overlay.rewritten(message._index, header)
        if message._overlay is None:
            message = cls(b"".join(apply(origin.view, base)))
            message._origin, message._base = origin, base
        message._edits = base
        return message

    def copy(self) -> Message:
        """Another message on the same source, with the same changes so far; later ones are its own."""
        twin = Message.__new__(Message)
        twin._take(self._known)
        twin._origin, twin._base, twin._edits, twin._wraps = self._origin, self._base, self._edits, self._wraps
        if self._is_touched:
            twin._tree = self._tree
            twin._copy_changes(self)
        return twin

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What the standards forbid in header and structure of the source, in its order."""
        return self._known.defects

    @property
    def sealed(self) -> bool:
        """Whether the message or a part of it is signed or encrypted, so that a change of the body would break it."""
        return self._known.sealed

    @contextmanager
    def unseal(self) -> Iterator[None]:
        """Within this, the body of a sealed message may be edited."""
        before, self._unsealed = self._unsealed, True
        try:
            yield
        finally:
            self._unsealed = before

    def _take(self, known: Index) -> None:
        """Stand on an index, with nothing changed."""
        Part.__init__(self, known.header, None, None)
        self._known = known
        self._edits = None
        self._unsealed = False
        self._wraps = 0                            # multiparts made, so that each has a boundary of its own

    @property
    def _node(self) -> Node:
        if self._tree is None:
            self._tree = self._known.tree
        return self._tree

    @property
    def _message(self) -> Message:
        return self

    @property
    def _eol(self) -> bytes:
        return self._known.eol

    @property
    def _is_touched(self) -> bool:
        return bool(self._overlay) or (self._tree is not None and self._is_changed)

    @property
    def _origin_header(self) -> HeaderIndex:
        return self._index if not self._base else HeaderIndex(self._origin, 0, self._origin.size)

    def _allow(self, name: str, *, body: bool) -> None:
        """Called before each change. Raises EditError where it would break a seal."""
        if body and not self._unsealed and self.sealed:
            raise EditError(f"{name}: the message is signed or encrypted, so its body may not be edited")
        self._edits = None

    def _new_boundary(self) -> str:
        """A boundary that no sender can foresee, and equal for equal changes, so that recipients' copies stay alike."""
        self._wraps += 1
        source = self._known.source
        seed = source.cut(0, min(self._index.end, _SEED)) + b"%d %d" % (source.size, self._wraps)
        return f"=_{blake2b(seed, digest_size=15, key=_KEY).hexdigest()}"

    def _over_origin(self, own: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """Edits over the replayed source as edits over the first one, with the names that fields have there."""
        header = self._origin_header
        return tuple(header.labelled(edit) for edit in compose(self._base, own, self._origin.view, header.end))


_SEED: Final = 1 << 16
_PIECE: Final = 1 << 20
_KEY: Final = token_bytes(32)
