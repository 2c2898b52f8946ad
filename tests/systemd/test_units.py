"""The units: what systemd makes of them, and how they are written for a site."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from penstock.filter.commands import main
from penstock.systemd.units import NAMES, Place, install

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")

ELSEWHERE = Place(
    "/srv/venv/bin/penstock", "/etc/mail/penstock.toml", "filter", "/var/spool/postfix-out",
    ("unix:/var/spool/postfix-out/penstock/filter.sock", "127.0.0.1:10025"),
)  # fmt: skip


@needs_analyze
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".service")])
def test_the_service_is_exposed_little(name: str, tmp_path: Path) -> None:
    file = tmp_path / name.replace("@", "@one")
    file.write_text(Place().unit(name))
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert found is not None
    assert float(found[1]) <= 2.0


@needs_analyze
@pytest.mark.parametrize("name", NAMES)
def test_systemd_understands_every_line(name: str, tmp_path: Path) -> None:
    place = Place(executable="/bin/true")
    for each in NAMES[:2]:
        (tmp_path / each).write_text(place.unit(each))
    file = tmp_path / name.replace("@", "@one")
    file.write_text(place.unit(name))
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in said.stderr.splitlines() if str(tmp_path) in line or "penstock" in line] == []


def test_a_site_elsewhere() -> None:
    service = ELSEWHERE.unit("penstock.service")
    assert "ExecStart=/srv/venv/bin/penstock run --config /etc/mail/penstock.toml\n" in service
    assert "-o filter -g postfix -m 2750 /var/spool/postfix-out/penstock\n" in service
    assert "User=filter\n" in service
    assert "TemporaryFileSystem=/var/spool/postfix-out:" in service
    assert "BindPaths=/var/spool/postfix-out/penstock\n" in service


def test_the_socket_unit_has_the_addresses_of_the_configuration() -> None:
    found = re.findall(r"ListenStream=(.*)", ELSEWHERE.unit("penstock.socket"))
    assert found == ["/var/spool/postfix-out/penstock/filter.sock", "127.0.0.1:10025"]


def test_the_template_shares_nothing_between_instances() -> None:
    plain, template = (Place().unit(name).splitlines() for name in ("penstock.service", "penstock@.service"))
    own = [line for line in template if "%i" in line and not line.startswith("Description")]
    assert [line.split("=")[0] for line in own] == [
        "ExecStartPre", "ExecStart", "StateDirectory", "RuntimeDirectory", "BindPaths",
    ]  # fmt: skip
    assert len(plain) == len(template)


def test_install_writes_what_differs(tmp_path: Path) -> None:
    units = {name: Place().unit(name) for name in NAMES}
    assert install(units, tmp_path) == [tmp_path / name for name in NAMES]
    (tmp_path / "penstock.socket").write_text("something else")
    assert install(units, tmp_path) == [tmp_path / "penstock.socket"]
    assert install(units, tmp_path) == []
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == units


def test_the_command(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text('[filter]\nlisten = ["127.0.0.1:10025"]\n')
    call = ["--config", str(config), "systemd"]
    shown = CliRunner().invoke(main, [*call, "show", "penstock.socket"])
    assert "ListenStream=127.0.0.1:10025\n" in shown.output
    done = CliRunner().invoke(main, [*call, "install", "--directory", str(tmp_path), "--user", "filter"])
    assert done.exit_code == 0, done.output
    assert f"run --config {config}\n" in (tmp_path / "penstock.service").read_text()
    assert "systemctl enable --now penstock.service" in done.output
    again = CliRunner().invoke(main, [*call, "install", "--directory", str(tmp_path), "--user", "filter"])
    assert "is as it should be" in again.output
