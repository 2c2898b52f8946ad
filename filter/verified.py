"""Whether the sender of a message may be told that it was refused.

After the queue a refusal becomes mail to the reverse-path, and anyone may have written that there. A
notice to somebody who never wrote is backscatter, and lands on blocklists. So only a sender is told whom
one of these vouches for:

* XFORWARD says SOURCE=LOCAL: the message comes from this host or its own network;
* the client had authenticated itself (SMTP AUTH): our own Postfix wrote so into the Received field of the queue id
  that XFORWARD names, or an Authentication-Results field (RFC 8601) of a configured authserv-id says `auth=pass`;
* such a field says `dmarc=pass` for a From domain that is the reverse-path's, or above it. Not below: whoever
  has a subdomain does not speak for the whole domain.

Authentication-Results is text in a message like any other. Its authserv-id tells who claims to have written it, and
nobody but the border can know: name in `authserv_ids` only ids of which the border removes all copies that come
in from outside (RFC 8601 section 5). Where results differ, one that does not pass is enough to say no.
"""

from __future__ import annotations

from collections.abc import Collection

from .address import domain_key, split
from .authres import Result, results
from .envelope import Envelope
from .message import Message
from .received import own_received


def verified(envelope: Envelope, message: Message, peer: str, authserv_ids: Collection[str]) -> str | None:
    """Why the sender may be told of a refusal, in words for the log; None if it may be forged.

    `message` is as it arrived, `peer` the name that our Postfix gave at the port, `authserv_ids` whose
    Authentication-Results are believed. The null reverse-path is never told.
    """
    if envelope.is_null:
        return None
    if envelope.client.source == "LOCAL":
        return "local"
    if _by_postfix(envelope, message, peer):
        return "authenticated to our Postfix"
    if _all_pass(results(message, authserv_ids, "auth")):
        return "authenticated, by Authentication-Results"
    if _aligned(envelope, results(message, authserv_ids, "dmarc")):
        return "DMARC-aligned, by Authentication-Results"
    return None


def _by_postfix(envelope: Envelope, message: Message, peer: str) -> bool:
    """The uppermost own field with IDENT decides: a stranger's is below it, whatever it says."""
    ident = envelope.client.ident
    own = own_received(message, peer).first_with(ident) if ident else None
    return own is not None and own.is_authenticated


def _all_pass(found: Collection[Result]) -> bool:
    return bool(found) and all(result.result == "pass" for result in found)


def _aligned(envelope: Envelope, found: Collection[Result]) -> bool:
    _, domain = split(envelope.reverse_path)
    path = domain_key(domain)
    authors = {domain_key(result.properties.get("header.from", "")) for result in found}
    return bool(path) and _all_pass(found) and all(author and _is_within(path, author) for author in authors)


def _is_within(domain: str, parent: str) -> bool:
    return domain == parent or ("." in parent and domain.endswith("." + parent))
