"""The evidence behind one finding, put in words: for `explain`, the incident page and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driftwatch.privacy import redact
from driftwatch.show import at, number

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Finding, Observation

SHOWN = 10
"""Examples shown."""


@dataclass(frozen=True, slots=True)
class Example:
    """One query to look at."""

    query_id: str
    text: str
    """Redacted, or the query_id where texts are not shown."""
    note: str
    """What happened to it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finding for a person."""

    title: str
    message: str
    verdict: str
    numbers: tuple[tuple[str, str], ...]
    examples: tuple[Example, ...]


def evidence_of(finding: Finding, watch: Watch, store: Store) -> Evidence:
    """What `explain` shows: the numbers, and the queries that moved them with their texts."""
    seen = _observations(finding, watch, store)
    flips = {flip["query_id"]: flip for flip in finding.details.get("flips", ()) if isinstance(flip, Mapping)}
    examples = tuple(
        Example(query_id, _text(query_id, seen, watch), _note(flips.get(query_id), seen.get(query_id)))
        for query_id in finding.examples[:SHOWN]
    )
    numbers = _numbers(finding, watch.timezone)
    return Evidence(f"{finding.check} · {finding.segment}", finding.message, finding.verdict, tuple(numbers), examples)


def texts_of(finding: Finding, watch: Watch, store: Store) -> dict[str, str]:
    """query_id -> text of the examples, as it was kept."""
    seen = _observations(finding, watch, store)
    return {query_id: seen[query_id].text for query_id in finding.examples if query_id in seen and seen[query_id].text}


def _observations(finding: Finding, watch: Watch, store: Store) -> Mapping[str, Observation]:
    check = next((check for check in watch.checks if check.name == finding.check), None)
    if check is None or not finding.examples:
        return {}
    if check.needs == "runs":
        run = store.canaries.latest(check.source)
        return {seen.query_id: seen for seen in run.observations} if run else {}
    return store.traffic.observations(check.source, finding.examples)


def _text(query_id: str, seen: Mapping[str, Observation], watch: Watch) -> str:
    observation = seen.get(query_id)
    if observation is None or not observation.text or not watch.privacy.show_queries:
        return query_id
    return redact(observation.text)


def _note(flip: Mapping[str, Any] | None, seen: Observation | None) -> str:
    if flip is not None:
        return f"rank {flip.get('old_rank') or 'none'} → {flip.get('new_rank') or 'not found'}"
    if seen is None or seen.hits is None:
        return ""
    if not seen.hits:
        return "nothing found"
    best = seen.hits[0]
    return f"best: {best.doc_id}" + (f" ({number(best.score)})" if best.score is not None else "")


def _numbers(finding: Finding, timezone: str) -> Iterator[tuple[str, str]]:
    yield "queries", str(finding.n)
    named = {
        "now": finding.value,
        "normal": finding.reference,
        "change": finding.effect,
        "test statistic": finding.statistic,
        "p-value": finding.p_value,
        "e-value": finding.e_value,
        "evidence, in days": finding.evidence,
        "share of the budget": finding.share,
    }
    for name, value in named.items():
        if value is not None:
            yield name, number(value)
    if finding.onset is not None:
        yield "since about", at(finding.onset, timezone)
    if finding.interval is not None:
        yield "95 % interval of the change", " to ".join(number(end) for end in finding.interval)
    for reason, times in finding.details.get("unasked", {}).items():
        yield "not asked", f"{times}: {reason}"
    for topic in finding.details.get("topics", ()):
        if isinstance(topic, Mapping):
            said = ", ".join(topic.get("terms", ())) or "not named"
            yield "new topic", f"{said}: {topic.get('share', 0):.1%}, before {topic.get('before', 0):.1%}"
    for name, value in finding.details.items():
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            yield name.replace("_", " "), value if isinstance(value, str) else number(value)
