"""Other packages' plug-ins: found by name, and when broken named, explained, and harmless to the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llmsim.api import evaluate, load_config
from llmsim.arguments import check_choices, conf_folder, groups
from llmsim.backends import BACKENDS
from llmsim.curves.forms import FORMS
from llmsim.errors import InputError
from llmsim.measurement import METERS
from llmsim.plugin_conf import hidden_options, installed_folders, missing_folders
from llmsim.policies import POLICIES
from llmsim.tasks.doctor import Doctor

CODE = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass
class Good:
    most: float = 0.5

@dataclass
class Old:
    api_version: ClassVar[int] = 0

def function():
    pass
"""
PLUG_INS = {
    "good": "stranger.code:Good",
    "old": "stranger.code:Old",
    "absent": "stranger.nowhere:Thing",
    "broken": "stranger.broken:Thing",
    "function": "stranger.code:function",
}
ENTRIES = {
    "llmsim.policies": {**PLUG_INS, "optimal": "stranger.code:Good"},
    "llmsim.meters": {**PLUG_INS, "tdp": "stranger.code:Good"},
    "llmsim.curves": {**PLUG_INS, "roofline": "stranger.code:Good"},
    "llmsim.backends": {**PLUG_INS, "simulator": "stranger.code:Good"},
    "llmsim.conf": {"good": "stranger.conf", "gone": "stranger.no_such_folder", "lost": "no_such_package"},
}


def distribution(site: Path, name: str, entries: dict[str, dict[str, str]]) -> None:
    """An installed distribution, as pip leaves it."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in own.items()) for group, own in entries.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def site(tmp_path, monkeypatch):
    package = tmp_path / "stranger"
    (package / "conf" / "policy").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "code.py").write_text(CODE)
    (package / "broken.py").write_text("raise RuntimeError('no such library')\n")
    (package / "conf" / "policy" / "good.yaml").write_text("# @package policy\nname: good\nmost: 0.25\n")
    own = tmp_path / "own" / "meter"
    own.mkdir(parents=True)
    (own / "broken.yaml").write_text("# @package meter\nname: broken\n")
    (package / "conf" / "policy" / "random.yaml").write_text("# @package policy\nname: good\n")
    distribution(tmp_path, "stranger", ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for module in [name for name in sys.modules if name.split(".")[0] == "stranger"]:
        del sys.modules[module]


def test_a_packages_plug_in_is_chosen_by_its_options_and_its_parameters_are_checked(site):
    assert site / "stranger" / "conf" in installed_folders()
    assert "good" in groups()["policy"]
    config = load_config(["policy=good", "policy.most=0.75"])
    assert config.policy == {"name": "good", "most": 0.75}
    assert POLICIES.build(config.policy).most == 0.75
    with pytest.raises(InputError, match="Did you mean 'most'"):
        POLICIES.build({"name": "good", "mst": 1})
    with pytest.raises(InputError, match=r"policy\.most=much: expected a number"):
        POLICIES.build({"name": "good", "most": "much"})
    with pytest.raises(InputError, match="Did you mean 'good'"):
        check_choices(["policy=goood"])


KINDS = {
    "policy": (POLICIES, {"name": "single", "deployment": "x"}),
    "meter": (METERS, {"name": "tdp"}),
    "curve": (FORMS, {"name": "roofline"}),
    "backend": (BACKENDS, {"name": "simulator"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old", r"stranger 1\.0 was written for version 0 of llmsim\.api; this llmsim has 1"),
        ("absent", r"stranger\.nowhere:Thing of stranger 1\.0 cannot be imported \(ModuleNotFoundError"),
        ("broken", r"cannot be imported \(RuntimeError: no such library; \S+broken\.py, line 1\)"),
        ("function", r"stranger\.code:function of stranger 1\.0 is not a dataclass"),
    ],
)
def test_a_broken_plug_in_is_named_and_explained_when_it_is_chosen(site, kind, name, message):
    registry, another = KINDS[kind]
    with pytest.raises(InputError, match=f"{kind}={name}: .*{message}"):
        registry.build(name)
    assert registry.problems()[name]
    assert "good" not in registry.problems()
    assert type(registry.build(another)).__module__.startswith("llmsim.")


def test_broken_plug_ins_of_every_kind_stop_no_run_and_the_doctor_names_each(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["hardware=a100", "model=llama2_7b", "meter=broken", "workload.limit=20", "baselines=[]"]
    assert evaluate(load_config(words, site / "own")).summary["queries"] == 20  # the simulator asks no meter
    findings = Doctor(idle=False).run(load_config(["task=doctor"])).findings
    (asked,) = (item["detail"] for item in findings if (item["kind"], item["name"]) == ("meter", "good"))
    assert "it fails when asked (AttributeError" in asked
    named = {(finding["kind"], finding["name"]) for finding in findings if finding["state"] == "missing"}
    for kind, (_, another) in KINDS.items():
        assert {(f"plug-in ({kind})", name) for name in ("old", "absent", "broken", "function")} <= named
        assert (f"plug-in ({kind})", "optimal" if kind == "policy" else another["name"]) in named


def test_a_name_that_exists_already_changes_nothing_and_is_told(site):
    assert POLICIES.find("optimal").__module__ == "llmsim.policies.optimal"
    assert "stranger 1.0 brings a policy of a name that llmsim has itself" in POLICIES.problems()["optimal"]
    assert load_config(["policy=random"]).policy["name"] == "random"
    hidden = hidden_options(conf_folder())
    assert list(hidden) == ["policy=random"]
    assert "stranger 1.0 brings an option of a name that llmsim has" in hidden["policy=random"]
    assert set(missing_folders()) == {"gone", "lost"}


def test_two_packages_of_one_name_are_both_named_and_only_choosing_it_fails(site):
    distribution(site, "other", {"llmsim.policies": {"good": "stranger.code:Good"}})
    with pytest.raises(InputError, match=r"other 1\.0 and stranger 1\.0 bring plug-ins of this name"):
        POLICIES.build("good")
    assert BACKENDS.build("simulator").method == "simulated"


def test_a_folder_of_the_users_own_brings_options(tmp_path):
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "mine.yaml").write_text("# @package policy\nname: optimal\nzeta: 0.125\n")
    assert load_config(["policy=mine"], tmp_path).policy["zeta"] == 0.125
    assert load_config(["policy=mine", f"hydra.searchpath=[file://{tmp_path}]"]).policy["zeta"] == 0.125
    with pytest.raises(InputError, match="no such policy"):
        load_config(["policy=mine"])
    with pytest.raises(InputError, match="no such folder of options"):
        load_config(["policy=mine"], tmp_path / "nowhere")
