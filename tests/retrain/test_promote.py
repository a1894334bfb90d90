"""From a candidate to the release in use: killed at any stage it goes on, nothing is done twice, one can go back."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.documents import Documents
from driftwatch.errors import DriftwatchError, RetrainError
from driftwatch.retrain.folders import folder_hash
from driftwatch.retrain.held import Held
from driftwatch.retrain.manifests import in_use, index_of
from driftwatch.retrain.promote import OVER, Means, Promotion, _pruned, advance, begin, give_up, read, roll_back
from driftwatch.retrain.registry import Registry
from driftwatch.retrain.settings import Promote
from driftwatch.retrain.telling import teller
from driftwatch.retrain.writers import writer_for
from driftwatch.retrained import Judgement, Manifest, Passage, Reason
from driftwatch.retrievers.faiss import Faiss
from driftwatch.retrievers.python import Python
from driftwatch.retrievers.qdrant import Qdrant
from tests.fakes.dies import killed
from tests.fakes.jobs import gone
from tests.fakes.rebuilt import OLD_WIDTH, WIDTH, Model, corpus_file, faiss_index, passages
from tests.retrain.test_registry import NOW, manifest

YES = Judgement(True, (Reason("gain", True, "nDCG@10 rises by .03 (.01 to .05)"),))
NO = Judgement(False, (Reason("gain", False, "nDCG@10 rises by .00 (-.02 to .02)"),))
WANTED = manifest(1, index={}, job="job", approved_by="U1")
DOCUMENTS = [each for each in passages() if each.passage_id == each.parent]
HOOK = "import os, sys; open(sys.argv[1], 'a').write(os.environ['DRIFTWATCH_RELEASE'] + '\\n')"


class World:
    """A project with an index in use and a candidate that was judged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry(folder / "retrain", keep=3, disk=10**9)
        self.job = folder / "retrain/jobs/20260504T120000Z-00000001"
        self.candidate = self.job / "candidate"

    def prepare(self) -> World:
        faiss_index(self.folder / "old", DOCUMENTS)
        corpus_file(self.folder / "corpus.jsonl", DOCUMENTS)
        self.candidate.mkdir(parents=True)
        (self.candidate / "model.safetensors").write_bytes(b"weights")
        return self

    @property
    def index(self) -> Faiss:
        return Faiss(kind="faiss", index=self.folder / "old/docs.faiss", ids=self.folder / "old/ids.txt")

    @property
    def told(self) -> list[str]:
        path = self.folder / "told"
        return path.read_text().split() if path.exists() else []

    @property
    def line(self) -> list[str]:
        path = self.registry.folder / "history.json"
        return list(json.loads(path.read_text())["line"]) if path.exists() else []

    def means(self, hook: str = HOOK, **changed: Any) -> Means:
        documents = Documents(path=str(self.folder / "corpus.jsonl"))
        run = (sys.executable, "-c", hook, str(self.folder / "told"))
        means = Means(
            self.registry,
            Promote(shard=70, run=run),
            self.index,
            lambda index: Held(index, documents.corpus(self.folder)),
            lambda _manifest, _model: Model(),
            teller(self.registry, run),
            lambda: in_use("acme/e5", self.index, NOW),
        )
        return replace(means, **changed)

    def begin(self, wanted: Manifest = WANTED, judgement: Judgement = YES, judged: str = "") -> Promotion:
        judged = judged or folder_hash(self.candidate)
        return begin(self.job, wanted, candidate=self.candidate, judged=judged, judgement=judgement,
                     registry=self.registry, now=NOW)  # fmt: skip

    def stage(self) -> str:
        known = read(self.job)
        assert known is not None
        return known.stage

    def until(self, stage: str, means: Means | None = None) -> Promotion:
        for _ in range(20):
            if self.stage() in (stage, *OVER):
                break
            advance(self.job, means or self.means(), NOW)
        assert self.stage() == stage
        known = read(self.job)
        assert known is not None
        return known


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path).prepare()


def test_model_index_and_threshold_are_switched_on_together_and_the_service_is_told(world):
    world.begin()
    stages = [world.stage()]
    while advance(world.job, world.means(), NOW):
        stages.append(world.stage())
    assert stages == ["approved", "added", "rebuilt", "checked", "compared", "switched", "told"]
    current = world.registry.current()
    assert current is not None
    assert (current.release, current.threshold, current.fingerprint) == (WANTED.release, 0.4, f"new-{WIDTH}")
    place = world.registry.place(WANTED.release)
    assert world.registry.model(current) == str(place / "model")
    new = index_of(current, place, world.index)
    assert (new.facts().count, new.facts().dimension) == (len(DOCUMENTS), WIDTH)
    assert world.told == [WANTED.release]
    assert not (world.job / "rebuild").exists()
    assert advance(world.job, world.means(), NOW) is False


def test_until_the_switch_the_old_release_is_in_use(world):
    world.begin()
    for stage in ("added", "rebuilt", "checked", "compared"):
        world.until(stage)
        current = world.registry.current()
        assert current is not None
        assert (current.model, current.index["index"]) == ("acme/e5", str(world.folder / "old/docs.faiss"))
    assert world.told == []


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"judgement": NO}, r"the gate said no: nDCG@10 rises by .00"),
        ({"judgement": Judgement(True, ())}, "the gate said no"),
        ({"wanted": replace(WANTED, approved_by=" ")}, "nobody approved"),
        ({"judged": "0" * 64}, "not the model that was judged"),
        ({"judged": " "}, "which files were judged"),
    ],
)
def test_what_is_not_judged_good_and_approved_is_not_promoted(world, changed, said):
    with pytest.raises(RetrainError, match=said):
        world.begin(**changed)
    assert read(world.job) is None
    assert world.registry.releases() == ()


def test_a_candidate_that_changes_after_the_approval_is_not_promoted(world):
    world.begin()
    (world.candidate / "model.safetensors").write_bytes(b"others")
    with pytest.raises(RetrainError, match="not the model that was judged"):
        advance(world.job, world.means(), NOW)
    assert [each.model for each in world.registry.releases()] == ["acme/e5"]


def test_there_is_one_promotion_at_a_time(world):
    world.begin()
    other = World(world.folder)
    other.job = world.job.with_name("20260505T120000Z-00000002")
    with pytest.raises(RetrainError, match="is being promoted"):
        other.begin(manifest(2, approved_by="U1"))
    world.until("told")
    other.begin(manifest(2, approved_by="U1"))


def _another(world: World, number: int = 2) -> World:
    """A second job with a candidate of its own."""
    second = World(world.folder)
    second.job = world.job.with_name(f"20260505T120000Z-{number:08}")
    second.candidate = second.job / "candidate"
    second.candidate.mkdir(parents=True)
    (second.candidate / "model.safetensors").write_bytes(b"better weights")
    return second


@pytest.mark.parametrize("stage", ["approved", "rebuilt"])
def test_a_promotion_that_was_given_up_keeps_no_other_from_beginning(world, stage):
    world.begin()
    world.until(stage)
    given_up = give_up(world.job, world.registry, "it failed five times", NOW)
    assert given_up is not None
    assert (given_up.stage, given_up.waiting) == ("refused", "it failed five times")
    assert not (world.job / "rebuild").exists()
    assert advance(world.job, world.means(), NOW) is False
    assert _another(world).begin(manifest(2, index={}, approved_by="U1")).stage == "approved"


def test_what_is_in_use_cannot_be_given_up(world):
    world.begin()
    world.until("compared")
    world.registry.switch(WANTED.release)  # and killed before that was written down
    given_up = give_up(world.job, world.registry, "somebody did not want it", NOW)
    assert given_up is not None
    assert (given_up.stage, given_up.notes) == ("told", ("somebody did not want it",))
    current = world.registry.current()
    assert current is not None
    assert current.release == WANTED.release


def test_nobody_gives_up_what_somebody_is_at(world):
    world.begin()
    with (world.job / ".promoting").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RetrainError, match="another process"):
            give_up(world.job, world.registry, "it failed", NOW, patience=0.1)
    assert world.stage() == "approved"


def test_a_collection_that_was_begun_and_never_finished_goes_with_its_release(world):
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(world.folder / "qdrant"))
    client.create_collection("docs", models.VectorParams(size=OLD_WIDTH, distance=models.Distance.COSINE))
    client.close()
    index = Qdrant(kind="qdrant", path=world.folder / "qdrant", collection="docs")
    writer = writer_for(index, WANTED.release, world.folder)
    writer.begin(WIDTH)  # and killed
    small = Registry(world.registry.folder, keep=2, disk=10**9)
    for each in (WANTED, manifest(2, index={}), manifest(3, index={})):
        small.add(world.candidate, each)
    assert _pruned(world.means(registry=small, index=index), "job") == [f"the release {WANTED.release} was removed"]
    index.close()
    client = QdrantClient(path=str(world.folder / "qdrant"))
    assert [each.name for each in client.get_collections().collections] == ["docs"]
    client.close()


def test_an_index_that_cannot_be_built_anew_is_not_adopted(world):
    world.begin()
    means = world.means(index=Python(kind="python", callable="tests.fakes.python_retrievers:shaped"))
    with pytest.raises(RetrainError, match="cannot build anew"):
        advance(world.job, means, NOW)
    assert world.registry.current() is None


def test_begun_again_it_is_the_same_promotion(world):
    world.begin()
    world.until("rebuilt")
    assert world.begin().stage == "rebuilt"
    with pytest.raises(RetrainError, match="promoted already"):
        world.begin(manifest(2, approved_by="U1"))


def test_two_processes_do_not_promote_one_job(world):
    world.begin()
    with (world.job / ".promoting").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RetrainError, match="another process"):
            advance(world.job, world.means(), NOW)


def test_a_damaged_promotion_is_said(world):
    world.begin()
    (world.job / "promotion.json").write_text('{"version": 1}')
    with pytest.raises(RetrainError, match="is not a promotion"):
        advance(world.job, world.means(), NOW)


# --- the new index -------------------------------------------------------------------------------------------------


def test_a_new_index_that_lacks_something_is_refused_and_removed(world):
    world.begin()
    world.until("rebuilt")
    place = world.registry.place(WANTED.release) / "index"
    short = faiss_index(world.folder / "short", DOCUMENTS[1:])
    for name in ("docs.faiss", "ids.txt"):
        (short.index.parent / name).replace(place / name)
    assert advance(world.job, world.means(), NOW) is True
    known = read(world.job)
    assert known is not None
    assert known.stage == "refused"
    assert f"it holds {len(DOCUMENTS) - 1} of {len(DOCUMENTS)} passages" in known.waiting
    assert f"its vectors have {OLD_WIDTH} numbers" in known.waiting
    assert not place.exists()
    assert not (world.job / "rebuild").exists()
    current = world.registry.current()
    assert current is not None
    assert current.model == "acme/e5"
    assert advance(world.job, world.means(), NOW) is False


def test_vectors_of_other_texts_are_noticed(world):
    world.begin()
    world.until("rebuilt")
    ids = world.registry.place(WANTED.release) / "index/ids.txt"
    ids.write_text("".join(sorted(ids.read_text().splitlines(keepends=True), reverse=True)))
    advance(world.job, world.means(), NOW)
    known = read(world.job)
    assert known is not None
    assert known.stage == "refused"
    assert "passages are found; not " in known.waiting


def test_told_to_stop_it_says_so_and_goes_on(world):
    world.begin()
    stopped = world.means(stopping=lambda: True)
    world.until("added")
    assert advance(world.job, stopped, NOW) is False
    known = read(world.job)
    assert known is not None
    assert known.waiting == "it was told to stop, and goes on where it was"
    assert world.until("told").waiting == ""


def test_told_to_stop_right_before_the_switch_it_goes_on_and_switches(world):
    world.begin()
    world.until("compared")
    changed = [*DOCUMENTS[1:], replace(DOCUMENTS[0], text="another text")]
    corpus_file(world.folder / "corpus.jsonl", changed)
    assert advance(world.job, world.means(stopping=lambda: True), NOW) is False
    corpus_file(world.folder / "corpus.jsonl", DOCUMENTS)
    assert world.until("told").waiting == ""


def test_documents_that_changed_during_the_dual_run_are_in_the_index_that_is_switched_on(world):
    world.begin()
    world.until("compared")
    grown = [*DOCUMENTS, Passage("doc-new", "doc-new", "a new one")]
    faiss_index(world.folder / "old", grown)
    corpus_file(world.folder / "corpus.jsonl", grown)
    assert world.until("told").caught_up == 1
    current = world.registry.current()
    assert current is not None
    new = index_of(current, world.registry.place(WANTED.release), world.index)
    assert new.facts().count == len(grown)
    assert not new.missing(["doc-new"])


def test_documents_that_change_all_the_time_do_not_keep_it_from_ending(world):
    """Each reading finds one more, also the second one of the same build."""
    world.begin()
    reads = [0]

    class Growing(list):
        def __init__(self, index: Any) -> None:
            super().__init__(DOCUMENTS)

        def __iter__(self):
            reads[0] += 1
            yield from [
                *DOCUMENTS,
                *(Passage(f"more-{each}", f"more-{each}", f"more {each}") for each in range(reads[0])),
            ]

    known = world.until("told", world.means(documents=Growing))
    assert known.caught_up == 2
    assert "documents may have changed" in known.notes[0]
    current = world.registry.current()
    assert current is not None
    new = index_of(current, world.registry.place(WANTED.release), world.index)
    assert new.facts().count == known.count > len(DOCUMENTS) + 2


# --- the dual run --------------------------------------------------------------------------------------------------


def dual(world: World, why_not: str = "") -> Means:
    means = world.means(compare=lambda _: why_not)
    return replace(means, settings=means.settings.model_copy(update={"dual_run": timedelta(days=2)}))


def test_old_and_new_are_both_asked_as_long_as_was_wanted(world):
    world.begin()
    means = dual(world)
    world.until("checked", means)
    assert advance(world.job, means, NOW + timedelta(days=1)) is False
    known = read(world.job)
    assert known is not None
    assert known.waiting == "old and new are both asked until 2026-05-06T12:00+00:00"
    assert advance(world.job, means, NOW + timedelta(days=2)) is True
    assert world.stage() == "compared"


def test_a_dual_run_that_speaks_against_it_ends_with_the_old_release_in_use(world):
    world.begin()
    means = dual(world, "half of the answers are others")
    world.until("checked", means)
    advance(world.job, means, NOW + timedelta(days=2))
    known = read(world.job)
    assert known is not None
    assert (known.stage, known.waiting) == ("refused", "half of the answers are others")
    assert world.told == []
    assert world.line == []


# --- telling -------------------------------------------------------------------------------------------------------


def test_a_service_that_cannot_be_told_is_said_and_told_later_and_the_switch_stays(world):
    world.begin()
    means = world.means(hook="import sys; sys.exit('no such unit')")
    world.until("switched", means)
    assert advance(world.job, means, NOW) is False
    known = read(world.job)
    assert known is not None
    assert f"'run' has not been told yet: '{sys.executable}' ended with 1: no such unit" in known.waiting
    current = world.registry.current()
    assert current is not None
    assert current.release == WANTED.release
    assert advance(world.job, world.means(), NOW + timedelta(seconds=59)) is False
    assert advance(world.job, world.means(), NOW + timedelta(seconds=61)) is True
    assert (world.stage(), world.told) == ("told", [WANTED.release])


def test_tries_grow_further_apart(world):
    world.registry.adopt(in_use("acme/e5", None, NOW))
    failing = teller(world.registry, ("/nowhere/to/be/found",))
    now, waits = NOW, []
    for _ in range(6):
        assert failing.step(now) is True
        assert failing.step(now) is False
        (left,) = failing.left()
        assert left.again_at is not None
        waits.append(left.again_at - now)
        now = left.again_at
    assert [wait.total_seconds() / 60 for wait in waits] == [1, 5, 15, 60, 60, 60]
    assert "cannot be run: No such file or directory" in left.error


@pytest.mark.process
def test_a_program_sees_no_secrets_and_no_shell(world, monkeypatch):
    monkeypatch.setenv("SLACK_BOT_TOKEN", "geheim")
    world.registry.adopt(in_use("acme/e5", None, NOW))
    out = world.folder / "seen.json"
    show = "import json, os, sys; json.dump([dict(os.environ), sys.argv[2:]], open(sys.argv[1], 'w'))"
    run = (sys.executable, "-c", show, str(out), "$(touch hacked); {release}")
    assert teller(world.registry, run).step(NOW)
    environment, arguments = json.loads(out.read_text())
    assert arguments == ["$(touch hacked); {release}"]
    assert "geheim" not in str(environment)
    assert environment["DRIFTWATCH_MODEL"] == "acme/e5"


@pytest.mark.process
def test_a_program_that_hangs_is_ended_with_what_it_started(world):
    from driftwatch.retrain.telling import Hook

    world.registry.adopt(in_use("acme/e5", None, NOW))
    pid = world.folder / "pid"
    hang = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '99']); "
        "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(99)"
    )
    hook = Hook(world.registry, (sys.executable, "-c", hang, str(pid)), timedelta(seconds=3))
    current = world.registry.current()
    assert current is not None
    with pytest.raises(DriftwatchError, match="took longer than 0:00:03"):
        hook(current, None)
    assert gone(int(pid.read_text()))


def test_last_words_are_cut_and_printable(world):
    world.registry.adopt(in_use("acme/e5", None, NOW))
    say = "import sys; print('x' * 300_000); sys.stdout.flush(); sys.exit('\\x1b[31m the end\\a')"
    failing = teller(world.registry, (sys.executable, "-c", say))
    failing.step(NOW)
    (left,) = failing.left()
    assert left.error.partition(" The release")[0].endswith("?[31m the end?.")
    assert len(left.error) < 700
    assert (world.registry.folder / "told.log").stat().st_size <= 100_000


# --- going back ----------------------------------------------------------------------------------------------------


def test_going_back_is_one_step_and_the_service_is_told_again(world):
    world.begin()
    world.until("told")
    means = world.means()
    first = roll_back(world.registry, means.teller, now=NOW, by="U1", reason="worse")
    assert first.model == "acme/e5"
    assert world.registry.current() == first
    assert world.told == [WANTED.release, first.release]
    assert means.teller.left() == ()


def test_somebody_must_say_who_goes_back(world):
    world.begin()
    world.until("told")
    with pytest.raises(RetrainError, match="who goes back"):
        roll_back(world.registry, world.means().teller, now=NOW, by="")


def test_a_rollback_before_the_service_was_told_ends_the_promotion(world):
    world.begin()
    world.until("switched")
    roll_back(world.registry, world.means().teller, now=NOW, by="U1", reason="worse")
    assert advance(world.job, world.means(), NOW) is True
    known = read(world.job)
    assert known is not None
    assert (known.stage, known.waiting) == ("rolled back", "U1 went back: worse")


def test_a_rollback_right_after_a_kill_is_not_undone_by_going_on(world):
    world.begin()
    world.until("compared")
    world.registry.switch(WANTED.release)  # and killed before that was written down
    first = roll_back(world.registry, world.means().teller, now=NOW, by="U1")
    advance(world.job, world.means(), NOW)
    assert world.stage() == "rolled back"
    assert world.registry.current() == first


@pytest.mark.parametrize("stage", ["added", "compared"])
def test_a_rollback_ends_what_was_to_follow_the_release_that_somebody_left(world, stage):
    world.begin()
    world.until("told")
    second = _another(world)
    second.begin(manifest(2, index={}, approved_by="U1"))
    second.until(stage)
    first = roll_back(world.registry, world.means().teller, now=NOW, by="U7", reason="worse")
    assert advance(second.job, world.means(), NOW) is True
    known = read(second.job)
    assert known is not None
    assert known.stage == "rolled back"
    assert known.waiting.startswith(f"U7 went back from {WANTED.release}")
    assert world.registry.current() == first
    assert not (world.registry.place(known.release) / "index").exists()


def test_a_rollback_in_the_moment_before_the_switch_is_not_undone_by_it(world):
    world.begin()
    world.until("compared")
    world.registry.switch(WANTED.release)
    first = roll_back(world.registry, world.means().teller, now=NOW, by="U1")
    with pytest.raises(RetrainError, match="not switched on"):
        world.registry.switch(WANTED.release, instead_of=first.release)
    with pytest.raises(RetrainError, match="not switched on"):
        world.registry.switch(WANTED.release, instead_of=manifest(3).release)
    assert world.registry.current() == first


def test_the_next_release_is_built_from_the_index_in_use(world):
    world.begin()
    world.until("told")
    second = _another(world)
    seen: list[Any] = []

    def documents(index: Any) -> Held:
        seen.append(index.index)
        return world.means().documents(index)

    second.begin(manifest(2, index={}, approved_by="U1"))
    means = world.means(documents=documents, embedder=lambda _manifest, _model: Model("newer"))
    for _ in range(20):
        if not advance(second.job, means, NOW):
            break
    assert second.stage() == "told"
    assert set(seen) == {world.registry.place(WANTED.release) / "index/docs.faiss"}
    assert [each.release for each in (world.registry.previous(), world.registry.current()) if each] == [
        WANTED.release, manifest(2).release,
    ]  # fmt: skip


# --- killed --------------------------------------------------------------------------------------------------------


def _play(folder: Path) -> Callable[[], object]:
    world = World(folder)

    def play() -> None:
        world.begin()
        while advance(world.job, world.means(hook="pass"), NOW):
            pass

    return play


def story(folder: Path) -> Callable[[], object]:
    World(folder).prepare()
    return _play(folder)


@pytest.mark.process
@pytest.mark.timeout(600)
def test_killed_at_any_write_it_ends_with_one_index_and_one_switch(tmp_path):
    import faiss

    folders = killed("tests.retrain.test_promote:story", tmp_path, "faiss", "faiss.contrib.factory_tools")
    wanted = World(folders[-1]).registry.place(WANTED.release) / "index/docs.faiss"
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    seen = set()
    try:
        for folder in folders:
            world = World(folder)
            known = read(world.job)
            seen.add(known.stage if known else "")
            current = world.registry.current()
            assert current is None or current.model == "acme/e5" or current.index
            _play(folder)()
            assert world.stage() == "told"
            releases = world.registry.releases()
            assert [each.model for each in releases] == ["acme/e5", "model"]
            assert world.line == [each.release for each in releases]
            assert (world.registry.previous(), world.registry.current()) == releases
            place = world.registry.place(WANTED.release)
            assert (place / "index/docs.faiss").read_bytes() == wanted.read_bytes()
            assert sorted(each.name for each in (place / "index").iterdir()) == ["docs.faiss", "ids.txt"]
    finally:
        faiss.omp_set_num_threads(threads)
    assert seen == {"", "approved", "added", "rebuilt", "checked", "compared", "switched", "told"}
