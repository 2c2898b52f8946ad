"""`penstock db`: list, upgrade, revision; and what other commands say of a database that is not current."""

from pathlib import Path
from typing import Any

from penstock.filter.store import Store

HANDLER = """
from penstock import route
from sqlalchemy import Column, MetaData, String, Table

metadata = MetaData()
migrations = "{name}_migrations"
Table("{name}_members", metadata, Column("address", String(320), primary_key=True){more})

@route("x@{{host}}")
def START(mail):
    pass
"""


def made(penstock_in: Any, name: str, more: str = "") -> None:
    (penstock_in.folder / f"{name}.py").write_text(HANDLER.format(name=name, more=more))
    penstock_in.configure(name)


def test_nothing_is_made_by_looking(penstock_in: Any) -> None:
    assert penstock_in.json("db", "list") == [
        {"branch": "penstock", "state": "missing", "revision": None, "head": "0003"},
        {"branch": "penstock_ledger", "state": "missing", "revision": None, "head": "0001"},
        {"branch": "tea", "state": "missing", "revision": None, "head": None},
    ]
    assert not penstock_in.store_file.exists()
    result = penstock_in("db", "upgrade")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the service makes it at its first start" in result.stderr
    assert not penstock_in.store_file.exists()


def test_a_handlers_revision_is_written_asked_for_and_run(penstock_in: Any) -> None:
    made(penstock_in, "club")
    result = penstock_in("db", "revision", "club", "-m", "first")
    first = Path(result.stdout.strip())
    assert first.parts[-2:] == ("club_migrations", "0001_first.py")
    assert penstock_in("db", "revision", "club").stdout.endswith("nothing was written\n")
    assert penstock_in("routes").exit_code == 0
    Store(f"sqlite:///{penstock_in.store_file}").create()
    assert penstock_in("db", "upgrade").stdout.splitlines() == [
        "penstock: current", "penstock_ledger: current", "club: missing > 0001"
    ]  # fmt: skip
    assert penstock_in("check").exit_code in (0, 1)
    assert {line["branch"]: line["state"] for line in penstock_in.json("db", "list")} == {
        "penstock": "current", "penstock_ledger": "current", "club": "current"
    }  # fmt: skip
    first.with_name("0002_more.py").write_text(
        'from alembic import op\nimport sqlalchemy as sa\nrevision, down_revision = "0002", "0001"\n'
        'def upgrade():\n    op.add_column("club_members", sa.Column("name", sa.Text()))\n'
    )
    for command in (("run",), ("explain", str(penstock_in.mail))):
        result = penstock_in(*command)
        assert result.exit_code == 1
        assert "the tables of club: 0001, and not 0002); mend it with: penstock db upgrade" in result.stderr
    assert "penstock db upgrade" in penstock_in("check").stdout.replace("\n                ", "")
    assert "club: 0001 > 0002" in penstock_in("db", "upgrade").stdout
    assert penstock_in("db", "list").stdout.splitlines() == [
        "penstock         current    0003", "penstock_ledger  current    0001", "club             current    0002"
    ]  # fmt: skip


def test_a_handler_without_tables_of_its_own(penstock_in: Any) -> None:
    result = penstock_in("db", "revision", "policy")
    assert result.exit_code == 2
    assert "No tables of policy; there are those of penstock, penstock_ledger, tea." in result.stderr
    result = penstock_in("db", "revision", "tea")
    assert result.exit_code == 1
    assert 'write migrations = "migrations" beside metadata' in result.stderr
