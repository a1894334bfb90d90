"""What happened and what it means, over a real store, a real log and a real retriever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from driftwatch import acting
from driftwatch.engine import Engine
from driftwatch.pages import render_incident, render_overview
from driftwatch.privacy import hashed
from driftwatch.store import Store
from driftwatch.types import Finding
from tests.fakes import world
from tests.fakes.world import BROKEN, EMPTY, RECALL, SCORES, START, append, log_lines, make_world

SIX_HOURS = timedelta(hours=6)


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    BROKEN.clear()
    yield
    BROKEN.clear()


def engine_of(watch) -> Engine:
    return Engine(watch, Store.open(watch.database))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Engine]]:
    engines: list[Engine] = []
    yield engines
    for engine in engines:
        engine.store.close()


def play(engine: Engine, start: datetime, looks: int) -> list[list[Finding]]:
    """Ask the canaries and look, every six hours."""
    findings = []
    for look in range(looks):
        now = start + look * SIX_HOURS
        for name in engine.watch.sources:
            engine.observe(name, now)
        findings.append(list(engine.tick(engine.watch.checks, now).findings))
    return findings


def by_segment(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.segment: finding for finding in findings}


def open_alerts(engine: Engine) -> set[tuple[str, str]]:
    return {key for key, alert in engine.store.decisions.alerts().items() if alert.state in ("firing", "blind")}


def learnt(tmp_path: Path, opened: list[Engine], *checks: str, more: str = "") -> tuple[Engine, datetime]:
    """An engine whose two days of baseline are full, and the time of the next look."""
    engine = engine_of(make_world(tmp_path, *checks, more=more))
    opened.append(engine)
    play(engine, START, 1)
    for look in range(8):
        append(tmp_path, log_lines(START + look * SIX_HOURS, 6))
        play(engine, START + (look + 1) * SIX_HOURS, 1)
    return engine, START + 9 * SIX_HOURS


def test_while_learning_a_finding_says_how_far_it_is(tmp_path, opened):
    engine = engine_of(make_world(tmp_path, EMPTY))
    opened.append(engine)
    append(tmp_path, log_lines(START, 25))
    finding = by_segment(play(engine, START + timedelta(hours=25), 1)[0])["de"]
    assert finding.learning
    assert "1 of 2 days" in finding.message


@pytest.mark.postgres
def test_on_postgres_a_break_is_found_told_and_mended_as_on_sqlite(tmp_path, opened, postgres_url: str):
    make_world(tmp_path, RECALL, EMPTY)
    path = tmp_path / "driftwatch.yaml"
    path.write_text(path.read_text().replace("database: sqlite:///driftwatch.db", "database_file: database.url"))
    (tmp_path / "database.url").write_text(postgres_url)
    engine = engine_of(world.load_watch(path))
    opened.append(engine)
    play(engine, START, 1)
    for look in range(1, 13):
        append(tmp_path, log_lines(START + (look - 1) * SIX_HOURS, 6, langs=["en", "de"], empty=0.4 * (look > 10)))
        BROKEN.update({"de"} if look > 10 else ())
        play(engine, START + look * SIX_HOURS, 1)
    empty = {("empty results", "all")}
    assert open_alerts(engine) == {("canary recall", "de"), *empty}
    assert engine.store.outbox.waiting() == {"terminal": 2}
    assert engine.store.traffic.tallies("live", START, START + 12 * SIX_HOURS).total("queries") == 72 * 2 * 60
    BROKEN.clear()
    play(engine, START + 13 * SIX_HOURS, 2)
    assert open_alerts(engine) == empty


def test_an_absolute_floor_judges_from_the_first_run(tmp_path, opened):
    BROKEN.add("de")
    engine = engine_of(make_world(tmp_path, RECALL))
    opened.append(engine)
    findings = by_segment(play(engine, START, 1)[0])
    assert findings["de"].verdict == "fail"
    assert findings["en"].verdict == "ok"


def test_one_broken_language_is_named_and_no_other(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    BROKEN.add("de")
    play(engine, now, 2)
    assert open_alerts(engine) == {("canary recall", "de")}


def test_when_every_language_breaks_it_is_one_incident(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    BROKEN.update({"de", "en", "fr"})
    play(engine, now, 2)
    (incident,) = engine.store.decisions.open_incidents()
    assert incident.segment == "all"
    assert len(incident.members) == 4


def test_a_mended_language_is_resolved_after_until_good_looks(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    BROKEN.add("de")
    play(engine, now, 2)
    BROKEN.clear()
    play(engine, now + 2 * SIX_HOURS, 1)
    assert open_alerts(engine) == {("canary recall", "de")}
    play(engine, now + 3 * SIX_HOURS, 1)
    assert open_alerts(engine) == set()


def test_a_language_that_breaks_again_within_a_week_reopens_its_incident_and_is_reminded_of_anew(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    for _ in range(3):
        BROKEN.add("de")
        play(engine, now, 2)
        BROKEN.clear()
        play(engine, now + 2 * SIX_HOURS, 2)
        now += 4 * SIX_HOURS
    BROKEN.add("de")
    play(engine, now, 1)
    (incident,) = engine.store.decisions.recent_incidents()
    assert incident.state == "firing"
    assert len(incident.openings) == 4
    assert [each.event for each in incident.history] == ["firing", "resolved"] * 3 + ["firing"]
    (again,) = engine.remind(now + timedelta(hours=25))
    assert (again.event, again.incident) == ("reminded", incident.incident_id)
    shown = render_incident(engine.watch, engine.store, incident, now)
    shown += render_overview(engine.watch, engine.store, now)
    assert shown.count(f"4 times since {incident.opened_at:%Y-%m-%d %H:%M} UTC") == 2


def test_a_service_that_cannot_be_asked_is_blind_with_the_reason_and_never_recall_0(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    BROKEN.add("down")
    looks = play(engine, now, 3)
    assert {finding.verdict for look in looks for finding in look} == {"unknown"}
    assert all("the index is rebuilding" in finding.message for finding in looks[-1])
    assert {finding.value for look in looks for finding in look} == {None}
    assert {key[0] for key in open_alerts(engine)} == {"canary recall"}
    assert {alert.state for alert in engine.store.decisions.alerts().values()} == {"blind"}


def test_a_source_that_stops_being_asked_becomes_unknown(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    later = engine.tick(engine.watch.checks, now + timedelta(days=2)).findings
    assert {finding.verdict for finding in later} == {"unknown"}


def test_empty_results_in_one_language_fire_there_only(tmp_path, opened):
    engine, _ = learnt(tmp_path, opened, EMPTY)
    append(tmp_path, log_lines(START + timedelta(hours=48), 12, langs=["en", "fr"]))
    append(tmp_path, log_lines(START + timedelta(hours=48), 12, langs=["de"], empty=0.3))
    play(engine, START + timedelta(hours=54), 2)
    assert open_alerts(engine) == {("empty results", "de")}


def test_quiet_traffic_raises_nothing(tmp_path, opened):
    engine, _ = learnt(tmp_path, opened, EMPTY, SCORES, RECALL)
    for look in range(8):
        append(tmp_path, log_lines(START + timedelta(hours=48) + look * SIX_HOURS, 6, seed=8))
        play(engine, START + timedelta(hours=48) + (look + 1) * SIX_HOURS, 1)
    assert open_alerts(engine) == set()


def test_lower_scores_are_drift_in_their_language(tmp_path, opened):
    engine, _ = learnt(tmp_path, opened, SCORES)
    append(tmp_path, log_lines(START + timedelta(hours=48), 30, langs=["en", "fr"]))
    append(tmp_path, log_lines(START + timedelta(hours=48), 30, langs=["de"], lower=0.1))
    play(engine, START + timedelta(hours=72), 2)
    assert open_alerts(engine) == {("top-score drift", "de")}


def test_the_learnt_baseline_does_not_move_by_itself(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    (first,) = engine.store.decisions.baselines()
    play(engine, now, 12)
    assert engine.store.decisions.baselines() == [first]
    assert first.source == "canaries"


def test_a_dry_look_writes_nothing(tmp_path, opened):
    engine = engine_of(make_world(tmp_path, RECALL))
    opened.append(engine)
    play(engine, START, 9)
    alerts, baselines = engine.store.decisions.alerts(), engine.store.decisions.baselines()
    dry = Engine(engine.watch, engine.store, learns=False)
    BROKEN.add("de")
    now = START + 30 * SIX_HOURS
    run = dry.observer.run_of("canaries", now)
    found = by_segment(dry.judge(engine.watch.checks, now, {"canaries": run}))
    assert found["de"].verdict == "fail"
    assert engine.store.decisions.alerts() == alerts
    assert engine.store.decisions.baselines() == baselines
    assert engine.store.canaries.latest("canaries").at < now


def test_a_check_that_breaks_is_unknown_and_the_others_go_on(tmp_path, opened):
    broken = '  - {name: bad, kind: "tests.fakes.broken_check:Broken", source: canaries}\n'
    engine = engine_of(make_world(tmp_path, broken, RECALL))
    opened.append(engine)
    findings = play(engine, START, 1)[0]
    assert findings[0].verdict == "unknown"
    assert "ZeroDivisionError" in findings[0].message
    assert any(finding.verdict == "ok" for finding in findings)


def test_in_an_expected_window_nothing_bad_is_evidence(tmp_path, opened):
    engine, now = learnt(
        tmp_path, opened, RECALL, more="expected: [{from: 2026-05-06, to: 2026-05-08, reason: launch}]\n"
    )
    BROKEN.add("de")
    findings = by_segment(play(engine, now, 3)[-1])
    assert "launch" in findings["de"].message
    assert open_alerts(engine) == set()


def test_a_change_that_was_announced_meanwhile_counts_from_the_next_look_until_it_is_ended(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    BROKEN.add("de")
    change = acting.expect(engine.store, now, now + timedelta(days=9), "launch", "ann", now)
    found = by_segment(play(engine, now, 3)[-1])
    assert (found["de"].verdict, found["de"].learning) == ("unknown", True)
    assert found["de"].message.startswith("not judged until")
    assert "launch" in found["de"].message
    assert found["en"].verdict == "ok"
    assert open_alerts(engine) == set()
    acting.end_expected(engine.store, change.change_id, "ann", now + 3 * SIX_HOURS)
    assert by_segment(play(engine, now + 3 * SIX_HOURS, 1)[-1])["de"].verdict == "fail"


def test_a_new_canary_does_not_disturb_the_baseline_of_the_others(tmp_path, opened):
    engine, now = learnt(tmp_path, opened, RECALL)
    extra = '{"query_id": "de-new", "text": "de question 99", "lang": "de", "relevant": ["doc-de-99"]}\n'
    path = tmp_path / "canaries.jsonl"
    path.write_text(path.read_text() + extra)
    finding = by_segment(play(engine, now, 1)[0])["de"]
    assert finding.verdict == "ok"
    assert finding.n == 20


ABSTAINED = "  - {name: abstentions, kind: rate, of: abstained, source: live, by: lang, window: 6h, every: 6h}\n"
OWN_PATTERNS = "abstention: {de: ['da musst du die zentrale anrufen']}\n"


@pytest.mark.parametrize(("more", "abstained"), [("", 1), (OWN_PATTERNS, 2)])
def test_an_answer_that_matches_a_pattern_of_ones_own_is_an_abstention(tmp_path, opened, more: str, abstained: int):
    engine = engine_of(make_world(tmp_path, ABSTAINED, more=more))
    opened.append(engine)
    said = ["Da musst du die Zentrale anrufen.", "Das weiß ich leider nicht.", "Der Versand dauert drei Tage."]
    line = '{"ts": "2026-05-04T00:10:00Z", "query": "versand %d", "lang": "de", "answer": "%s"}'
    append(tmp_path, [line % (number, answer) for number, answer in enumerate(said)])
    engine.observe("live", START + timedelta(hours=1))
    tallies = engine.store.traffic.tallies("live", START, START + timedelta(hours=1))
    assert tallies.by_lang("abstained") == {"de": abstained}
    assert tallies.by_lang("abstention_known") == {"de": 3}


def test_hashed_texts_are_the_same_after_a_restart_when_a_key_is_given(tmp_path, opened):
    (tmp_path / "hash.key").write_text("5d41402abc4b2a76b9719d911017c592\n")
    watch = make_world(tmp_path, EMPTY, more="privacy: {keep_text: hash, key_file: hash.key}\n")
    for hour in range(2):
        opened.append(engine_of(watch))
        append(tmp_path, [f'{{"ts": "2026-05-04T0{hour}:10:00Z", "query": "my secret", "lang": "en", "results": []}}'])
        opened[-1].observe("live", START + timedelta(hours=hour + 1))
    end = START + timedelta(hours=2)
    texts = {seen.text for seen in opened[-1].store.traffic.recent_queries("live", START, end, 10)}
    assert texts == {hashed("my secret", b"5d41402abc4b2a76b9719d911017c592")}


def test_where_the_log_has_no_results_the_sample_is_asked_again(tmp_path, opened):
    watch = make_world(tmp_path, SCORES)
    path = tmp_path / "driftwatch.yaml"
    path.write_text(path.read_text().replace("stratify: lang}", "stratify: lang, ask_again: true}"))
    engine = engine_of(world.load_watch(watch.path))
    opened.append(engine)
    append(tmp_path, ['{"ts": "2026-05-04T00:10:00Z", "query": "de question 5", "lang": "de"}'])
    engine.observe("live", START + timedelta(hours=1))
    sample = engine.store.traffic.sample("live", START, START + timedelta(hours=1))
    assert sample.scores[0, 0] == pytest.approx(0.9)


def test_a_backlog_read_in_two_lives_is_sampled_as_in_one(tmp_path, opened):
    """The thresholds of old days are remembered when the process that set them is gone."""
    engine = engine_of(make_world(tmp_path, SCORES))
    opened.append(engine)
    lines = log_lines(START, 24, an_hour=30)
    append(tmp_path, lines[: len(lines) // 2])
    now = START + timedelta(days=40)
    engine.observe("live", now)
    append(tmp_path, lines[len(lines) // 2 :])
    again = Engine(engine.watch, engine.store)
    again.observe("live", now)
    sample = engine.store.traffic.sample("live", START, START + timedelta(days=1))
    assert len(sample) <= 300
    assert sample.weight.sum() == pytest.approx(len(lines), rel=0.15)


def test_when_traffic_stops_only_the_traffic_alert_speaks(tmp_path, opened):
    traffic = "  - {name: traffic, kind: volume, source: live, at_least: 50, window: 6h, every: 6h}\n"
    engine, now = learnt(tmp_path, opened, EMPTY, SCORES, traffic)
    play(engine, now + timedelta(hours=6), 8)
    assert {name for name, _ in open_alerts(engine)} == {"traffic"}
