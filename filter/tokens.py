"""Tokens: a sealed fact in the local part of an address, so that a reply to it proves that the letter arrived.

A token is 160 bits, 32 letters and digits of lower-case base32 (RFC 4648), since addresses reach handlers in
lower case and a local part has at most 64 octets (RFC 5321 section 4.5.3.1.1):

    nonce, 64 bits | expiry, 32 bits: seconds since 1970 | seal, 64 bits of HMAC-SHA256

The seal covers the purpose, the facts, nonce and expiry; each is preceded by its length, so that `("ab", "c")`
and `("a", "bc")` differ. The facts themselves are not in the token: who verifies it must know them.

Strength: without the secret each guess succeeds once in 2^64, and every guess costs a mail to us, so none
can be tried in private. The nonce makes tokens of the same facts differ; `digest` of a token is the key under
which its use is recorded, for single use needs storage, which this module has not. Nor has it a clock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
import secrets
from datetime import datetime
from typing import Final

LENGTH: Final = 32
"""The length of every token, in characters."""


class Tokens:
    """Signs and verifies with one secret of at least 16 octets; raises ValueError for a shorter one."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("a secret needs at least 16 octets")
        self._secret = secret

    def sign(self, purpose: str, *facts: str, expires: datetime, nonce: bytes | None = None) -> str:
        """A token for these facts, good until `expires` (aware; a part of a second counts as a whole one).

        `nonce` is 8 octets, by default random. Raises ValueError for another length, a naive time, or one
        before 1970 or after 2106.
        """
        nonce = secrets.token_bytes(_NONCE) if nonce is None else nonce
        if len(nonce) != _NONCE:
            raise ValueError(f"a nonce has {_NONCE} octets, not {len(nonce)}")
        head = nonce + _expiry(expires)
        return base64.b32encode(head + self._seal(head, purpose, facts)).decode("ascii").lower()

    def verify(self, token: str, purpose: str, *facts: str, now: datetime) -> bool:
        """Whether the token was signed with this secret for these facts and `now` (aware) is before its expiry.

        Upper and lower case are one. Anything that is no token is False; nothing is raised.
        """
        raw = _decoded(token)
        if raw is None:
            return False
        head, seal = raw[:-_SEAL], raw[-_SEAL:]
        sealed = hmac.compare_digest(seal, self._seal(head, purpose, facts))
        return sealed and now.timestamp() < int.from_bytes(head[_NONCE:], "big")

    def _seal(self, head: bytes, purpose: str, facts: tuple[str, ...]) -> bytes:
        sealing = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in (_LABEL, head, *(text.encode("utf-8", "surrogatepass") for text in (purpose, *facts))):
            sealing.update(len(part).to_bytes(8, "big") + part)
        return sealing.digest()[:_SEAL]


def digest(token: str) -> str:
    """What to store of a used token: its SHA-256 in hexadecimal, the same in any case; it does not give the token."""
    return hashlib.sha256(token.lower().encode("utf-8", "surrogatepass")).hexdigest()


_NONCE: Final = 8
_SEAL: Final = 8
_LABEL: Final = b"penstock token 1"
_FORM: Final = re.compile(rf"[A-Za-z2-7]{{{LENGTH}}}")


def _expiry(expires: datetime) -> bytes:
    if expires.tzinfo is None:
        raise ValueError("the expiry must be aware of its time zone")
    seconds = math.ceil(expires.timestamp())
    if not 0 <= seconds < 1 << 32:
        raise ValueError(f"a token cannot expire in {expires.year}")
    return seconds.to_bytes(4, "big")


def _decoded(token: str) -> bytes | None:
    return base64.b32decode(token.upper()) if _FORM.fullmatch(token) else None
