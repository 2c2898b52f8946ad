"""The corpus beside the standard library's `email`: where that has no complaint we say the same, octet for octet.

Compared with the policy compat32, which keeps values as they came: types and names of the whole tree, every raw
value, the decoded content of every leaf. What is decoded is compared with `policy.default`: Subject as text, the
addresses of From, To, Cc and Reply-To. (A comment behind an address is its owner's name to us, as in old mail by RFC
5322 section 3.4; there it is dropped, so names are not compared where comments are.) Where the standard library
complains, and the two differ, the file stands below with the reason why ours is right.
"""

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.message import Message as Parsed
from pathlib import Path

from penstock.filter.message import Message

from .conftest import CORPUS

CLEAN_FLOOR = 950
"""How many messages of the corpus the standard library reads without a complaint, when this was written."""


def test_what_is_read_without_complaint_is_read_the_same(corpus: list[Path]) -> None:
    compared = 0
    for path in corpus:
        raw = path.read_bytes()
        parsed = message_from_bytes(raw)
        difference = differing(Message(raw), parsed)
        if is_clean(parsed):
            compared += not difference
            assert difference == CLEAN_BUT_OTHER.get(name_of(path), ""), path
    print(f"{compared} messages of the corpus read like in the standard library")
    assert compared >= CLEAN_FLOOR


def test_every_other_difference_has_a_reason(corpus: list[Path]) -> None:
    found = set()
    for path in corpus:
        raw = path.read_bytes()
        parsed = message_from_bytes(raw)
        if not is_clean(parsed) and differing(Message(raw), parsed):
            found.add(name_of(path))
    listed = {name for names in REASONS.values() for name in names}
    assert found == listed


def test_decoded_values_are_the_same(corpus: list[Path]) -> None:
    subjects, lists = 0, 0
    for path in corpus:
        raw = path.read_bytes()
        if not is_clean(message_from_bytes(raw)):
            continue
        message, modern = Message(raw), message_from_bytes(raw, policy=policy.default)
        if message["Subject"] is not None and name_of(path) not in SUBJECTS:
            subjects += 1
            assert squeezed(message["Subject"]) == squeezed(str(modern["Subject"])), path
        for field in ("From", "To", "Cc", "Reply-To"):
            if f"{name_of(path)}: {field}" in ADDRESSES or not (theirs := clean_addresses(modern, field)):
                continue
            lists += 1
            ours = [(each.name, each.addr) for each in message.addresses(field)]
            if any("(" in each.value for each in message.fields_named(field)):
                assert [addr for _, addr in ours] == [addr for _, addr in theirs], (path, field)
            else:
                assert ours == theirs, (path, field)
    print(f"{subjects} subjects and {lists} lists of addresses read like in the standard library")
    assert (subjects >= 800, lists >= 1500) == (True, True)


def differing(message: Message, parsed: Parsed) -> str:
    """What is not the same: "" where all is."""
    ours, theirs = list(message.walk()), parts_of(parsed)
    if [part.content_type for part in ours] != [part.get_content_type() for part in theirs]:
        return "tree"
    for part, other in zip(ours, theirs, strict=True):
        if list(part) != other.keys():
            return "names"
        if [plain(field.raw.partition(b":")[2]) for field in part.fields] != raw_values(other):
            return "values"
        if not part.parts and part.content_type != "message/delivery-status":
            content = other.get_payload(decode=True)
            if part.content != content:
                return "content"
    return ""


def is_clean(parsed: Parsed) -> bool:
    parts_of(parsed, decode=True)
    return bool(parsed.keys()) and not any(part.defects for part in parsed.walk())


def parts_of(part: Parsed, *, decode: bool = False) -> list[Parsed]:
    """All parts but the groups of a delivery status, which are no parts; decoded, which finds more defects."""
    if decode:
        part.get_payload(decode=True)
    if not part.is_multipart() or part.get_content_type() == "message/delivery-status":
        return [part]
    children = part.get_payload()
    return [part, *(each for child in children for each in parts_of(child, decode=decode))]  # type: ignore[arg-type]


def raw_values(part: Parsed) -> list[bytes]:
    return [plain(str(value).encode("ascii", "surrogateescape")) for _, value in part._headers]  # type: ignore[attr-defined]


def plain(value: bytes) -> bytes:
    return value.strip(b" \t\r\n").replace(b"\r\n", b"\n")


def clean_addresses(modern: EmailMessage, name: str) -> list[tuple[str, str]]:
    """The addresses of all fields of that name, [] where one of the fields is not well formed."""
    fields = modern.get_all(name, [])
    if any(field.defects for field in fields):
        return []
    return [(each.display_name, each.addr_spec) for field in fields for each in field.addresses]


def squeezed(text: str) -> str:
    return " ".join(text.split())


def name_of(path: Path) -> str:
    return str(path.relative_to(CORPUS))


CLEAN_BUT_OTHER = {
    # A report in base64: it is encoded, so no tree is to be seen in it.
    "parsedmarc/failure/[Netease DMARC Failure Report] Rent Reminder.eml": "tree",
}
REASONS: dict[str, list[str]] = {
    # An attached message in base64 is encoded: RFC 2046 section 5.2.1 forbids it, so no tree is looked for in it; the
    # standard library makes a message of the undecoded lines.
    "an encoded message": [
        "james-mime4j/core/src/test/resources/testmsgs/bad-newlines-multiple-parts-base64.msg",
        "james-mime4j/core/src/test/resources/testmsgs/base64encoded-rfc822message-nested.msg",
        "james-mime4j/core/src/test/resources/testmsgs/base64encoded-rfc822message.msg",
    ],
    # No header at all. The first lines, which are indented or begin with a colon, are text; they get lost there.
    "no header": [
        "LICENSES/james-mime4j/LICENSE",
        "LICENSES/james-mime4j/NOTICE",
        "LICENSES/james-project/LICENSE",
        "LICENSES/parsedmarc/LICENSE",
        "zapier-email-reply-parser/emails/email_1_7.txt",
    ],
    # White space before the colon: obsolete, but to be read (RFC 5322 section 4.5); there it ends the header.
    "obsolete syntax": [
        "james-mime4j/core/src/test/resources/testmsgs/obsolete.msg",
        "mikel-mail/emails/rfc2822/example13.eml",
    ],
    # A type without the semicolon behind it: there the parameter becomes part of the media type.
    "no semicolon": [
        "sisimai-set-of-emails/maildir/bsd/lhost-x1-02.eml",
    ],
    # Damaged base64: we give the octets that there are, there it is the undecoded text.
    "damaged base64": [
        "flanker/messages/enclosed-broken-body.eml",
        "james-project/server/container/core/src/test/resources/invalid.eml",
        "rspamd/messages/fname.eml",
        "sisimai-set-of-emails/maildir/bsd/rhost-google-06.eml",
    ],
    # A closing delimiter without one before it: the octets from it on are content; they get lost there.
    "only a closing delimiter": [
        "cpython-email/msg_42.txt",
        "flanker/messages/mailformed-headers.eml",
        "james-mime4j/core/src/test/resources/testmsgs/ending-boundaries.msg",
        "james-mime4j/core/src/test/resources/testmsgs/missing-inner-start-boundary.msg",
        "james-mime4j/core/src/test/resources/testmsgs/multipartnopart.msg",
    ],
    # A multipart without a delimiter: the line ending before the outer one belongs to that (RFC 2046 section
    # 5.1.1); there it is content.
    "no delimiter": [
        "cpython-email/msg_15.txt",
        "james-mime4j/core/src/test/resources/testmsgs/missing-inner-boundary.msg",
        "mimekit/UnitTests/TestData/messages/empty-multipart.txt",
        "sisimai-set-of-emails/maildir/bsd/lhost-amazonses-14.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-office365-10.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-office365-12.eml",
    ],
    # An empty part between two delimiters: there the epilogue becomes its text.
    "an empty part": [
        "james-mime4j/core/src/test/resources/testmsgs/multipartemptypart.msg",
    ],
    # No closing delimiter: a line ending belongs to the delimiter behind it (RFC 2046 section 5.1.1). There is
    # none, so the last one is content; there it is cut off.
    "no closing delimiter": [
        "flanker/messages/missing-final-boundary.eml",
        "james-project/server/protocols/jmap-rfc-8621-integration-tests/jmap-rfc-8621-integration-tests-common/src/main/resources/eml/inlined-single-attachment.eml",
        "mikel-mail/emails/mime_emails/raw_email4.eml",
        "mimekit/UnitTests/TestData/dkim/multipart-no-end-boundary.msg",
        "mimekit/UnitTests/TestData/mbox/simple.mbox.txt",
        "sisimai-set-of-emails/maildir/bsd/arf-15.eml",
        "sisimai-set-of-emails/maildir/bsd/arf-21.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-activehunter-02.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-courier-02.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-courier-03.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-domino-02.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-exchange2003-03.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-ezweb-02.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-mailfoundry-02.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-messagingserver-02.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-postfix-17.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-postfix-30.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-sendmail-13.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-sendmail-17.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-sendmail-22.eml",
        "sisimai-set-of-emails/maildir/bsd/lhost-surfcontrol-03.eml",
    ],
}
SUBJECTS = {
    "flanker/messages/spam/broken-headers.eml",    # 8-bit without a charset: Windows-1252, there U+FFFD
    "mikel-mail/emails/error_emails/invalid_subject_characters.eml",  # the same
    "mikel-mail/emails/error_emails/bad_encoded_subject.eml",  # an unknown charset: shown as it is
    "sisimai-set-of-emails/maildir/bsd/lhost-exchange2007-04.eml",  # a character cut in two between words: joined
    "sisimai-set-of-emails/maildir/err/make-test-31.eml",  # an encoded NUL: a space
}
ADDRESSES = {
    # White space between encoded words is no text (RFC 2047 section 6.2); there it is.
    "mikel-mail/emails/error_emails/bad_subject.eml: From",
    # The standard library raises AttributeError for a group within its own list of addresses.
    "mimekit/UnitTests/TestData/messages/delivery-status-no-blank-line.txt: To",
    "mimekit/UnitTests/TestData/messages/delivery-status.anonymized.eml: To",
    "mimekit/UnitTests/TestData/messages/delivery-status.txt: To",
}
