"""The snippets with a site's values in them."""

import re

import pytest
from penstock.postfix.snippets import Wiring


def settings(text: str) -> list[str]:
    """The lines that are no comment."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_default_is_lmtp_over_a_unix_socket() -> None:
    wiring = Wiring()
    assert "content_filter = penstock:unix:penstock/filter.sock" in settings(wiring.main_cf())
    assert re.search(r"^penstock +unix .* 20 +lmtp$", wiring.master_cf(), re.MULTILINE)
    assert "    -o lmtp_send_xforward_command=yes" in settings(wiring.master_cf())
    assert "127.0.0.1:10026  inet  n  -  n  -  -  smtpd" in settings(wiring.master_cf())


@pytest.mark.parametrize(
    ("wire", "listen", "next_hop"),
    [
        ("smtp", "127.0.0.1:10025", "[127.0.0.1]:10025"),
        ("smtp", "[::1]:10025", "[::1]:10025"),
        ("lmtp", "127.0.0.1:10025", "inet:[127.0.0.1]:10025"),
        ("lmtp", "unix:penstock/filter.sock", "unix:penstock/filter.sock"),
    ],
)
def test_the_next_hop_is_written_as_its_client_wants_it(wire: str, listen: str, next_hop: str) -> None:
    wiring = Wiring(listen=listen, wire=wire)  # type: ignore[arg-type]
    assert f"content_filter = penstock:{next_hop}" in settings(wiring.main_cf())
    other = {"lmtp": "smtp_", "smtp": "lmtp_"}[wire]
    assert not [line for line in settings(wiring.master_cf()) if line.strip().startswith(f"-o {other}")]


def test_smtp_over_a_unix_socket_is_refused() -> None:
    with pytest.raises(ValueError, match="TCP port"):
        Wiring(wire="smtp")


def test_owned_domains_have_their_transport() -> None:
    assert settings(Wiring(owned=("a.test", "b.test")).owned_cf()) == [
        "relay_domains = a.test, b.test",
        "transport_maps = inline:{ { a.test = penstock:unix:penstock/filter.sock }, "
        "{ b.test = penstock:unix:penstock/filter.sock } }",
    ]
    assert Wiring().owned_cf() == ""


def test_the_milter_defers_mail_while_it_is_down() -> None:
    assert settings(Wiring().milter_cf()) == [
        "smtpd_milters = { unix:penstock/milter.sock, default_action=tempfail }",
        "non_smtpd_milters = { unix:penstock/milter.sock, default_action=tempfail }",
    ]


def test_no_word_is_left_open_and_every_word_is_explained() -> None:
    wiring = Wiring(owned=("a.test",))
    for text in (wiring.main_cf(), wiring.milter_cf(), wiring.owned_cf(), wiring.master_cf()):
        assert [line for line in settings(text) if "@" in line] == []
        assert re.search(r"^#   @\w+@ +\S", text, re.MULTILINE)
