"""What all commands share: where the configuration is, how trouble is told."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from penstock.filter.commands import main
from penstock.filter.commands.reference import sections

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "commands.md").read_text("utf-8")
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")


def test_the_page_has_the_help_of_every_command() -> None:
    """Where this fails, put what `sections` gives into the page."""
    _, heading, rest = PAGE.partition("## `penstock run`")
    assert heading + rest == "\n".join(sections(main))


@pytest.mark.parametrize("name", main.commands)
def test_every_option_is_explained(name: str) -> None:
    options = [parameter for parameter in main.commands[name].params if parameter.param_type_name == "option"]
    assert [option.name for option in options if not getattr(option, "help", None)] == []


@pytest.mark.parametrize("name", main.commands)
def test_a_command_says_at_once_what_it_does(name: str) -> None:
    summary = main.commands[name].get_short_help_str(100)
    assert summary.endswith(".")
    assert "..." not in summary


@pytest.mark.parametrize("line", re.findall(r"(?m)^penstock (.*?)(?: +#.*)?$", OPERATIONS))
def test_what_the_page_on_operations_types_is_understood(line: str) -> None:
    command: click.Command = main
    words = shlex.split(line.replace("…", "x"))
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)  # raises where it is not


def test_the_version() -> None:
    result = CliRunner().invoke(main, ["--version"], prog_name="penstock")
    assert result.stdout.startswith("penstock 0.")


@pytest.mark.parametrize("name", ["run", "explain", "routes"])
def test_a_bad_configuration_is_told_in_full(penstock_in: Any, name: str) -> None:
    penstock_in.configuration.write_text("[service]\nhostnme = 1\n[filter]\ntimeout = 3\n")
    result = penstock_in(name, *[str(penstock_in.mail)] * (name == "explain"))
    assert result.exit_code == 1
    assert result.stdout == ""
    heading, *findings = result.stderr.splitlines()
    assert heading == "Error: The configuration cannot be used:"
    assert len(findings) == 2
    assert all(str(penstock_in.configuration) in finding for finding in findings)


def test_one_finding_is_one_line(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.nowhere")
    result = penstock_in("routes")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "penstock.handlers.nowhere does not import" in result.stderr


def test_a_missing_configuration(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", "--config", str(tmp_path / "none.toml")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path}/none.toml: no such file")


def test_the_configuration_of_the_command_goes_before_that_of_the_program(penstock_in: Any, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["--config", str(tmp_path / "none.toml"), "routes", "--config", str(penstock_in.configuration)]
    )
    assert result.exit_code == 0


def test_the_configuration_from_the_environment(penstock_in: Any) -> None:
    runner = CliRunner(env={"PENSTOCK_CONFIG": str(penstock_in.configuration)})
    assert runner.invoke(main, ["routes"]).exit_code == 0


def test_a_store_that_is_no_database(penstock_in: Any) -> None:
    penstock_in.store_file.parent.mkdir()
    penstock_in.store_file.write_bytes(b"this is no database, but it is long enough to be looked at" * 20)
    result = penstock_in("explain", str(penstock_in.mail))
    assert result.exit_code == 1
    assert result.stderr == "Error: [store] url: the database failed: file is not a database\n"
