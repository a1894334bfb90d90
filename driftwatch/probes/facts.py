"""What an index says of itself, against what it said at the last run and a day ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from driftwatch.types import IndexFacts, Look

A_DAY = timedelta(hours=24)
APART = timedelta(minutes=55)
"""What is remembered of a day are states so far apart."""
FIXED = ("dimension", "metric", "kind", "compressed", "model")
"""What does not change by itself."""


def compare_facts(
    facts: IndexFacts, embedder: tuple[str, int] | None, documents: int | None, past: Sequence[Any], falls: float
) -> Look:
    """What has changed since yesterday and since the last run; bad: what does not change by itself.

    ``embedder``: fingerprint and dimension; ``documents``: how many the source has; ``past``: what ``remembered`` gave
    at the last run, oldest first; ``falls``: the share of its entries that an index may lose while the documents stay.
    """
    now = _summary(facts, embedder, documents)
    words: dict[str, str] = {}
    why: list[str] = []
    wrong: set[str] = set()
    for before in (past[0], past[-1]) if past else ():
        for name in (*FIXED, "embedder", "fingerprint", "settings"):
            if before.get(name) and now[name] and before[name] != now[name]:
                words.setdefault(name, f"{before[name]} -> {now[name]}")
                wrong |= {name} & set(FIXED)
        if _fell(before, now, falls):
            wrong.add("count")
        if before.get("count") is not None and now["count"] is not None and before["count"] != now["count"]:
            words.setdefault("count", f"{before['count']} -> {now['count']}")
    why += [f"its {name} changed ({words[name]})" for name in FIXED if name in wrong]
    if "count" in wrong:
        why.append(f"it lost entries ({words['count']})")
    if embedder is not None and facts.dimension and embedder[1] and embedder[1] != facts.dimension:
        words["embedder dimension"] = f"{embedder[1]}, and the index has {facts.dimension}"
        why.append(f"the embedder gives {embedder[1]} numbers and the index holds {facts.dimension}")
        wrong.add("embedder dimension")
    looked = sum(1 for name in ("count", *FIXED) if now[name])
    values = {} if facts.count is None else {"count": float(facts.count)}
    sentence = f"the index is not what it was: {'; '.join(why)}" if why else ""
    return Look(max(looked, len(wrong)), len(wrong), values=values, words=words, why=sentence)


def remembered(
    facts: IndexFacts, embedder: tuple[str, int] | None, documents: int | None, past: Sequence[Any], now: datetime
) -> list[Mapping[str, Any]]:
    """What the next run compares with: the state of a day ago and those since then, oldest first.

    However long nobody looked, what was seen last before that stays for a day: a change is told more than once.
    """
    older = sum(now - datetime.fromisoformat(each["at"]) >= A_DAY for each in past)
    kept = list(past[max(0, older - 1) :])
    if len(kept) >= 2 and datetime.fromisoformat(kept[-1]["at"]) - datetime.fromisoformat(kept[-2]["at"]) < APART:
        kept = kept[:-1]
    return [*kept, {"at": now.isoformat(), **_summary(facts, embedder, documents)}]


def _summary(facts: IndexFacts, embedder: tuple[str, int] | None, documents: int | None) -> dict[str, Any]:
    named = ("kind", "compressed")
    others = ", ".join(f"{name} {facts.settings[name]}" for name in sorted(set(facts.settings) - set(named)))
    return {
        # A planner's estimate moves by itself: it is shown, and compared with nothing.
        "count": None if facts.settings.get("count") == "estimated" else facts.count,
        "dimension": facts.dimension,
        "metric": facts.metric,
        "kind": facts.settings.get("kind", ""),
        "compressed": facts.settings.get("compressed", ""),
        "settings": others[:200],
        "model": facts.model[:200],
        "fingerprint": facts.fingerprint[:80],
        "embedder": embedder[0][:80] if embedder else "",
        "documents": documents,
    }


def _fell(before: Mapping[str, Any], now: Mapping[str, Any], falls: float) -> bool:
    """Whether there are fewer entries, and not because there are fewer documents."""
    if not before.get("count") or now["count"] is None:
        return False
    kept = now["count"] / before["count"]
    if before.get("documents") and now["documents"]:
        kept /= min(1.0, now["documents"] / before["documents"])
    return bool(kept < 1 - falls)
