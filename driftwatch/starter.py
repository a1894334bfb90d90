"""What ``driftwatch init`` writes: a commented configuration, the shipped checks and three canaries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from driftwatch.errors import ConfigError
from driftwatch.resources import shipped

NEED_MORE, OFF = ("query-drift.yaml", "integrity.yaml"), ".off"
"""Checks that only work with an `embedder:` or an `index:`, which the starter has not; they wait under another name."""

_WATCH = """\
service: my-assistant                 # how the service is called in everything that is told about it
languages: [en]                       # BCP 47; where the log names no language, it is detected among these
false_pages: 1 per 90 days            # how many false alarms are accepted, over all checks and languages together

retriever:                            # the search under watch: how canaries are asked
  kind: http                          # or faiss, or python; `driftwatch kinds http` lists every setting
  url: http://127.0.0.1:8000/retrieve

sources:
  # questions with known answers; replace the three examples by fifty of your own
  canaries: {kind: canaries, path: canaries/*.jsonl, every: 1h}
  # what people ask, as your service logs it: one JSON object a line, at least {"ts": …, "query": …}
  live: {kind: query_log, path: queries.jsonl}
  # index: {kind: index}              # looks into the index on a timer; needs what is commented out below

baseline: 14 days                     # what normal is: learnt once, then moved by hand (`driftwatch baseline set`)
checks: checks/*.yaml                 # what is judged, how strictly, how often: read these files next
                                      # `driftwatch test` tries them on a simulated month (docs/scenarios.md)
# embedder: {model: …}                # with a model, rename checks/query-drift.yaml.off: it finds new topics
# index: {kind: qdrant, …}            # the vector store behind the search (or faiss, pgvector, chroma), and
# documents: {path: corpus/*.jsonl}   # what it should hold: driftwatch then finds out what broke; with both, rename
                                      # checks/integrity.yaml.off

notify:
  - kind: console
# - kind: slack                       # one message an incident, kept up to date in place
#   channel: "#assistant-quality"
#   token: ${SLACK_BOT_TOKEN}         # from the environment; or `token_file: /run/secrets/slack`
"""

_CANARIES = (
    {"query_id": "en-password", "text": "How do I reset my password?", "lang": "en", "relevant": ["doc-17"]},
    {"query_id": "en-refund", "text": "my order never arrived", "lang": "en", "relevant": ["doc-4", "doc-23"]},
    {"query_id": "en-nonsense", "text": "what should I feed a unicorn", "lang": "en", "expect_empty": True},
)


def write_starter(directory: Path, *, force: bool = False) -> list[Path]:
    """Write the files and return their paths; ``directory`` is made when it is missing.

    Raises:
        ConfigError: one of the files is there already (unless ``force``), or cannot be written; nothing was written
            over.
    """
    files = {directory / name: text for name, text in _files().items()}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise ConfigError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already.",
            remedy="Choose another directory, or write over them with --force.",
        )
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            remedy = "Choose a directory that you may write to."
            raise ConfigError(f"it cannot be written: {error.strerror}.", file=path, remedy=remedy) from None
    return list(files)


def _files() -> Mapping[str, str]:
    canaries = "".join(json.dumps(canary, ensure_ascii=False) + "\n" for canary in _CANARIES)
    paths = sorted(shipped("checks").glob("*.yaml"))
    checks = {f"checks/{path.name}{OFF * (path.name in NEED_MORE)}": path.read_text("utf-8") for path in paths}
    return {"driftwatch.yaml": _WATCH, "canaries/examples.jsonl": canaries, **checks}
