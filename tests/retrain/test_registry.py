"""Releases in a folder: whole or not there, one link that is switched, and always a way back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.folders import folder_hash
from driftwatch.retrain.jobs import new_job_id
from driftwatch.retrain.manifests import in_use, index_of, read_manifest, release_name, settings_of, write_manifest
from driftwatch.retrain.registry import Registry
from driftwatch.retrained import Manifest
from driftwatch.retrievers.faiss import Faiss
from driftwatch.retrievers.pgvector import Pgvector
from driftwatch.retrievers.qdrant import Qdrant
from tests.fakes.dies import killed

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
INDEX = {"kind": "faiss", "index": "index/docs.faiss", "ids": "index/ids.txt"}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "retrain", keep=3, disk=10**9)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    folder = tmp_path / "candidate"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "1_Pooling/config.json").write_text("{}")
    return folder


def manifest(number: int, **changes: object) -> Manifest:
    made = NOW + timedelta(days=number)
    made_of = Manifest(
        release_name(made, str(number)), made, "model", index=INDEX, threshold=0.4, measures={"R@10": 0.8}
    )
    return replace(made_of, **changes)


def filled(registry: Registry, candidate: Path, count: int) -> list[Manifest]:
    """An adopted release and ``count`` of ours, each switched on; the last is in use."""
    first = in_use("acme/e5", None, NOW)
    registry.adopt(first)
    ours = [manifest(number) for number in range(1, count + 1)]
    for each in ours:
        registry.add(candidate, each)
        registry.switch(each.release)
    return [first, *ours]


# --- manifests ---------------------------------------------------------------------------------------------------


def test_a_manifest_is_read_back_as_it_was_written(tmp_path):
    folder = tmp_path / manifest(1).release
    write_manifest(folder, manifest(1, versions={"torch": "2.4"}, approved_by="U1"))
    assert read_manifest(folder) == manifest(1, versions={"torch": "2.4"}, approved_by="U1")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("version", 2, "version 1"),
        ("release", "../../etc", "of the release"),
        ("created", "yesterday", "'created'"),
        ("created", "2026-05-04T12:00:00", "no time zone"),
        ("measures", {"R@10": "much"}, "'measures.R@10'"),
        ("threshold", "low", "'threshold'"),
        ("index", {"kind": "acme.evil:Class"}, "no index that driftwatch can build"),
    ],
)
def test_a_manifest_that_somebody_wrote_into_is_refused_by_name(tmp_path, field, value, said):
    folder = tmp_path / manifest(1).release
    write_manifest(folder, manifest(1))
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(RetrainError, match=said) as raised:
        read_manifest(folder)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["..", "current", "../20260504T120000Z-00000000", "20260504T120000Z-0000000g", "a/b"])
def test_no_name_of_a_release_leads_out_of_the_folder(registry, name):
    with pytest.raises(RetrainError, match="is not the name of a release"):
        registry.place(name)


def test_secrets_are_not_written_down_and_come_from_the_configuration():
    configured = Pgvector(kind="pgvector", url="postgresql://u:geheim@db/rag", table="docs")
    kept = settings_of(configured)
    assert kept == {"kind": "pgvector", "table": "docs"}
    there = index_of(manifest(1, index={**kept, "table": "docs__new"}), Path("/nowhere"), configured)
    assert there.url.get_secret_value() == "postgresql://u:geheim@db/rag"
    assert there.table == "docs__new"


def test_a_secret_goes_nowhere_but_where_the_configuration_sends_it():
    configured = Qdrant(kind="qdrant", url="http://qdrant:6333", api_key="geheim", collection="docs")
    there = index_of(manifest(1, index=settings_of(configured)), Path("/nowhere"), configured)
    assert there.api_key is not None
    elsewhere = manifest(1, index={**settings_of(configured), "url": "http://evil:6333"})
    assert index_of(elsewhere, Path("/nowhere"), configured).api_key is None


def test_files_of_an_index_are_relative_to_their_release(registry, candidate):
    place = registry.add(candidate, manifest(1))
    index = index_of(manifest(1), place)
    assert isinstance(index, Faiss)
    assert (index.index, index.ids) == (place / "index/docs.faiss", place / "index/ids.txt")


# --- adding ------------------------------------------------------------------------------------------------------


def test_a_release_holds_a_copy_of_the_candidate(registry, candidate):
    place = registry.add(candidate, manifest(1), folder_hash(candidate))
    (candidate / "model.safetensors").write_bytes(b"others")
    assert (place / "model/model.safetensors").read_bytes() == b"weights"
    assert registry.releases() == (manifest(1),)
    assert registry.model(manifest(1)) == str(place / "model")
    assert registry.current() is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nothing says which file is open (Linux does)")
def test_a_release_is_on_the_disk_before_it_has_its_name(registry, candidate, monkeypatch):
    done: list[tuple[str, bool]] = []
    place = registry.place(manifest(1).release)

    def noted(descriptor: int) -> None:
        done.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, place.exists()))
        synced(descriptor)

    synced = os.fsync
    monkeypatch.setattr(os, "fsync", noted)
    registry.add(candidate, manifest(1))
    before = {name for name, has_its_name in done if not has_its_name}
    assert {"model.safetensors", "config.json", "1_Pooling", "model", f".draft-{place.name}"} <= before
    assert done[-1] == ("releases", True)


def test_adding_again_changes_nothing(registry, candidate):
    registry.add(candidate, manifest(1))
    (candidate / "model.safetensors").write_bytes(b"others")
    place = registry.add(candidate, manifest(1))
    assert (place / "model/model.safetensors").read_bytes() == b"weights"


def test_what_is_not_what_was_judged_is_not_added(registry, candidate):
    judged = folder_hash(candidate)
    (candidate / "model.safetensors").write_bytes(b"others")
    with pytest.raises(RetrainError, match="not the model that was judged"):
        registry.add(candidate, manifest(1), judged)
    assert registry.releases() == ()


def test_the_hash_of_a_folder_knows_names_and_contents(candidate):
    before = folder_hash(candidate)
    (candidate / "model.safetensors").rename(candidate / "other.safetensors")
    assert folder_hash(candidate) != before


def test_a_candidate_with_a_link_out_of_it_is_refused(registry, candidate, tmp_path):
    (tmp_path / "secret").write_text("geheim")
    (candidate / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(RetrainError, match="is a link"):
        registry.add(candidate, manifest(1))
    assert registry.releases() == ()


def test_a_candidate_that_runs_code_when_loaded_is_refused(registry, candidate):
    (candidate / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(RetrainError, match="may run code"):
        registry.add(candidate, manifest(1))


def test_an_empty_candidate_is_no_release(registry, tmp_path):
    with pytest.raises(RetrainError, match="no model in it"):
        registry.add(tmp_path / "nothing", manifest(1))


# --- switching ---------------------------------------------------------------------------------------------------


def test_a_switch_changes_one_relative_link(registry, candidate):
    _, one = filled(registry, candidate, 1)
    assert (registry.folder / "current").readlink() == Path("releases", one.release)
    assert registry.current() == one
    served = json.loads((registry.folder / "current/manifest.json").read_text())
    assert (served["model"], served["threshold"], served["index"]) == ("model", 0.4, INDEX)


def test_what_was_in_use_before_is_what_a_rollback_leads_back_to(registry, candidate):
    first, one = filled(registry, candidate, 1)
    assert registry.previous() == first
    assert registry.rollback(now=NOW, by="U1", reason="worse") == first
    assert registry.current() == first
    assert registry.model(first) == "acme/e5"
    assert registry.rolled_back(one.release) == {
        "at": NOW.isoformat(),
        "by": "U1",
        "reason": "worse",
        "to": first.release,
    }


def test_two_rollbacks_go_back_two_releases_and_never_forward(registry, candidate):
    first, one, _two = filled(registry, candidate, 2)
    assert registry.rollback(now=NOW, by="U1") == one
    assert registry.rollback(now=NOW, by="U1") == first
    with pytest.raises(RetrainError, match="no release to go back to"):
        registry.rollback(now=NOW, by="U1")
    assert registry.current() == first


def test_after_a_rollback_the_next_release_has_the_good_one_before_it(registry, candidate):
    _first, one, _two = filled(registry, candidate, 2)
    registry.rollback(now=NOW, by="U1")
    registry.add(candidate, manifest(3))
    registry.switch(manifest(3).release)
    assert registry.previous() == one


def test_switching_again_changes_nothing(registry, candidate):
    first, one = filled(registry, candidate, 1)
    before = (registry.folder / "history.json").read_bytes()
    registry.switch(one.release)
    assert (registry.folder / "history.json").read_bytes() == before
    assert registry.previous() == first


def test_a_model_without_its_index_is_never_switched_on(registry, candidate):
    registry.adopt(in_use("acme/e5", None, NOW))
    registry.add(candidate, manifest(1, index={}))
    with pytest.raises(RetrainError, match="no index that was built with its model"):
        registry.switch(manifest(1).release)
    assert registry.current() == registry.releases()[0]


def test_what_is_in_use_is_not_rewritten(registry, candidate):
    registry.add(candidate, manifest(1, index={}))
    registry.amend(manifest(1).release, index=INDEX)
    registry.switch(manifest(1).release)
    assert registry.amend(manifest(1).release, index=INDEX) == manifest(1)
    with pytest.raises(RetrainError, match="is in use"):
        registry.amend(manifest(1).release, threshold=0.1)


def test_what_was_in_use_has_its_own_cut_off_to_go_back_to(registry, candidate):
    registry.adopt(in_use("acme/e5", None, NOW, threshold=0.7))
    registry.add(candidate, manifest(1))
    registry.switch(manifest(1).release)
    assert registry.rollback(now=NOW, by="U1").threshold == 0.7


def test_what_was_in_use_is_adopted_once(registry):
    registry.adopt(in_use("acme/e5", None, NOW))
    registry.adopt(in_use("acme/other", None, NOW))
    assert [each.model for each in registry.releases()] == ["acme/e5"]


@pytest.mark.parametrize("target", ["/etc", "../elsewhere", "releases/../../etc", "releases/latest"])
def test_a_link_that_leads_elsewhere_is_refused(registry, candidate, target):
    filled(registry, candidate, 1)
    (registry.folder / "current").unlink()
    (registry.folder / "current").symlink_to(target)
    with pytest.raises(RetrainError, match="is no release"):
        registry.current()


def test_a_model_folder_that_is_a_link_out_of_its_release_is_refused(registry, candidate, tmp_path):
    place = registry.add(candidate, manifest(1))
    (place / "model").rename(tmp_path / "elsewhere")
    (place / "model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RetrainError, match="leads out of the release"):
        registry.model(manifest(1))


# --- pruning -----------------------------------------------------------------------------------------------------


def test_the_oldest_releases_go_and_what_is_in_use_and_before_it_stay(registry, candidate):
    releases = filled(registry, candidate, 4)
    registry.rollback(now=NOW, by="U1")
    gone: list[str] = []
    small = Registry(registry.folder, keep=2, disk=10**9)
    assert small.prune(let_go=lambda each: gone.append(each.release)) == tuple(each.release for each in releases[:2])
    assert gone == [each.release for each in releases[:2]]
    assert small.current() == releases[3]
    assert small.previous() == releases[2]


def test_full_disks_lose_old_releases_and_finished_jobs_and_nothing_that_is_used(registry, candidate):
    first, one, two, three = filled(registry, candidate, 3)
    for name, files in {
        one.release: ["result.json"],
        two.release: ["progress.json"],
        three.release: ["result.json"],
    }.items():
        job = registry.folder / "jobs" / name
        job.mkdir(parents=True)
        for file in files:
            (job / file).write_text("{}")
    tiny = Registry(registry.folder, keep=10, disk=1)
    tiny.prune(busy={three.release})
    assert [each.name for each in sorted((registry.folder / "jobs").iterdir())] == [two.release, three.release]
    assert {each.release for each in tiny.releases()} == {two.release, three.release}
    assert first not in tiny.releases()


def test_jobs_that_are_over_go_however_they_ended_and_leave_when_they_were(registry):
    def job(name: str, **files: str) -> Path:
        folder = registry.folder / "jobs" / new_job_id(NOW, [name])
        write_json(folder / "dataset" / "pairs.jsonl", {})
        for file in files.values():
            write_json(folder / file, {})
        return folder

    refused = job("too few pairs", begun="wanted.json", ended="ended.json")
    trained = job("no by the gate", begun="wanted.json", ended="ended.json", result="result.json")
    waiting = job("somebody is asked", begun="wanted.json", result="result.json")
    busy = job("just begun", begun="wanted.json", ended="ended.json")
    tiny = Registry(registry.folder, keep=2, disk=1)
    assert tiny.tidy({busy.name}) == tuple(sorted((refused.name, trained.name)))
    for gone in (refused, trained):
        assert sorted(each.name for each in gone.iterdir()) == ["ended.json", "wanted.json"]
    for kept in (waiting, busy):
        assert (kept / "dataset" / "pairs.jsonl").exists()
    assert tiny.tidy({busy.name}) == ()


def test_a_release_whose_index_cannot_be_let_go_stays(registry, candidate):
    releases = filled(registry, candidate, 4)

    def down(_: Manifest) -> None:
        raise RetrainError("the store is down.")

    with pytest.raises(RetrainError, match="the store is down"):
        Registry(registry.folder, keep=2, disk=10**9).prune(let_go=down)
    assert registry.releases() == tuple(releases)


# --- killed ------------------------------------------------------------------------------------------------------


def _story(folder: Path, verb: str) -> object:
    (folder / "candidate").mkdir()
    (folder / "candidate/model.safetensors").write_bytes(b"weights")
    registry = Registry(folder / "retrain", keep=2, disk=10**9)
    filled(registry, folder / "candidate", 2)
    if verb != "add":
        registry.add(folder / "candidate", manifest(3))
    return {
        "add": lambda: registry.add(folder / "candidate", manifest(3)),
        "switch": lambda: registry.switch(manifest(3).release),
        "rollback": lambda: registry.rollback(now=NOW, by="U1"),
        "prune": registry.prune,
    }[verb]


add = partial(_story, verb="add")
switch = partial(_story, verb="switch")
rollback = partial(_story, verb="rollback")
prune = partial(_story, verb="prune")


@pytest.mark.process
@pytest.mark.parametrize("verb", ["add", "switch", "rollback", "prune"])
def test_killed_at_any_write_there_is_a_release_in_use_and_one_before_it(tmp_path, verb):
    releases = [in_use("acme/e5", None, NOW), *map(manifest, (1, 2, 3))]
    folders = killed(f"tests.retrain.test_registry:{verb}", tmp_path)
    for folder in folders:
        registry = Registry(folder / "retrain", keep=2, disk=10**9)
        current, previous = registry.current(), registry.previous()
        assert (current, previous) in list(zip(releases[1:], releases[:-1], strict=True))
        assert registry.releases()
        registry.add(folder / "candidate", manifest(3))
        registry.switch(manifest(3).release)
        registry.prune()
        assert (registry.current(), registry.previous()) == (
            releases[3],
            current if current != releases[3] else previous,
        )
        assert {each.name for each in (folder / "retrain/releases").iterdir()} == {
            each.release for each in registry.releases()
        }
    assert len(folders) > 3


# --- how a service reads it ----------------------------------------------------------------------------------------


def test_the_example_for_services_reads_one_release(registry, candidate):
    page = (Path(__file__).parents[2] / "docs/retrain/promotion.md").read_text("utf-8")
    names: dict[str, object] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)
    first, one = filled(registry, candidate, 1)
    place = registry.place(one.release)
    served = names["in_use"](registry.folder)
    assert served == {
        "release": one.release,
        "model": str(place / "model"),
        "index": {"kind": "faiss", "index": str(place / "index/docs.faiss"), "ids": str(place / "index/ids.txt")},
        "threshold": 0.4,
    }
    registry.rollback(now=NOW, by="U1")
    assert names["in_use"](registry.folder)["model"] == first.model
