"""Loading: from the configuration to handlers that are ready to run.

Everything that can be wrong is found here, and told at once: a service that starts serves all of its
handlers or says why not.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from .config import Settings, short_name
from .handler import Handler, HandlerProblems, read_module
from .routing import Routers
from .views import Views


class LoadError(Exception):
    """Handlers that cannot be loaded; every finding is a line with file and reason."""

    def __init__(self, findings: Iterable[str]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(self.findings))


def load_routers(settings: Settings) -> Routers:
    """Import and read the configured handlers of both doors. Raises LoadError with all findings of all of them."""
    loaded: dict[str, Handler] = {}
    findings: list[str] = []
    _extend_path(settings.service.path)
    for door, modules in (("filter", settings.filter.handlers), ("milter", settings.milter.handlers)):
        for name in [module for module in modules if module not in loaded]:
            try:
                loaded[name] = _load(name, settings)
                if door == "milter":
                    findings += _effects(loaded[name], settings)
            except HandlerProblems as problems:
                findings += problems.findings
            except (Exception, SystemExit) as error:
                findings.append(f"{settings.origin or 'configuration'}: [{door}] handlers: {_why(name, error)}")
    if findings:
        raise LoadError(dict.fromkeys(findings))
    behind, before = ([loaded[name] for name in door.handlers] for door in (settings.filter, settings.milter))
    return Routers(behind, before, settings.domains.owned)


def _load(name: str, settings: Settings) -> Handler:
    module = importlib.import_module(name)
    return read_module(
        module,
        _views(module, settings),
        shapes=settings.routing,
        table=settings.handlers.get(short_name(name), {}),
        origin=settings.origin,
    )


def _effects(handler: Handler, settings: Settings) -> Iterator[str]:
    """What a handler that stands before the queue alone could not keep there: nobody knows whether mail gets queued."""
    kept = [f"states ({', '.join(handler.states)})"] if handler.states else []
    kept += ["tables of its own"] if handler.tables is not None else []
    if kept:
        yield (
            f"{settings.origin or 'configuration'}: [milter] handlers: {handler.path} has {' and '.join(kept)}, "
            "but before the queue nothing can be kept; name it in [filter] handlers too"
        )


def _views(module: ModuleType, settings: Settings) -> Views:
    if module.__file__ is None:
        raise ImportError("it is a folder without an __init__.py", name=module.__name__)
    return Views.for_module(
        name=short_name(module.__name__),
        module_file=Path(module.__file__),
        is_package=hasattr(module, "__path__"),
        site=settings.service.templates,
        paths=settings.service.path,
    )


def _extend_path(folders: Iterable[Path]) -> None:
    for folder in reversed([str(folder.absolute()) for folder in folders]):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _why(name: str, error: BaseException) -> str:
    """Why a module does not import, and where: the last place in a file, for errors in the module's own code."""
    if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
        return f"{name} does not import: no module named {error.name!r}; is its folder in [service] path?"
    if isinstance(error, SyntaxError):
        return f"{name} does not import: {error.filename}:{error.lineno}: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{name} does not import: {place}{type(error).__name__}: {error}"
