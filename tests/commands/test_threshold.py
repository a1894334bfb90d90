from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftwatch.cli import app
from driftwatch.commands.threshold import Stretch, Where, threshold
from driftwatch.errors import DriftwatchError
from driftwatch.sampling import Batch, Kept
from driftwatch.stats.cutoff import Aim
from driftwatch.store import Store
from driftwatch.threshold import Wanted
from driftwatch.types import Baseline, IndexFacts, Observation, Probe
from tests.fakes.batches import DAY, MONDAY, run
from tests.fakes.scored import CHANGE, NEW, as_distance, canaries, live
from tests.fakes.world import EMPTY, make_world

pytestmark = pytest.mark.process

NOW = CHANGE + 7 * DAY
FEW = {"resamples": 40}


def ingest(store: Store, observed: list[Observation]) -> None:
    kept = tuple(Kept(number / len(observed), seen.at.date(), seen) for number, seen in enumerate(observed))
    store.traffic.ingest(Batch("live", {}, {}, kept))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two weeks before and one after the embedder changed, with canaries each day."""
    watch = make_world(tmp_path, EMPTY)
    store = Store.open(watch.database, lasting=False)
    ingest(store, live(MONDAY, 14, cut=0.55))
    ingest(store, live(CHANGE, 7, slope=0.5, intercept=0.2, seed=2, versions=NEW))
    for day in (12, 13):
        at = MONDAY + day * DAY
        store.canaries.add(run(at, *canaries(at)))
    for day in (1, 2):
        at = CHANGE + day * DAY
        store.canaries.add(run(at, *canaries(at, slope=0.5, intercept=0.2, versions=NEW)))
    store.decisions.set_baseline(Baseline(MONDAY, CHANGE - DAY, "by hand", "me", NOW))
    store.close()
    return tmp_path / "driftwatch.yaml"


def asked(config: Path, capsysbinary, wanted: Wanted, where: Where | None = None) -> dict:
    threshold(config, wanted, where or Where(), NOW, json=True)
    return json.loads(capsysbinary.readouterr().out)


def test_the_stretches_are_found_by_the_newest_change(config: Path, capsysbinary):
    found = asked(config, capsysbinary, Wanted(current=0.55, decides="answers", **FEW))
    assert found["cutoff"]["method"] == "labels"
    assert found["labels"]["from"] == {"canaries": 120}
    assert found["same_share"]["units_before"] == 13 * 30
    assert found["same_share"]["units_after"] == 7 * 30
    assert found["same_share"]["value"] == pytest.approx(0.475, abs=0.02)
    assert found["same_documents"]["value"] == pytest.approx(0.475, abs=0.01)
    assert found["scale"]["slope"]["value"] == pytest.approx(0.5)
    assert [reason["what"] for reason in found["reasons"]] == ["scale", "kept", "embedder"]
    assert found["current"]["still_good"] is False
    assert set(found["by_language"]) == {"en", "de", "fr"}


def test_the_json_is_what_the_documentation_says(config: Path, capsysbinary):
    found = asked(config, capsysbinary, Wanted(current=0.55, **FEW))
    page = (Path(__file__).parents[2] / "docs" / "threshold.md").read_text("utf-8")

    def names(part: object) -> set[str]:
        if isinstance(part, list):
            return set().union(*map(names, part)) if part else set()
        if not isinstance(part, dict):
            return set()
        inner = [names(value) for name, value in part.items() if name not in ("by_language", "from")]
        return set(part).union(*inner)

    language = next(iter(found["by_language"].values()))
    missing = {name for name in names(found) | names(language) if f"`{name}`" not in page}
    assert not missing


def test_stretches_can_be_named(config: Path, capsysbinary):
    where = Where(Stretch.parse("2026-05-05..2026-05-08"), Stretch.parse("2026-05-19 .. 2026-05-22"))
    found = asked(config, capsysbinary, Wanted(current=0.55, decides="answers", **FEW), where)
    assert found["same_share"]["units_before"] == found["same_share"]["units_after"] == 4 * 30


def test_canaries_that_were_not_asked_since_the_change_judge_nothing(config: Path, capsysbinary):
    where = Where(after=Stretch.parse("2026-05-21.."))
    found = asked(config, capsysbinary, Wanted(current=0.55, decides="answers", **FEW), where)
    assert found["labels"] is None
    assert found["cutoff"]["method"] == "same share"


def test_canaries_in_quarantine_judge_nothing(config: Path, capsysbinary):
    store = Store.open(f"sqlite:///{config.parent / 'driftwatch.db'}")
    at = CHANGE + 3 * DAY
    gone = frozenset(f"doc-{number}-0" for number in range(10))
    store.canaries.add(run(at, *canaries(at, slope=0.5, intercept=0.2, versions=NEW), gone=gone))
    store.close()
    found = asked(config, capsysbinary, Wanted(current=0.55, **FEW))
    assert found["labels"]["from"] == {"canaries": 112}  # the fifth and the tenth should find nothing


def test_what_the_index_says_is_read_from_the_probes(config: Path, capsysbinary):
    text = config.read_text().replace("sources:\n", "sources:\n  index: {kind: index, every: 1h}\n")
    store = Store.open(f"sqlite:///{config.parent / 'driftwatch.db'}")
    for at, metric in ((CHANGE - DAY, "cosine"), (CHANGE + DAY, "dot")):
        store.experiments.add_probe(Probe(at.isoformat(), "index", at, {}, IndexFacts(count=10, metric=metric)))
    store.close()
    config.write_text(text)
    found = asked(config, capsysbinary, Wanted(current=0.55, **FEW))
    assert "The index says that its metric is dot; it was cosine." in [each["sentence"] for each in found["reasons"]]
    assert found["same_share"]["units_after"] == 6 * 30


def test_distances_come_out_as_distances(tmp_path: Path, capsysbinary):
    watch = make_world(tmp_path, EMPTY)
    store = Store.open(watch.database, lasting=False)
    at = CHANGE + DAY
    store.canaries.add(run(at, *as_distance(canaries(at))))
    store.close()
    found = asked(tmp_path / "driftwatch.yaml", capsysbinary, Wanted(current=-0.6, **FEW))
    cutoff = found["cutoff"]
    assert (cutoff["keep"], cutoff["score_kind"]) == ("at most", "distance")
    assert cutoff["low"] < cutoff["value"] < cutoff["high"] < -0.5
    assert found["labels"]["as_good"]["low"] <= cutoff["value"] <= found["labels"]["as_good"]["high"]


def test_a_person_is_told_in_words(config: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    threshold(config, Wanted(current=0.55, **FEW), Where(), NOW, json=False)
    out = capsys.readouterr().out
    assert "Keep documents that score at least 0." in out
    assert "is outside its interval" in out
    assert "F1 on queries that did not choose" in out
    assert "what made the old one wrong" in out
    assert "embedder went from mini-1 to mini-2" in out
    assert "queries without anything kept" in out


def test_what_cannot_be_reached_is_told_with_what_can(config: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    random_labels = config.parent / "labels.csv"
    rows = [f"q{n // 4},{(n * 7919 % 1000) / 1000},{int(n * 104729 % 5 == 0)}" for n in range(400)]
    random_labels.write_text("query_id,score,relevant\n" + "\n".join(rows) + "\n")
    threshold(Path("nowhere.yaml"), Wanted(Aim("precision", 0.99), **FEW), Where(labels=random_labels), NOW, json=False)
    out = capsys.readouterr().out
    assert "A precision of 0.99 cannot be reached: the most is 0." in out


def test_an_unknown_source_is_named(config: Path):
    with pytest.raises(DriftwatchError, match="there is no source 'life'") as failed:
        threshold(config, Wanted(), Where(sources=("life",)), NOW, json=True)
    assert "live" in failed.value.remedy


def test_a_stretch_is_read_as_it_is_written():
    whole = Stretch.parse("2026-05-04..2026-05-17")
    assert (whole.start, whole.end) == (MONDAY, MONDAY + 14 * DAY)
    assert Stretch.parse("2026-05-04T08:00..") == Stretch(MONDAY + timedelta(hours=8), None)
    assert Stretch.parse("..2026-05-04") == Stretch(None, MONDAY + DAY)
    assert Stretch.parse("") == Stretch()
    with pytest.raises(DriftwatchError, match="ends before it begins"):
        Stretch.parse("2026-05-17..2026-05-04")


# --- the command line ----------------------------------------------------------------------------------------------


def test_the_verb_answers_from_a_file_of_labels_alone(tmp_path: Path):
    lines = [
        json.dumps({"query_id": f"q{n // 5}", "score": 0.3 + 0.4 * (n % 5 == 0) + n / 10_000, "relevant": n % 5 == 0})
        for n in range(300)
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines) + "\n")
    words = ["threshold", "-c", str(tmp_path / "none.yaml"), "--labels", str(tmp_path / "labels.jsonl"), "--json"]
    done = CliRunner().invoke(app, [*words, "--recall", "0.9"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["aim"] == {"measure": "recall", "level": 0.9}
    assert 0.7 < found["cutoff"]["value"] < 0.71
    assert found["cutoff"]["keep"] == "at least"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "0.9", "--recall", "0.9"], "both given"),
        (["--of", "pages"], "neither 'documents' nor 'answers'"),
        (["--after", "soon"], "'soon' is not a day or time"),
        (["--current", "nan"], "--current nan is no number"),
        (["--beta", "inf"], "--beta inf is no number"),
    ],
)
def test_a_wrong_option_is_said(words: list[str], said: str, tmp_path: Path):
    done = CliRunner().invoke(app, ["threshold", "-c", str(tmp_path / "none.yaml"), *words])
    assert isinstance(done.exception, DriftwatchError)
    assert said in str(done.exception)


def test_too_little_is_an_error_with_how_much_is_needed(tmp_path: Path):
    watch = make_world(tmp_path, EMPTY)
    Store.open(watch.database, lasting=False).close()
    done = CliRunner().invoke(app, ["threshold", "-c", str(tmp_path / "driftwatch.yaml"), "--current", "0.5"])
    assert isinstance(done.exception, DriftwatchError)
    assert "20 of each are needed" in str(done.exception)
