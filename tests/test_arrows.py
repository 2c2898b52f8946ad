"""The three floors of the house: who may import whom, an arrow a test.

*Core* is the root and `filter/` but for the doors and the top; no socket, no MTA library, and outside
`filter/store` no SQLAlchemy. *Doors*, `filter/port` and `milter`, see the core and never each other.
*Top*, `filter/service`, `filter/commands` and `filter/testing`, alone sees the doors, and `postfix` and
`systemd`, which see the configuration only. A handler sees what the root exports, and its own package.

The arrows are read from the source, so imports within functions and under TYPE_CHECKING count as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("filter", "milter", "handlers", "postfix", "systemd")

SEES: dict[str, set[str]] = {
    "root": {"core", "configuration"},
    "core": {"core", "configuration"},
    "configuration": {"core", "configuration"},
    "port": {"core", "configuration", "port"},
    "milter": {"core", "configuration", "milter"},
    "top": {"core", "configuration", "port", "milter", "postfix", "systemd", "top"},
    "postfix": {"configuration", "postfix"},
    "systemd": {"configuration", "systemd"},
    "handlers": set(),
}
SOCKETS = {"socket", "socketserver", "ssl", "selectors", "select", "asyncio", "http", "urllib.request"}
MTA = {"smtplib", "smtpd", "poplib", "imaplib", "aiosmtpd", "aiosmtplib", "Milter", "milter"}


def modules() -> Iterator[tuple[str, Path]]:
    yield "penstock", ROOT / "__init__.py"
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(("penstock", *parts)).removesuffix(".__init__"), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Every module that the source imports, by its full name."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join((*base, *([node.module] if node.module else [])))
            yield from (_target(origin, alias.name) for alias in node.names)


def _target(origin: str, name: str) -> str:
    """`from origin import name` imports the module `origin.name` where there is one, else `origin`."""
    inner = ROOT.joinpath(*origin.split(".")[1:], name)
    ours = origin.split(".")[0] == "penstock"
    return f"{origin}.{name}" if ours and (inner.is_dir() or inner.with_suffix(".py").is_file()) else origin


def floor(name: str) -> str:
    parts = name.split(".")
    match parts[1:3]:
        case []:
            return "root"
        case ["filter", "port"]:
            return "port"
        case ["filter", "service" | "commands" | "testing"]:
            return "top"
        case ["filter", "config"]:
            return "configuration"
        case ["filter", *_]:
            return "core"
        case [folder, *_]:
            return folder
    raise ValueError(name)


def allowed(name: str, imported: str) -> bool:
    if imported.split(".")[0] != "penstock":
        return _library_allowed(name, imported)
    if floor(name) == "handlers":
        own = ".".join(name.split(".")[:3])
        return imported == "penstock" or f"{imported}.".startswith(f"{own}.")
    return floor(imported) in SEES[floor(name)]


def _library_allowed(name: str, imported: str) -> bool:
    if floor(name) not in ("root", "core", "configuration"):
        return True
    tops = {imported, imported.split(".")[0]}
    if "sqlalchemy" in tops or "alembic" in tops:
        return f"{name}.".startswith("penstock.filter.store.")
    return not tops & (SOCKETS | MTA)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*found, id=found[0]) for found in modules()])
def test_a_module_imports_only_what_its_floor_may_see(name: str, path: Path) -> None:
    assert [imported for imported in imports(name, path) if not allowed(name, imported)] == []


@pytest.mark.parametrize(("name", "path"), [pytest.param(*found, id=found[0]) for found in modules()])
def test_only_the_root_and_the_handlers_import_us_absolutely(name: str, path: Path) -> None:
    """pytest imports the root file as a package named after its folder: there a relative import would go astray."""
    levels = [
        node.level
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "penstock")
    ]
    if name == "penstock":
        assert set(levels) <= {0}
    elif floor(name) != "handlers":
        assert 0 not in levels


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("penstock", "penstock.filter.port.server"),
        ("penstock.filter.mail", "penstock.filter.port"),
        ("penstock.filter.mail", "penstock.filter.testing.sink"),
        ("penstock.filter.mail", "penstock"),
        ("penstock.filter.mail", "penstock.handlers.tea"),
        ("penstock.filter.mail", "socket"),
        ("penstock.filter.mail", "urllib.request"),
        ("penstock.filter.mail", "smtplib"),
        ("penstock.filter.mail", "sqlalchemy.orm"),
        ("penstock.filter.config", "penstock.postfix.private"),
        ("penstock.filter.port.session", "penstock.milter.edits"),
        ("penstock.filter.port.session", "penstock.filter.service"),
        ("penstock.filter.port.session", "penstock.postfix"),
        ("penstock.milter.session", "penstock.filter.port.session"),
        ("penstock.postfix.private", "penstock.filter.envelope"),
        ("penstock.postfix.private", "penstock.filter.testing.sink"),
        ("penstock.systemd.notify", "penstock.filter.service"),
        ("penstock.filter.commands.run", "penstock.handlers.tea"),
        ("penstock.handlers.tea", "penstock.filter.mail"),
        ("penstock.handlers.tea", "penstock.handlers.teatime"),
    ],
)
def test_an_arrow_that_is_not_there(name: str, imported: str) -> None:
    assert not allowed(name, imported)


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("penstock.filter.store.rows", "sqlalchemy.orm"),
        ("penstock.filter.port.server", "socket"),
        ("penstock.filter.service", "penstock.postfix.private"),
        ("penstock.postfix.snippets", "penstock.filter.config"),
        ("penstock.handlers.tea", "penstock"),
        ("penstock.handlers.tea.model", "penstock.handlers.tea.tables"),
    ],
)
def test_an_arrow_that_is_there(name: str, imported: str) -> None:
    assert allowed(name, imported)
