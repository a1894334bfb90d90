"""The page about the fault laboratory: the table is made from the faults themselves."""

from __future__ import annotations

from tests.faults.faults import FAULTS, Fault
from tests.faults.laboratory import CANARIES_EVERY, LEARNT_DAYS, STEP
from tests.faults.material import ABSTRACTS, CANARIES, LANGUAGES, QUESTIONS, ROOT
from tests.faults.people import SESSIONS_A_DAY

PAGE = ROOT / "docs" / "fault-laboratory.md"

INTRODUCTION = f"""# The fault laboratory

A search service with real documents, a real model and a real index is watched by a real driftwatch, and broken on
purpose. What driftwatch says is compared with what was done. `python -m tests.faults` makes this page;
`python benchmarks/fault_laboratory.py` plays the faults, with
[accuracy, delays and what is taken for what](../benchmarks/results/fault_laboratory.md).

- **Documents**: XQuAD's 240 paragraphs in {", ".join(LANGUAGES)}, and {ABSTRACTS} abstracts of SciFact, embedded by
  all-MiniLM-L6-v2 with the prompts `query: ` and `passage: `.
- **Canaries**: {CANARIES} a language, nearly all of which the model answers. **Live queries**: {QUESTIONS} other
  questions a language, asked by {sum(SESSIONS_A_DAY.values()):.0f} sessions a day; hours, weekends and days differ,
  some answers are declined, and more are when the document was not found.
- **The service** listens on loopback, embeds the query as it is set up and searches its index: a FAISS file (HNSW), or
  Qdrant's engine behind its REST interface. Its log is pushed to driftwatch.
- **driftwatch** runs its shipped checks over {LEARNT_DAYS} days of baseline and one quiet day, in which nothing may
  fire; the fault follows after none to three quiet looks. Canaries are asked every {CANARIES_EVERY} hours, index
  probes and live checks run every {STEP}. Only the clock is made up.
- **Right** is a play whose incident names the cause below, the language where one is concerned and no other, documents
  or canaries that were truly affected and no other, and that stays the only incident until half a day after it opened.

Each seed has its own documents, languages, models, traffic and moment.
"""

REALISM = """
## How real they are

- Another model is MiniLM turned about at random (even seeds) or hashed words (odd seeds): both of 384 numbers.
- Lost normalisation: the lengths are drawn (log-normal, a quarter of spread), because the packaged model normalises
  inside. Qdrant's collection measures dot products: with cosine it would normalise by itself, and nothing could be
  lost.
- Qdrant's engine searches at least as wide as the list it returns, so a tiny `ef` does nothing there; its graph is
  built with a tiny `ef_construct` instead. It has no lists: where FAISS gets `nprobe` 1, its graph gets two links a
  point.
- Half of FAISS's links are cut in the file itself; Qdrant's graph is built anew with a quarter of the links,
  carelessly.
- Labels go stale as they do in practice: documents are published anew under other ids, at the source and in the index.
- The library update concerns the service's queries and driftwatch alike. It is the one fault that touches
  driftwatch.
"""


def page() -> str:
    """The whole page."""
    table = [
        "| fault | what is injected | cause to be named | what gives it away |",
        "|---|---|---|---|",
        *map(_row, FAULTS),
    ]
    return f"{INTRODUCTION}\n## {len(FAULTS)} faults\n\n" + "\n".join(table) + "\n" + REALISM


def _row(fault: Fault) -> str:
    joined = (" and " if fault.both else " or ").join(each or "none: no incident" for each in fault.causes)
    return f"| {fault.name} | {fault.injected} | {joined} | {fault.told_by} |"
