"""One run of the probes on the live index and the embedder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from driftwatch.errors import DriftwatchError
from driftwatch.probed import MOST_IDS, OFF
from driftwatch.probes import Target, sampled
from driftwatch.probes.believed import MANY_AT_FIRST
from driftwatch.probes.contents import Listing, Waiting, overdue_look, tells_missing
from driftwatch.probes.facts import compare_facts, remembered
from driftwatch.probes.sampled import Sampled
from driftwatch.probes.searching import search
from driftwatch.probes.service import ask_service, some_of
from driftwatch.probes.strings import look_at_strings
from driftwatch.probes.walking import walk_on
from driftwatch.sources.index import Index
from driftwatch.types import Capability, IndexFacts, Look, Probe

SERVICE_CANARIES = 8
"""Canaries a run that are asked of the service: whether it answers, not what."""


@dataclass
class Run:
    """What one run is made on, and what it has found so far."""

    settings: Index
    target: Target
    now: datetime
    former: Mapping[str, Any]
    """The state that the last run left; empty at the first."""
    began: float = field(default_factory=time.monotonic)
    looks: dict[str, Look] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    facts: IndexFacts | None = None

    @property
    def is_first(self) -> bool:
        """Whether nothing was ever looked at before."""
        return not self.former

    @property
    def took(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.began

    def go_on(self) -> bool:
        """Whether there is time for more, and nobody wants to stop."""
        return self.took < self.settings.seconds and not self.target.stopping()

    def can(self, capability: Capability) -> bool:
        """Whether the index can do this."""
        return self.target.index is not None and capability in self.target.index.capabilities

    def cannot(self, what: str) -> str:
        """Why it cannot ``what``."""
        index = self.target.index
        return "no index to look into is configured" if index is None else f"'{index.kind}' cannot {what}"

    def attempt(self, names: tuple[str, ...], look: Callable[[], None]) -> None:
        """Run ``look``; what it cannot see is said in the looks ``names``."""
        try:
            look()
        except Exception as error:  # noqa: BLE001 - stores and models raise anything; a person reads it in the look
            said = str(error) if isinstance(error, DriftwatchError) else f"{type(error).__name__}: {error}"
            for name in names:
                self.looks.setdefault(name, Look(unable=" ".join(said.split())[:300].rstrip(".")))


def look_at(settings: Index, target: Target, previous: Probe | None, now: datetime) -> Probe:
    """Look into the index once. What cannot be looked at is said in its look; nothing is raised for a dead index.

    Each run goes on where ``previous`` left off; without it, everything that is bad counts at once, else a single bad
    entry counts when it is still bad at the next run.
    """
    former = previous.state if previous is not None else {}
    run = Run(settings, target, now, former, state={**former, "turn": int(former.get("turn", 0)) + 1})
    run.attempt(("facts",), lambda: _facts(run))
    dead = run.looks.get("facts", Look()).unable if run.facts is None and run.can("facts") else ""
    contents = ("stored vectors", "texts", "finds itself", "recall of the index", "missing documents", "orphans")
    if dead or target.index is None:
        kind = "unreachable" if dead else OFF
        unseen = Look(unable=dead or run.cannot("be looked into"), words={"kind": kind})
        run.looks |= dict.fromkeys(contents, unseen)
    else:
        run.attempt(contents, lambda: _contents(run))
    run.attempt(("probe strings",), lambda: _strings(run))
    run.attempt(("service",), lambda: _service(run))
    fingerprint = _fingerprint(run)
    probe_id = f"{settings.name}@{now.isoformat()}"
    return Probe(probe_id, settings.name, now, run.looks, run.facts, fingerprint, run.took, run.state)


# --- facts -----------------------------------------------------------------------------------------------------------


def _facts(run: Run) -> None:
    index = run.target.index
    if index is None or not run.can("facts"):
        run.looks["facts"] = Look(unable=run.cannot("say what it is"))
        return
    run.facts = index.facts()
    past = run.former.get("facts", [])
    corpus = run.target.corpus
    documents = len(corpus) if corpus is not None else None
    embedder = _embedder(run)
    run.looks["facts"] = compare_facts(run.facts, embedder, documents, past, run.settings.count_falls)
    run.state["facts"] = remembered(run.facts, embedder, documents, past, run.now)


def _embedder(run: Run) -> tuple[str, int] | None:
    """Fingerprint and dimension; the dimension is 0 until something was embedded."""
    known = run.former.get("strings", {}).get("dimension", 0)
    return (_fingerprint(run), int(known)) if run.target.embedder is not None else None


def _fingerprint(run: Run) -> str:
    try:
        return run.target.embedder.fingerprint if run.target.embedder is not None else ""
    except Exception:  # noqa: BLE001 - an embedder without a model is said by the looks that need it
        return ""


# --- what the index holds --------------------------------------------------------------------------------------------


def _contents(run: Run) -> None:
    """List, take a sample, look at it."""
    chosen, listing = walk_on(run)
    run.attempt(("missing documents", "orphans"), lambda: _against_source(run, listing, chosen.unlisted))
    found = Sampled()
    run.attempt(("stored vectors", "texts"), lambda: sampled.look(run, chosen, found))
    run.attempt(("finds itself", "recall of the index"), lambda: search(run, found))


def _against_source(run: Run, listing: Listing | None, unlisted: str) -> None:
    """Documents that are not in the index, and entries of which the source knows nothing."""
    corpus = run.target.corpus
    expected = {
        doc_id: query.lang for query in run.target.canaries for doc_id, grade in query.relevant.items() if grade > 0
    }
    if listing is None:
        _without_list(run, expected, unlisted)
        return
    # What the source took down is not missing: the labels of its canaries are old.
    wanted = list(corpus.ids) if corpus is not None else list(expected)
    absent = [wanted[place] for place in np.flatnonzero(~listing.holds(wanted))]
    if corpus is None:
        run.looks["orphans"] = run.target.without_corpus
        known = expected and not run.target.unread
        run.looks["missing documents"] = _gone_look(expected, absent) if known else run.target.without_corpus
        return

    def lang(doc_id: str) -> str:
        return corpus.lang(doc_id) or expected.get(doc_id, "")

    sizes = Counter(lang(doc_id) for doc_id in wanted)
    _waiting_look(run, "missing documents", absent, sizes, lang, "documents are not in the index")
    _waiting_look(
        run,
        "orphans",
        listing.orphans,
        {"": len(listing.documents)},
        lambda _: "",
        "documents of the index are gone from the source",
    )


def _without_list(run: Run, expected: Mapping[str, str], unlisted: str) -> None:
    """What is known between two lists: which of the documents that canaries expect are gone."""
    index, corpus, name = run.target.index, run.target.corpus, "missing documents"
    assert index is not None
    lists = "ids" in index.capabilities
    why = unlisted if lists else run.cannot("list what it holds")
    if why := why or run.target.unread:
        run.looks |= dict.fromkeys((name, "orphans"), Look(unable=why))
    if not expected or run.target.unread or not tells_missing(index):
        return
    # What the source took down is not missing here either.
    gone = [each for each in sorted(index.missing(list(expected))) if corpus is None or each in corpus]
    if corpus is None or not lists:
        run.looks[name] = _gone_look(expected, gone)
        return
    waiting = Waiting.read(run.former.get(name)).also(gone, run.now)
    run.state[name] = waiting.dump()
    late = waiting.overdue(gone, run.now, run.settings.lag)
    if late.any():
        run.looks[name] = _gone_look(expected, [each for each, is_late in zip(gone, late, strict=True) if is_late])


def _waiting_look(
    run: Run, name: str, candidates: Any, sizes: Mapping[str, int], lang: Callable[[str], str], what: str
) -> None:
    lag = run.settings.lag
    many = len(candidates) > MANY_AT_FIRST * sum(sizes.values())
    since = run.now - lag if run.is_first and many else None
    waiting = Waiting.read(run.former.get(name)).seen(candidates, run.now, since=since)
    look = overdue_look(candidates, waiting, run.now, lag, sizes, lang, MOST_IDS)
    why = f"{look.bad} of {look.n} {what}" if look.bad else ""
    run.looks[name] = Look(look.n, look.bad, look.ids, look.by, look.values, why=why)
    run.state[name] = waiting.dump()


def _gone_look(expected: Mapping[str, str], gone: list[str]) -> Look:
    """The documents that canaries expect, where the source is not known."""
    found = [doc_id for doc_id in gone if doc_id in expected]
    sizes, bad = Counter(expected.values()), Counter(expected[doc_id] for doc_id in found)
    by = {lang: (size, bad[lang]) for lang, size in sorted(sizes.items())}
    why = f"{len(found)} of {len(expected)} documents that canaries expect are not in the index" if found else ""
    return Look(len(expected), len(found), tuple(found[:MOST_IDS]), by, why=why)


# --- the embedder and the service ------------------------------------------------------------------------------------


def _strings(run: Run) -> None:
    embedder = run.target.embedder
    if embedder is None or not run.settings.strings:
        why = "no embedder is configured" if embedder is None else "'strings' is off"
        run.looks["probe strings"] = Look(unable=why, words={"kind": OFF})
        return
    if not run.go_on():
        run.looks["probe strings"] = Look(unable="there was no time left in this run")
        return
    look, run.state["strings"] = look_at_strings(embedder, run.former.get("strings", {}), run.now)
    run.looks["probe strings"] = look


def _service(run: Run) -> None:
    service = run.target.service
    queries = some_of(run.target.canaries, SERVICE_CANARIES, int(run.state["turn"]))
    if service is None or not queries:
        why = "no retriever is configured" if service is None else "there are no canaries"
        run.looks["service"] = Look(unable=why, words={"kind": OFF} if service is None else {})
        return
    look, run.state["latency"] = ask_service(service, run.target.embedder, queries, run.former.get("latency", []))
    run.looks["service"] = look
