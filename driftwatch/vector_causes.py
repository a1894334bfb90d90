"""What most likely broke where stored vectors are not what they should be: rules that ``diagnose`` puts in order."""

from __future__ import annotations

from driftwatch.case import NOTHING, Case, one_language
from driftwatch.causes import VECTORS, Cause, Rule
from driftwatch.types import Look

MOST = 0.5
"""From this share of the vectors on, the index as a whole is not what it was."""

MADE_OTHERWISE = {
    "truncated": (
        "truncated vectors",
        "hold only the first numbers of a vector",
        "Set the same dimension where documents and queries are embedded, and build the index again.",
    ),
    "not normalised": (
        "normalisation",
        "point as they should and are not of length 1",
        "Normalise vectors before they are stored, as before, and build the index again.",
    ),
    "no document prompt": (
        "document prompt",
        "are those of the text embedded without the document prompt",
        "Embed documents with the prompt that the model wants, and build the index again.",
    ),
    "query prompt": (
        "document prompt",
        "are those of the text embedded as a query",
        "Embed documents with the prompt that the model wants, and build the index again.",
    ),
    "no vector": (
        "empty vectors",
        "are nothing but zeros, or no numbers at all",
        "Embed these documents again, and look at what the embedder answered when they were ingested.",
    ),
    "other model": (
        "mixed vectors",
        "were not made by the model that serves queries",
        "Embed these documents again with the model that serves queries; let no two models fill one index.",
    ),
}
"""What a probe calls it -> the cause, what is wrong with the vectors, what to do."""


def vectors_made_otherwise(case: Case) -> Cause | None:
    """Stored vectors are not what the embedder makes of their text."""
    look = case.vectors(*MADE_OTHERWISE)
    if not look.bad:
        return None
    if case.defect("probe strings").bad and look.bad >= MOST * look.n:
        return None  # the embedder moved, and with it every fresh vector: nothing is wrong with the stored ones
    name, what, action = MADE_OTHERWISE[look.words["kind"]]
    return of_vectors(name, look, what, action)


def stale_vectors(case: Case) -> Cause | None:
    """Vectors, or whole entries, of what a document said before."""
    action = "Embed these documents again, and look at why a changed text did not reach the index."
    look = case.vectors("other text")
    if look.bad:
        return of_vectors("stale vectors", look, "are those of another text than the document's", action)
    texts = case.defect("texts")
    if not texts.bad:
        return None
    sentence = f"{texts.bad} of {texts.n} entries hold another text than their document."
    return Cause("stale vectors", sentence, action, one_language(texts.by), texts.ids, entails=VECTORS)


def quantisation(case: Case) -> Cause | None:
    """Vectors are stored, or compared, too coarsely."""
    settings = {name.lower(): value.lower() for name, value in case.settings().items()}
    coarser = [value for name, value in settings.items() if name == "compressed" or "quanti" in name]
    compressed = any(value not in ("", "no", "none", "off", "false", "null") for value in coarser)
    coarse = case.vectors("compressed", "moved") if compressed and not case.defect("probe strings").bad else NOTHING
    loses = case.loses("fresh x exact", "stored x exact") or case.loses("stored x exact", "stored x approximate", 0.05)
    if not coarse.bad and not (compressed and (loses or case.defect("recall of the index").bad)):
        return None
    fresh, stored = case.measured("fresh x exact"), case.measured("stored x approximate")
    return Cause(
        "quantisation",
        f"The index keeps its vectors too coarsely: with fresh ones the canaries reach {fresh}, with its own {stored}.",
        "Use more bytes a vector, or compare the best candidates again with whole vectors (rescoring).",
        entails=VECTORS | {"query side", "filter", "index search"},
    )


def embedder_moved(case: Case) -> Cause | None:
    """The same text no longer gives the same vector."""
    strings, stored = case.defect("probe strings"), case.vectors("moved")
    if not strings.bad and not stored.bad:
        return None
    said = strings.why if strings.bad else f"{stored.bad} of {stored.n} stored vectors are a little off fresh ones."
    return Cause(
        "embedder moved",
        said or "The embedder gives other vectors than it did for the same texts.",
        "Compare the versions of model and library with those that the index was built with; pin them, or re-embed.",
        entails=VECTORS | {"query side", "filter"},
    )


def of_vectors(name: str, look: Look, what: str, action: str) -> Cause:
    """The cause ``name`` where ``look`` saw stored vectors that are off; ``what`` is wrong with them."""
    lang = one_language(look.by)
    share = f"{look.bad} of {look.n} stored vectors that were looked at{f', nearly all in {lang},' if lang else ''}"
    most = {"index search"} if look.bad >= MOST * look.n else set()  # its graph is as good as its vectors
    entails = VECTORS | {"query side", "filter"} | most
    return Cause(name, f"{share} {what}.", action, lang, look.ids, entails=entails)


RULES: tuple[Rule, ...] = (vectors_made_otherwise, stale_vectors, quantisation, embedder_moved)
"""In this order."""
