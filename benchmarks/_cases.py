"""The changes whose delay is measured, and the delay of each detector: ours at two cadences, and the tuned peers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from _canaries import CanaryNuisance, RecallDrop
from _families import Changes, Nuisances, Service
from _peers import FAMILY_SHARE, PAGES_PER_YEAR, delays, rate_peers, score_peers, stacked, tuned
from _rare import Reader, canary_peers, changed_canaries, quiet_canaries, topic_peers, topic_stream
from _streams import BASELINE_DAYS, Scenario, Stream, changed_streams, quiet_streams, start_of
from _topics import NewTopic, TopicNuisance
from _traffic import LANGUAGES, MONDAY, Floats, Nuisance
from _tuned import tune

from driftwatch.course import Page
from driftwatch.types import POOLED

QUIET = 14
"""Days after the baseline before anything changes."""
LARGEST, MIDDLE, SMALL = 0, 9, 19
TOPICS = TopicNuisance(dimensions=384, sampled_per_day=1000)
ALL_QUIET = 100_000
"""Added to the seed of a stream with a change: no stream is among those that peers are tuned on."""


@dataclass(frozen=True)
class Case:
    """One change, with what the first trial of the ledger needed for it."""

    name: str
    family: str
    trial: tuple[float | None, float | None] = (None, None)
    """Median days, looking every hour and once a day."""
    scenario: Scenario | None = None
    """Of traffic."""
    every: int = 1
    """Hours between canary runs."""
    ramp_days: float = 0.0
    how: str = "far"
    """Where the new topic is."""
    days: int = 60
    """That are looked at after the change."""

    @property
    def segments(self) -> set[str] | None:
        """Whose pages are about the change; None: any."""
        if self.scenario is None or self.scenario.langs is None:
            return None
        return {POOLED, *(LANGUAGES[k] for k in self.scenario.langs)}


def _score(name: str, lang: int | None, trial: tuple[float, float], ramp: float = 0.0, days: int = 40) -> Case:
    langs = None if lang is None else (lang,)
    return Case(name, "scores", trial, Scenario(name, "score", 0.03, langs, ramp, days), days=days)


def _empty(name: str, lang: int | None, trial: tuple[float, float | None], days: int) -> Case:
    langs = None if lang is None else (lang,)
    return Case(name, "rates", trial, Scenario(name, "empty", 2.0, langs, 0.0, days), days=days)


CASES = (
    _score("top score -.03, largest language", LARGEST, (1.0, 2.5)),
    _score("top score -.03, a middle language", MIDDLE, (2.2, 3.4)),
    _score("top score -.03, smallest language", SMALL, (4.3, 7.8)),
    _score("top score to -.03 in 28 days, all", None, (14, 17), 28.0, 50),
    _score("top score to -.03 in 28 days, a middle language", MIDDLE, (20, 22), 28.0, 60),
    Case(
        "outage: half of the answers broken, all",
        "scores",
        (0.06, 0.8),
        Scenario("outage", "outage", 0.5, None, days=5),
        days=5,
    ),
    _empty("empty 2 % to 4 %, all", None, (0.3, 1.3), 10),
    _empty("empty 2 % to 4 %, a middle language", MIDDLE, (2.0, None), 40),
    Case("canary recall .95 to .90, runs every hour", "canaries", (0.2, None), every=1, days=30),
    Case("canary recall .95 to .90, daily runs", "canaries", (1.0, None), every=24, days=40),
    Case("canary recall to .90 in 28 days, runs every hour", "canaries", (13, None), every=1, ramp_days=28.0, days=45),
    Case("canary recall to .90 in 28 days, daily runs", "canaries", (17, None), every=24, ramp_days=28.0, days=50),
    Case("a far new topic at 5 %", "query drift", (1.0, 1.0), how="far", days=14),
    Case("a near new topic at 5 %", "query drift", (1.0, 1.0), how="near", days=14),
)

Peers = dict[str, dict[str, tuple[str, list[float]]]]
"""Name of a case -> detector -> its kind and the days it took, a stream each."""


# --- ours ----------------------------------------------------------------------------------------------------------


def ours(cases: Sequence[Case], seeds: Iterable[int]) -> dict[str, dict[str, list[float]]]:
    """Name of a case -> how often it was looked at -> days to the page, a stream each; infinite when there was none."""
    found: dict[str, dict[str, list[float]]] = {case.name: {"hourly": [], "daily": []} for case in cases}
    for seed in seeds:
        known: dict[tuple[str, int], Service] = {}
        for case in cases:
            key = case.family, case.every
            if key not in known:
                nuisances = Nuisances(topics=TOPICS)
                known[key] = Service(ALL_QUIET + seed, nuisances, [case.family], canaries_every=case.every)
            counts = known[key].counts(QUIET + 1 + case.days, _changes(case, seed))
            # Canaries that run once a day are looked at when they have run.
            for name, every in {"hourly": 1, "daily": 24}.items():
                if case.family == "canaries" and name == "daily":
                    continue
                days = _days_to_page(known[key].pages(counts, every), case, seed)
                if days is not None:
                    found[case.name][name].append(days)
        sys.stderr.write(f"seed {seed}: {[(case.name, *found[case.name]['hourly'][-1:]) for case in cases]}\n")
    return found


def start(case: Case, seed: int) -> float:
    """Days from the first day to the change; a new topic begins with a day, as its peers look once a day."""
    return float(BASELINE_DAYS + QUIET) if case.family == "query drift" else start_of(ALL_QUIET + seed)


def _changes(case: Case, seed: int) -> Changes:
    at = start(case, seed)
    if case.scenario is not None:
        return Changes(traffic=(case.scenario.change(at),))
    if case.family == "canaries":
        return Changes(drop=RecallDrop(at, 0.05, case.ramp_days))
    return Changes(topic=NewTopic(int(at), 0.05, case.how))  # type: ignore[arg-type]


def _days_to_page(pages: Sequence[Page], case: Case, seed: int) -> float | None:
    """From the change to the first page about it; None when one such was open already."""
    at = start(case, seed)
    first = np.inf
    for page in pages:
        if case.segments is not None and page.segment not in case.segments:
            continue
        since = (page.step + 1) / 24 - MONDAY - at
        if since <= 0 and (page.resolved is None or (page.resolved + 1) / 24 - MONDAY > at):
            return None
        if since > 0:
            first = min(first, since)
    return float(first)


# --- the peers -----------------------------------------------------------------------------------------------------


def peers(cases: Sequence[Case], seeds: Sequence[int], quiet_years: int) -> Peers:
    """Every tuned detector on every case."""
    found: Peers = {}
    found |= _traffic_peers([case for case in cases if case.scenario is not None], seeds, quiet_years)
    for case in cases:
        if case.family == "canaries":
            found[case.name] = _canary_peers(case, seeds, quiet_years)
    topics = [case for case in cases if case.family == "query drift"]
    if topics:
        found |= _topic_peers(topics, seeds, max(2, quiet_years // 4))
    return found


def _traffic_peers(cases: Sequence[Case], seeds: Sequence[int], quiet_years: int) -> Peers:
    if not cases:
        return {}
    quiet = stacked(quiet_streams(Nuisance(), range(quiet_years)))
    sys.stderr.write("quiet years are made\n")
    kinds = {"scores": score_peers, "rates": rate_peers}
    ready = {
        family: tuned(kinds[family](), quiet, FAMILY_SHARE[family] * PAGES_PER_YEAR)
        for family in dict.fromkeys(case.family for case in cases)
    }
    streams: dict[str, list[Stream]] = {case.name: [] for case in cases}
    by_scenario = {id(case.scenario): case.name for case in cases}
    for seed in seeds:
        scenarios = [case.scenario for case in cases if case.scenario is not None]
        for scenario, stream in changed_streams(Nuisance(), ALL_QUIET + seed, scenarios):
            streams[by_scenario[id(scenario)]].append(stream)
        sys.stderr.write(f"peers: seed {seed}\n")
    starts = np.array([start_of(ALL_QUIET + seed) for seed in seeds])
    found: Peers = {}
    for case in cases:
        assert case.scenario is not None
        days = delays(ready[case.family], case.scenario, stacked(streams[case.name]), starts)
        kind = {peer.detector.name: peer.kind for peer, _ in ready[case.family]}
        found[case.name] = {name: (kind[name], each.tolist()) for name, each in days.items()}
    return found


def _canary_peers(case: Case, seeds: Sequence[int], quiet_years: int) -> dict[str, tuple[str, list[float]]]:
    quiet = quiet_canaries(CanaryNuisance(), range(quiet_years), case.every)
    of_service = range(ALL_QUIET + seeds[0], ALL_QUIET + seeds[-1] + 1)
    changed = changed_canaries(CanaryNuisance(), of_service, case.every, 0.05, case.ramp_days, case.days)
    starts = np.array([start_of(seed) for seed in of_service])
    return _rare_delays(canary_peers(case.every), quiet, changed, starts, FAMILY_SHARE["canaries"])


def _topic_peers(cases: Sequence[Case], seeds: Sequence[int], quiet_years: int) -> Peers:
    quiet = np.stack([topic_stream(TOPICS, seed, 365) for seed in range(quiet_years)])
    found: Peers = {}
    for case in cases:
        new = NewTopic(BASELINE_DAYS + QUIET, 0.05, case.how)  # type: ignore[arg-type]
        changed = np.stack([topic_stream(TOPICS, ALL_QUIET + seed, QUIET + case.days, new) for seed in seeds])
        starts = np.full(len(seeds), float(BASELINE_DAYS + QUIET))
        found[case.name] = _rare_delays(topic_peers(), quiet, changed, starts, FAMILY_SHARE["query drift"])
    return found


def _rare_delays(
    readers: Sequence[Reader], quiet: Floats, changed: Floats, starts: Floats, share: float
) -> dict[str, tuple[str, list[float]]]:
    found = {}
    for reader in readers:
        own = [reader.column]
        ready = tune(reader.detector, quiet[: reader.streams, :, own], share * PAGES_PER_YEAR, BASELINE_DAYS)
        days = ready.delays(changed[:, :, own], starts, np.array([0]))
        found[reader.detector.name] = (reader.kind, days.tolist())
    return found
