"""The message: parse once, byte-exact, lazy, with an overlay of edits."""

from __future__ import annotations

from .edits import Edit, EditError
from .field import Field
from .header import Defect
from .message import Message
from .part import Part
from .structure import Limits
from .writing import HeaderValue

__all__ = ["Defect", "Edit", "EditError", "Field", "HeaderValue", "Limits", "Message", "Part"]
