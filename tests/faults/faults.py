"""Everything that is broken in the laboratory, and what driftwatch has to say about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import injectors
from tests.faults.injectors import Truth
from tests.faults.laboratory import Laboratory
from tests.faults.material import NEW_LANGUAGE


@dataclass(frozen=True)
class Fault:
    """One way in which retrieval breaks, or seems to."""

    name: str
    injected: str
    """What is done, for the table."""
    causes: tuple[str, ...]
    """Any of these is right; empty text: that nothing is said."""
    told_by: str
    """What gives it away, for the table."""
    inject: Callable[[Laboratory], Truth]
    hours: int = 26
    """How long it is played."""
    both: bool = False
    """Two faults at once: every one of ``causes`` has to be named."""


STORED, SEARCH = "stored vectors against fresh ones", "approximate against exact search"

FAULTS = (
    Fault(
        "wrong model, 100 %",
        "every vector comes from another model of the same dimension",
        ("mixed vectors",),
        STORED,
        injectors.wrong_model(1.0),
    ),
    Fault(
        "wrong model, 10 %",
        "the vectors of every tenth document come from another model",
        ("mixed vectors",),
        STORED,
        injectors.wrong_model(0.1),
    ),
    Fault(
        "wrong model, 1 %",
        "the vectors of twelve documents come from another model",
        ("mixed vectors",),
        STORED,
        injectors.wrong_model(0.01),
    ),
    Fault(
        "no query prompt",
        "the service embeds queries without their prompt",
        ("query prompt",),
        "the service's scores against the similarities of bare queries",
        injectors.no_query_prompt,
    ),
    Fault(
        "no document prompt",
        "the index was built anew without the prompt of documents",
        ("document prompt",),
        STORED,
        injectors.no_document_prompt,
    ),
    Fault(
        "no normalisation",
        "the index was built anew with vectors of any length",
        ("normalisation",),
        "lengths of stored vectors",
        injectors.no_normalisation,
    ),
    Fault(
        "truncated",
        "index and service keep the first 96 to 192 of 384 numbers",
        ("truncated vectors",),
        "the dimension of the index",
        injectors.truncated,
    ),
    Fault(
        "half of the links",
        "half of the graph's links are gone",
        ("index search",),
        SEARCH,
        injectors.half_of_the_links,
    ),
    Fault(
        "tiny ef",
        "the graph is searched with `ef` of 1 (Qdrant: built with `ef_construct` of 4)",
        ("index search",),
        SEARCH,
        injectors.tiny_ef,
    ),
    Fault(
        "tiny nprobe",
        "the index was built anew as lists, of which one is searched (Qdrant: as a graph of two links a point)",
        ("index search",),
        SEARCH,
        injectors.tiny_nprobe,
    ),
    Fault(
        "coarse quantisation",
        "the index was built anew with eight bytes a vector (Qdrant: a 64th)",
        ("quantisation",),
        STORED,
        injectors.quantised,
    ),
    Fault(
        "a language is lost",
        "every document of one language is gone from the index",
        ("lost documents",),
        "source documents missing from the index",
        injectors.language_lost,
    ),
    Fault(
        "5 % are lost",
        "every twentieth document is gone from the index",
        ("lost documents",),
        "source documents missing from the index",
        injectors.documents_lost,
    ),
    Fault(
        "near-duplicates",
        "four near-duplicates each of six in ten of the canaries' documents were published",
        ("displaced",),
        "what stands above the expected documents is new",
        injectors.displaced,
    ),
    Fault(
        "stale vectors",
        "150 documents were rewritten and not embedded anew",
        ("stale vectors",),
        STORED,
        injectors.stale_vectors,
    ),
    Fault(
        "a filter by mistake",
        "a third of the documents is never shown",
        ("filter",),
        "what the service leaves out of the index's ranking",
        injectors.filtered,
    ),
    Fault(
        "another score scale",
        "scores are rescaled, the order stays",
        ("score scale",),
        "scores moved, ranks did not",
        injectors.rescaled,
    ),
    Fault(
        "library update",
        "fresh vectors move by 1 %, stored ones stay",
        ("embedder moved",),
        "pinned strings embedded anew",
        injectors.embedder_moved,
    ),
    Fault(
        "outage: timeout",
        "the search does not answer in time",
        ("outage",),
        "canaries could not be asked",
        injectors.trouble("timeout"),
    ),
    Fault(
        "outage: 500",
        "the search answers with an error",
        ("outage",),
        "canaries could not be asked",
        injectors.trouble("error"),
    ),
    Fault(
        "outage: empty",
        "the search answers nothing to everything",
        ("outage",),
        "no canary gets any document",
        injectors.trouble("empty"),
    ),
    Fault(
        "slow answers", "every answer takes 0.6 s longer", ("slow service",), "how long canaries take", injectors.slow
    ),
    Fault(
        "a new topic",
        "one session in six is about something that no document is about",
        ("new topic",),
        "queries unlike the baseline's; canaries as before",
        injectors.habit(new_topic=0.16),
        hours=48,
    ),
    Fault(
        "a new language",
        "one session in five is in Turkish, which nobody asked in before",
        ("new language",),
        "the mix of languages; canaries as before",
        injectors.habit(NEW_LANGUAGE, new_language=0.2),
        hours=48,
    ),
    Fault(
        "a bot",
        "one query again and again, 60 to 400 times an hour",
        ("", "bot"),
        "one session, one text",
        injectors.bot,
    ),
    Fault(
        "a holiday week",
        "less than half of the usual traffic",
        ("", "season"),
        "traffic only",
        injectors.habit(volume=0.42),
        hours=48,
    ),
    Fault(
        "the generator abstains",
        "one answer in five more is declined; retrieval is as it was",
        ("generator",),
        "abstentions only",
        injectors.habit(abstains=0.2),
        hours=48,
    ),
    Fault(
        "canary rot",
        "a quarter of the canaries' documents was published anew under other ids",
        ("canary rot",),
        "relevant documents gone from source and index",
        injectors.republished,
    ),
    Fault(
        "two: wrong model and tiny ef",
        "10 % from another model, and `ef` of 1",
        ("mixed vectors", "index search"),
        "both experiments",
        injectors.together(injectors.wrong_model(0.1), injectors.tiny_ef),
        both=True,
    ),
    Fault(
        "two: a language lost, scores rescaled",
        "one language's documents are gone, and scores have another scale",
        ("lost documents", "score scale"),
        "both",
        injectors.together(injectors.language_lost, injectors.rescaled),
        both=True,
    ),
    Fault(
        "two: 5 % lost, a new topic",
        "every twentieth document is gone, and one session in six is about something new",
        ("lost documents", "new topic"),
        "both",
        injectors.together(injectors.documents_lost, injectors.habit(new_topic=0.16)),
        hours=48,
        both=True,
    ),
)


def named(name: str) -> Fault:
    """The fault of that name."""
    return next(fault for fault in FAULTS if fault.name == name)
