"""The captured mail that the handlers' tests use is what Postfix gives today."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from penstock import Message

CAPTURED = Path(__file__).parents[1] / "handlers" / "captured"
ANEW = runpy.run_path(str(CAPTURED / "anew.py"))
CASES = {case.name: case for case in ANEW["cases"]()}

OF_THE_MOMENT = ("ident", "port")
"""What XFORWARD tells and no two captures share."""


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything captured again."""
    folder = tmp_path_factory.mktemp("captured")
    ANEW["capture"](folder, *CASES.values())
    return folder


def test_every_stored_message_is_captured_again() -> None:
    assert {file.stem for file in CAPTURED.glob("*.eml")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_same_below_received(anew: Path, name: str) -> None:
    stored, fresh = (Message((folder / f"{name}.eml").read_bytes()) for folder in (CAPTURED, anew))
    assert [field.name for field in fresh.fields] == [field.name for field in stored.fields]
    assert fresh.fields[0].name == "Received"
    assert b"".join(field.raw for field in list(fresh.fields)[1:]) == b"".join(f.raw for f in list(stored.fields)[1:])
    assert bytes(fresh.raw_body) == bytes(stored.raw_body)


@pytest.mark.parametrize("name", CASES)
def test_the_envelope_is_the_same(anew: Path, name: str) -> None:
    stored, fresh = (envelope(folder / f"{name}.eml.json") for folder in (CAPTURED, anew))
    assert fresh == stored


def envelope(file: Path) -> dict[str, Any]:
    """What a side file says, the values of the moment blotted out: a queue id may be longer, and so the size."""
    told: dict[str, Any] = json.loads(file.read_text("utf-8"))
    client = {key: "…" if key in OF_THE_MOMENT else value for key, value in told["client"].items()}
    return {**told, "size": "…", "client": client}
