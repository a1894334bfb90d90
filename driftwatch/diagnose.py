"""What most likely broke: an ordered list of small rules, each a pure function from the evidence to a cause.

The first cause that fits is the diagnosis; one that an earlier cause brings with it is left out, and what then remains
was found beside it. To add a cause, write its rule, put it into ``RULES`` where it belongs, and write its page in
``docs/causes/``.
"""

from __future__ import annotations

from driftwatch import vector_causes
from driftwatch.case import LOSES, RETRIEVAL, Case, one_language
from driftwatch.causes import DOWNSTREAM, PASSING, VECTORS, Cause, Rule

HALF = 0.5
"""Of the canaries unanswered: an outage."""
FEW = 3
"""So many canaries or documents are no accident."""
REPEATED = 1.5
"""So many times the usual rows a session: somebody repeats himself."""
GRAPH_LOSES = 0.05
"""Of the measure: a graph that was built well may miss a little less, and less than half of what users lost."""
LASTING = 7.0
"""Days of new topics or languages that are badly served until the model is taken not to fit any more."""
ORDERED = 0.9
"""Agreement in order (Kendall's tau) of what a filter lets through."""


# --- the service ---------------------------------------------------------------------------------------------------


def outage(case: Case) -> Cause | None:
    """The search call fails, times out, or answers nothing at all."""
    sign, asked = case.sign("outage"), case.asked
    n, bad = (asked.n, asked.failed + asked.empty) if asked.n else (sign.n, sign.bad)
    if not n or bad < HALF * n:
        return None
    how = asked.reason or sign.words.get("error") or "the answers are empty"
    return Cause(
        "outage",
        f"The service gave no answer to {bad} of {n} canaries: {how}.",
        "None of retrieval's own: bring the service back; everything else waits until it answers.",
        families=RETRIEVAL | {"volume", "mix"},
        entails=DOWNSTREAM | {"slow service", "query side", "query prompt", "filter", "lost documents", "canary rot"},
    )


def slow_service(case: Case) -> Cause | None:
    """It answers, and takes much longer than it did."""
    look = case.defect("service")
    slow = look.words.get("kind") == "slow" or "latency" in look.words
    if not look.bad or not slow:
        return None
    return Cause(
        "slow service",
        look.why or "The service takes much longer to answer than it did.",
        "Look at the load and the resources of the service and its index; a timeout is next.",
        entails=frozenset(),
    )


# --- documents -----------------------------------------------------------------------------------------------------


def lost_documents(case: Case) -> Cause | None:
    """Documents that the source still has are not in the index."""
    missing, gone = case.defect("missing documents"), case.sign("gone")
    held = gone.values.get("in source")
    many = gone.bad >= max(FEW, 0.05 * gone.n)
    if not missing.bad and not held and not (held is None and gone.bad and many):
        return None
    taken_down = gone.values.get("not in source", 0.0)
    lost = gone.bad if held is None else int(held)
    look, bad = (missing, missing.bad) if missing.bad >= lost else (gone, lost)
    is_mixed = look is gone and taken_down > 0  # which of them are which is not known
    lang = "" if is_mixed else one_language(look.by)
    whose = f", all but a few of them in {lang}" if lang else ""
    return Cause(
        "lost documents",
        f"{bad} of {look.n} documents that were looked for are not in the index{whose}.",
        "Ingest them again, and look at what the last ingestion left out.",
        segment=lang,
        documents=() if is_mixed else look.ids,
        entails=DOWNSTREAM | {"leftovers"} | (set() if taken_down else {"canary rot"}),
    )


def canary_rot(case: Case) -> Cause | None:
    """Expected documents were taken down at their source: the labels are old, retrieval is well."""
    gone = case.sign("gone")
    taken_down = gone.values.get("not in source", 0 if "in source" in gone.values else gone.bad)
    if not taken_down:
        return None
    ids = gone.ids if not gone.values.get("in source") else ()
    return Cause(
        "canary rot",
        f"{taken_down:.0f} of {gone.n} expected documents no longer exist: the labels of their canaries are old.",
        "Relabel or retire these canaries; they are in quarantine until then. Retrieval itself is as it was.",
        segment=one_language(gone.by),
        documents=ids,
        families=frozenset({"canaries", "integrity", "scores"}),
        entails=frozenset({"displaced"}),
    )


def leftovers(case: Case) -> Cause | None:
    """The index holds entries whose document is gone."""
    look = case.defect("orphans")
    if not look.bad:
        return None
    return Cause(
        "leftovers",
        look.why or f"{look.bad} entries of the index belong to documents that are gone.",
        "Delete them from the index, and look at how deletions reach it.",
        segment=one_language(look.by),
        documents=look.ids,
        families=frozenset({"integrity"}),
        entails=frozenset(),
    )


# --- between service and index -------------------------------------------------------------------------------------


def _service_differs(case: Case) -> bool:
    return case.loses("stored x approximate", "service") or case.sign("service ranking").bad >= FEW


def _held_back_lately(case: Case) -> bool:
    """Whether what the service does not hand on was lost since the baseline, by half of it or more; or nobody knows.

    A score cut-off, a reranker or the permissions of its users may always have held something back.
    """
    since = case.difference("baseline", "service")
    gap = case.difference("stored x approximate", "service") or 0.0
    return since is None or since <= min(-LOSES, gap / 2)


def query_prompt(case: Case) -> Cause | None:
    """Queries are embedded in another way than is configured."""
    side = case.sign("query side")
    best = side.words.get("best", "as configured")
    if not side.bad or best == "as configured" or not _service_differs(case):
        return None
    return Cause(
        "query prompt",
        f"The service answers as if queries were embedded {best}: its answers overlap with ours by "
        f"{side.values.get(best, 0):.2f} then, and by {side.values.get('as configured', 0):.2f} otherwise.",
        "Set the prompt of queries in the service as the model wants it; the index is well.",
        queries=side.ids,
        entails=VECTORS | {"filter", "query side"},
    )


def filtered(case: Case) -> Cause | None:
    """Part of the documents is never returned."""
    left = case.sign("left out")
    if left.bad < FEW or left.values.get("order", 0.0) < ORDERED:
        return None
    if not (_service_differs(case) and _held_back_lately(case)):
        return None
    lang = left.words.get("language", "") or one_language(left.by)
    named = f", all of them {lang}" if lang else ""
    return Cause(
        "filter",
        f"The service never returns {left.bad} of {left.n} documents that belong into its answers{named}, and ranks "
        "the others as the index does.",
        "Look for a filter, a tenant or a permission that was added to the search.",
        segment=lang,
        documents=left.ids,
        entails=DOWNSTREAM | {"query side"},
    )


def query_side(case: Case) -> Cause | None:
    """The service loses what a search of its own index finds."""
    if not (case.loses("stored x approximate", "service") and _held_back_lately(case)):
        return None
    ours, theirs = case.measured("stored x approximate"), case.measured("service")
    return Cause(
        "query side",
        f"The index finds what it should ({ours}) and the service does not hand it on ({theirs}).",
        "Look at what lies between: the model of queries, rewriting, reranking, the score cut-off.",
    )


# --- the index -----------------------------------------------------------------------------------------------------


def graph_may_lose(since: float | None) -> float:
    """What approximate search may lose against exact search and be well.

    ``since``: the service's measure minus that of the baseline; None: not known.
    """
    return GRAPH_LOSES if since is None else max(LOSES, min(GRAPH_LOSES, -since / 2))


def index_search(case: Case) -> Cause | None:
    """Exact search finds what approximate search misses."""
    recall = case.defect("recall of the index")
    by = graph_may_lose(case.difference("baseline", "service"))
    if not recall.bad and not case.loses("stored x exact", "stored x approximate", by):
        return None
    exact, found = case.measured("stored x exact"), case.measured("stored x approximate")
    reached = recall.values.get("recall@10")
    said = f"recall@10 of the index is {reached:.2f}" if reached is not None else f"{exact} exactly, {found} as it is"
    return Cause(
        "index search",
        f"Comparing with every vector finds what the index misses ({said}).",
        "Raise the breadth of the search (ef, nprobe), or build the graph again.",
        queries=recall.ids if not recall.values else (),
    )


def displaced(case: Case) -> Cause | None:
    """Expected documents are as they were, and others were added that stand above them."""
    look = case.sign("displaced")
    comparable = case.sign("scores over time").words.get("relation", "equal") in ("equal", "shifted in part")
    if look.bad < max(FEW, 0.01 * look.n) or not comparable:
        return None
    twins = look.values.get("near-duplicates", 0.0) >= HALF
    what = "near-duplicates of them" if twins else "documents that were not there before"
    return Cause(
        "displaced",
        f"{look.bad} expected documents are as they were and lost their place to {what}.",
        "Look at what was added: remove duplicates, or accept them as answers and relabel the canaries.",
        segment=one_language(look.by),
        documents=look.ids,
        entails=DOWNSTREAM - {"displaced"},
    )


def score_scale(case: Case) -> Cause | None:
    """Scores are on another scale; the order is what it was."""
    look = case.sign("scores over time")
    relation = look.words.get("relation", "")
    if not case.bad("scores") or not relation.startswith("rescaled"):
        return None
    slope, shift = look.values.get("slope", 1.0), look.values.get("intercept", 0.0)
    return Cause(
        "score scale",
        f"Scores are {slope:.3g} times what they were, {shift:+.3g}; the order of documents is what it was.",
        "Set the score cut-off anew (`driftwatch threshold`), or undo the change of scale.",
        families=frozenset({"scores", "rates"}),
        entails=frozenset({"generator", "deployment", "query side"}),
    )


# --- people --------------------------------------------------------------------------------------------------------


def model_mismatch(case: Case) -> Cause | None:
    """New topics or languages that stay, are badly served, and no way of searching serves them better."""
    new = [*case.bad("queries"), *case.bad("mix")]
    served_badly = [*case.bad("rates"), *(each for each in case.bad("scores") if each.kind == "predicted_quality")]
    lasts = max((case.lasting.get(each.check, 0.0) for each in new), default=0.0)
    if not served_badly or lasts < LASTING or case.experiment is None:
        return None
    return Cause(
        "model mismatch",
        f"People have asked about new things for {lasts:.0f} days, are badly served, and every way of searching the "
        "index is equally good: the model does not fit these queries.",
        "Label some of them (`driftwatch canaries propose`); a model trained on them is the remedy.",
        segment=case.segment(new),
        queries=new[0].examples,
        families=RETRIEVAL | {"mix"},
        entails=PASSING | {"generator", "deployment"},
        grows_from=PASSING,
    )


def new_language(case: Case) -> Cause | None:
    """A language that hardly anybody used."""
    mix, lang = case.bad("mix"), case.traffic.new_language
    if not mix and not (lang and case.bad("queries")):
        return None
    how = mix[0].message if mix else f"{lang} is new among them"
    return Cause(
        "new language",
        f"People ask in other languages than they did: {how}.",
        "See whether documents and canaries cover it; if it is here to stay, move the baseline.",
        segment=lang,
        families=frozenset({"mix", "queries", "rates", "scores", "volume"}),
        entails=frozenset({"new topic", "generator", "season", "deployment", "score scale"}),
    )


def new_topic(case: Case) -> Cause | None:
    """Questions about things that nobody asked about."""
    found, empty = case.bad("queries"), case.bad("rates", ("empty",))
    well = case.asked.n and not case.bad("canaries") and not case.bad("integrity")
    if not found and not (empty and well):
        return None
    seen = found or empty
    how = "retrieval is what it was" if found else "the canaries find what they did"
    return Cause(
        "new topic",
        f"People ask about new things, and {how}: {seen[0].message}.",
        "See whether documents answer them; propose canaries from them (`driftwatch canaries propose`).",
        segment=case.segment(seen),
        queries=seen[0].examples,
        families=frozenset({"queries", "rates", "scores", "volume"}),
        entails=frozenset({"generator", "deployment", "season", "score scale"}),
    )


def bot(case: Case) -> Cause | None:
    """One caller repeats itself."""
    traffic = case.traffic
    seen = any(case.bad(family) for family in ("volume", "mix", "queries"))
    if not seen or traffic.rows_a_unit < REPEATED * traffic.usual_rows_a_unit:
        return None
    return Cause(
        "bot",
        f"Somebody repeats himself: {traffic.rows_a_unit:.1f} queries a session where {traffic.usual_rows_a_unit:.1f} "
        "are usual.",
        "Find the caller in the log and limit it; people are served as before.",
        queries=(traffic.loudest,) if traffic.loudest else (),
        families=frozenset({"volume", "mix", "queries"}),
        entails=frozenset({"new language", "new topic", "season", "deployment"}),
    )


def generator(case: Case) -> Cause | None:
    """Answers got worse, and what is retrieved did not."""
    rates = case.bad("rates", ("abstained", "negative_feedback", "no_click"))
    if not rates or case.bad("canaries") or case.bad("scores") or case.bad("rates", ("empty",)):
        return None
    return Cause(
        "generator",
        f"Retrieval is what it was, and its answers are not: {rates[0].message}.",
        "Tell the owner of the generator and its prompt.",
        segment=case.segment(rates),
        queries=rates[0].examples,
        families=frozenset({"rates"}),
    )


def deployment(case: Case) -> Cause | None:
    """Something was released just before, and nothing else explains it."""
    changed = case.asked.versions
    if not changed or not (case.bad("canaries") or case.loses("baseline", "service")):
        return None
    told = ", ".join(f"{name} {old} → {new}" for name, (old, new) in sorted(changed.items()))
    since = f"; first seen {case.asked.changed_at:%Y-%m-%d %H:%M} UTC" if case.asked.changed_at else ""
    return Cause(
        "deployment",
        f"The service was changed ({told}{since}).",
        "Roll it back, and compare the two (`driftwatch compare`).",
        entails=frozenset(),
    )


def season(case: Case) -> Cause | None:
    """Fewer people, or more, who ask the same and are served as well as ever."""
    found = case.bad("volume")
    if not found or any(case.bad(family) for family in RETRIEVAL):
        return None
    return Cause(
        "season",
        f"Only the number of queries changed: {found[0].message}.",
        "A holiday, or an outage in front of the service? Name holidays under `expected:`.",
        segment=case.segment(found),
        families=frozenset({"volume", "mix"}),
        entails=frozenset({"deployment"}),
    )


RULES: tuple[Rule, ...] = (
    outage,
    *vector_causes.RULES,
    lost_documents,
    query_prompt,
    filtered,
    query_side,
    displaced,
    canary_rot,
    index_search,
    leftovers,
    slow_service,
    score_scale,
    bot,
    model_mismatch,
    new_language,
    new_topic,
    generator,
    season,
    deployment,
)
"""In this order: what breaks everything else comes first."""
