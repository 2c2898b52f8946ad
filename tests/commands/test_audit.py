"""`penstock audit`: who did what, and when."""

from typing import Any

from penstock.filter.commands.kept import person

DATABASES = ["sqlite", "postgresql"]


def test_who_did_what(keeper: Any) -> None:
    assert keeper("audit").stdout == "Nothing was done.\n"
    number = str(keeper.hold("bob@example.net", "eve@example.net"))
    keeper("held", "release", number, "--around", "--to", "desk@example.com")
    letter = str(keeper.write())
    keeper("outbox", "delete", letter)
    keeper.converse("POSTING")
    keeper("state", "reset", "--all", "--yes")
    titles, *lines = keeper("audit").stdout.splitlines()
    assert titles.split() == ["when", "who", "deed", "kind", "which", "handler"]
    assert [line.split()[-5:] for line in lines] == [
        [person(), "released", "held", number, "policy"], [person(), "deleted", "letter", letter, "tea"],
        [person(), "reset", "conversation", "tea/ann@example.org/tea", "tea"],
    ]  # fmt: skip
    [entry] = keeper.json("audit", "--handler", "policy")
    assert entry["details"]["recipients"] == ["bob@example.net", "eve@example.net"]
    assert entry["details"]["sent"] == {"sender": "ann@example.org", "recipients": ["desk@example.com"]}
    assert entry["details"]["reason"] == "a stranger"
    assert keeper.json("audit", "--since", "2100-01-01") == []


def test_who_is_behind_sudo(monkeypatch: Any) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    user = person()
    monkeypatch.setenv("SUDO_USER", "ann")
    assert person() == f"ann as {user}"
    monkeypatch.setenv("SUDO_USER", user)
    assert person() == user
