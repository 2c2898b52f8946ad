"""What an administrator installs: the wheel holds the whole house and nothing else, and it runs.

All is done on a copy of the tree and without the network: dependencies come from the environment that
runs the tests.
"""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = tuple(folder for folder in ("filter", "milter", "handlers", "postfix", "systemd") if (ROOT / folder).is_dir())
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in another place, so that a build leaves nothing here."""
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("project") / "penstock-copy", ignore=unwanted)


@pytest.fixture(scope="module")
def wheel(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, copy)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A fresh virtual environment's Python: without penstock, with its dependencies."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    return folder / "bin" / "python"


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(environment: Path, *what: object) -> None:
    pip = (sys.executable, "-m", "pip", "--python", environment, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", *what)


def files_of_the_house() -> set[str]:
    """All files of the packages, as a wheel names them."""
    found = {path for folder in HOUSE for path in (ROOT / folder).rglob("*") if path.is_file()}
    ours = {path for path in found if "__pycache__" not in path.parts} | {ROOT / "__init__.py", ROOT / "py.typed"}
    return {f"penstock/{path.relative_to(ROOT)}" for path in ours}


def test_the_package_list_equals_the_tree() -> None:
    code = {path.parent for folder in HOUSE for path in (ROOT / folder).rglob("*.py")} | {ROOT / "systemd"}
    packages = {".".join(("penstock", *folder.relative_to(ROOT).parts)) for folder in code}
    assert sorted(SETTINGS["tool"]["setuptools"]["packages"]) == sorted(packages | {"penstock"})


def test_the_folders_that_share_a_name_with_c_modules_are_no_packages() -> None:
    """pymilter brings a module `milter`, python-systemd one `systemd`: ours must not come before them."""
    assert not (ROOT / "milter" / "__init__.py").exists()
    assert not (ROOT / "systemd" / "__init__.py").exists()


def test_the_wheel_holds_the_house_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == files_of_the_house()
    some = ("py.typed", "postfix/main.cf", "postfix/try.sh", "systemd/penstock.service", "filter/templates/confirm.txt")
    assert {f"penstock/{name}" for name in some} < names


def test_the_wheel_installs_and_runs(wheel: Path, environment: Path, tmp_path: Path) -> None:
    install(environment, wheel)
    place = run(environment, "-c", "import penstock; print(penstock.__file__)", cwd=tmp_path).strip()
    assert Path(place).is_relative_to(environment.parents[1])
    assert "run" in run(environment.with_name("penstock"), "--help", cwd=tmp_path)


def test_an_editable_install_runs_from_the_tree(copy: Path, environment: Path, tmp_path: Path) -> None:
    install(environment, "--editable", copy)
    asked = "import penstock, penstock.handlers.policy as policy; print(penstock.__file__); print(policy.__file__)"
    places = run(environment, "-c", asked, cwd=tmp_path).split()
    assert [Path(place).relative_to(copy).as_posix() for place in places] == ["__init__.py", "handlers/policy.py"]
    assert "run" in run(environment.with_name("penstock"), "--help", cwd=tmp_path)


def test_python_m_works_from_the_root_of_the_tree(copy: Path, environment: Path) -> None:
    """`python -m` puts the current folder first: none of our folders may stand in for a module of that name."""
    install(environment, "--editable", copy)
    assert "file_or_dir" in run(environment, "-m", "pytest", "--help", cwd=copy)


def test_every_dependency_has_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    listed = [line for line in lines if line.startswith('    "') and ("==" in line or ">=" in line)]
    assert listed
    assert [line for line in listed if "# " not in line] == []
