"""The pages on writing plug-ins: their packages are built, installed and used as the pages say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {"ceiling": ROOT / "docs" / "writing-a-policy.md", "toy": ROOT / "docs" / "writing-a-backend.md"}
BLOCK = re.compile(r"^```(?:python|toml|yaml)\n# (?P<path>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^python -m (.*)$", re.MULTILINE)


def written(page: Path, folder: Path) -> Path:
    """The files of a page, in a folder."""
    for block in BLOCK.finditer(page.read_text()):
        file = folder / block["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block["text"])
    return folder


def run(
    words: list[str], cwd: Path, python: str = sys.executable, **env: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [python, *words], cwd=cwd, capture_output=True, text=True, timeout=300, env={**os.environ, **env}
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


def commands(page: Path) -> list[list[str]]:
    """What the page runs by `python -m`, as words."""
    (block,) = re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [line.split() for line in COMMAND.findall(block)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Both packages, built as wheels and installed beside llmsim."""
    folder = tmp_path_factory.mktemp("packages")
    target = folder / "site"
    for name, page in PAGES.items():
        package = written(page, folder / name)
        run(["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), "."], package)
    wheels = [str(wheel) for wheel in (folder / "dist").glob("*.whl")]
    assert len(wheels) == 2
    run(["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), *wheels], folder)
    return folder, os.pathsep.join([str(target), str(ROOT)])


def test_the_pages_packages_pass_their_suites_are_listed_run_and_swept(installed, tmp_path):
    folder, path = installed
    tests = [str(folder / name / "tests") for name in PAGES]
    run(["-m", "pytest", "-p", "no:cacheprovider", *tests], tmp_path, PYTHONPATH=path)
    listed = run(["-m", "llmsim", "--help"], tmp_path, PYTHONPATH=path).stdout
    assert {"ceiling", "toy"} <= set(re.findall(r"\w+", listed))
    words = ["-m", "policy=ceiling", "policy.most=0.4,1", "backend=toy", "workload.limit=20"]
    run(["-m", "llmsim", *words], tmp_path, PYTHONPATH=path)
    (table,) = tmp_path.glob("outputs/sweeps/*/*/runs.csv")
    assert table.read_text().count(",done,") == 2
    summary = json.loads((table.parent / "0" / "summary.json").read_text())
    assert summary["energy_active_j"] is None
    assert summary["absent"]["energy_active_j"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows_works_as_it_says(installed, name, tmp_path):
    folder, path = installed
    for words in commands(PAGES[name]):
        cwd = folder / name if words[0] == "pytest" else tmp_path
        run(["-m", *words], cwd, PYTHONPATH=path)
    assert len(list(tmp_path.glob("outputs/2*/*/summary.json"))) == 1
    (table,) = tmp_path.glob("outputs/sweeps/*/*/runs.csv")
    assert table.read_text().count(",done,") == len(commands(PAGES[name])[-1][-2].split(","))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_an_editable_install_works_as_well(name, tmp_path):
    venv.create(tmp_path / "venv", system_site_packages=True, with_pip=False)
    python = str(tmp_path / "venv" / "bin" / "python")
    package = written(PAGES[name], tmp_path / "package")
    inherit = os.pathsep.join([*(path for path in sys.path if "site-packages" in path), str(ROOT)])
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", str(package)]
    run(words, tmp_path, python, PYTHONPATH=inherit)
    for words in commands(PAGES[name]):
        run(["-m", *words], package if words[0] == "pytest" else tmp_path, python, PYTHONPATH=inherit)
    assert len(list(tmp_path.glob("outputs/2*/*/summary.json"))) == 1
