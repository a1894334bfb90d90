"""Questions that a language model writes for documents (doc2query; Nogueira et al., 2019), kept where they find theirs.

What is sent are texts of documents and one fixed instruction. An answer is stored before its price is booked, so that
a job which was killed asks nothing twice; and nothing is asked whose worst case would pass the cap.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from driftwatch.errors import RetrainError
from driftwatch.language import primary_subtag
from driftwatch.retrain._llm import Endpoint, Reply
from driftwatch.retrain._questions import LONGEST_ANSWER, VERSION, Distinct, prompt, questions_in, sent_text
from driftwatch.retrain._removed import TakenOut
from driftwatch.retrain._spending import Ledger
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.pairs import Collected, document_of
from driftwatch.retrain.settings import Generate
from driftwatch.retrained import Pair
from driftwatch.types import UNDETERMINED, Document

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

FIRST = 10
"""Among so many documents a question must find its own, with the model in use, to be kept."""
ATTEMPTS = 5
"""Times that one document is asked for while the endpoint is busy."""
IN_A_ROW = 2
"""Documents that stay without an answer one after the other: then it is not the documents, and the work stops."""
LONGEST_WAIT = 120.0
"""Seconds; an endpoint that wants a longer rest ends the work for now."""
REFUSALS = 3
"""Documents that are refused one after the other before any is answered: then it is not the documents."""

_TOKENS = 64, 120
"""Of an answer at most: for its form, and for each question."""
_AT_ONCE = 256
_SAID_EVERY = 50

Retrieve = Callable[[Sequence[str]], list[tuple[str, ...]]]
"""Questions -> the doc_ids or passage_ids of each, best first, with the model in use."""


@dataclass(frozen=True, slots=True)
class Generated:
    """The pairs, and what they took."""

    collected: Collected
    spent: float
    """By this job so far, earlier starts counted, in the currency of the prices."""
    asked: int
    """Documents that the endpoint answered now."""
    cached: int
    """Documents that were answered before."""
    stopped: str
    """Why documents were left; empty where none was."""


def generate(
    documents: Iterable[Document],
    settings: Generate,
    cache: Path,
    retrieve: Retrieve,
    *,
    languages: Sequence[str],
    seed: int,
    transport: httpx.BaseTransport | None = None,
    ledger: Path | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Generated:
    """Ask for questions of as many documents as ``settings`` allows, drawn by ``seed``, languages in turn.

    ``languages``: documents in others are left out (those that do not say theirs are not); none named: all count.
    ``ledger``: the file that keeps what the job has spent; without it, ``spent.json`` in ``cache``.

    Raises:
        RetrainError: the endpoint takes no request like this (its address, key or model), or a file is damaged.
    """
    out = TakenOut()
    chosen = _chosen(documents, settings.documents, languages, seed, out)
    with Endpoint(settings, transport) as endpoint:
        writer = _Writer(settings, cache, Ledger(ledger or cache / "spent.json", settings), endpoint, wait, out)
        written = []
        for number, document in enumerate(chosen, 1):
            written += [(question, document) for question in writer.questions(document)]
            if not number % _SAID_EVERY:
                log.info("questions for %d of %d documents; %.2f spent", number, len(chosen), writer.ledger.spent)
    pairs = list(_kept(written, retrieve, out))
    return Generated(Collected.of(pairs, out), writer.ledger.spent, writer.asked, writer.cached, writer.stopped)


# --- which documents -----------------------------------------------------------------------------------------------


def _chosen(
    documents: Iterable[Document], most: int, languages: Sequence[str], seed: int, out: TakenOut
) -> list[Document]:
    """Documents in the order in which they are asked for: drawn in each language, and the languages in turn.

    So small languages keep everything, and work that ends early has been fair to all.
    """
    wanted = set(map(primary_subtag, languages)) | {UNDETERMINED}
    drawn: dict[str, list[tuple[int, int, Document]]] = defaultdict(list)
    for number, document in enumerate(documents):
        lang = _lang(document)
        if languages and lang not in wanted:
            out.add("documents in other languages", lang)
        elif not document.text or document.text.isspace():
            out.add("documents without text", document.doc_id)
        else:
            heapq.heappush(drawn[lang], (-_lot(document.doc_id, seed), -number, document))
            if len(drawn[lang]) > most:
                heapq.heappop(drawn[lang])
    columns = [[entry[2] for entry in sorted(drawn[lang], reverse=True)] for lang in sorted(drawn)]
    in_turn = [document for turn in zip_longest(*columns) for document in turn if document is not None]
    return in_turn[:most]


def _lot(doc_id: str, seed: int) -> int:
    digest = blake2b(f"{seed}\x1f{doc_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _lang(document: Document) -> str:
    try:
        return primary_subtag(document.lang) if document.lang else UNDETERMINED
    except ValueError:
        return UNDETERMINED


# --- asking --------------------------------------------------------------------------------------------------------


class _Writer:
    """Questions of one document after the other: from the cache, or from the endpoint while there is money for it."""

    def __init__(
        self,
        settings: Generate,
        cache: Path,
        ledger: Ledger,
        endpoint: Endpoint,
        wait: Callable[[float], object],
        out: TakenOut,
    ) -> None:
        self.ledger = ledger
        self.asked = self.cached = 0
        self.stopped = ""
        self._settings = settings
        self._cache = cache
        self._endpoint = endpoint
        self._wait = wait
        self._out = out
        self._refused = self._unanswered = 0

    def questions(self, document: Document) -> list[str]:
        """What was or is written for it; nothing where the work has stopped."""
        text = sent_text(document.text)
        file = self._file(text)
        answer = _remembered(file)
        if answer is not None:
            self.cached += 1
        elif self.stopped or (answer := self._ask(file, text, document.doc_id)) is None:
            return []
        found = questions_in(answer, self._settings.per_document)
        if not found:
            self._out.add("answers without a question", document.doc_id)
        return found or []

    def _file(self, text: str) -> Path:
        about = [self._settings.model, VERSION, self._settings.per_document, text]
        name = sha256(orjson.dumps(about)).hexdigest()
        return self._cache / name[:2] / f"{name}.json"

    def _ask(self, file: Path, text: str, doc_id: str) -> str | None:
        """What the model writes, kept; None where it writes nothing."""
        instruction, message = prompt(text, self._settings.per_document)
        tokens = _TOKENS[0] + _TOKENS[1] * self._settings.per_document
        worst = self.ledger.worst(instruction + message, tokens)
        for attempt in range(ATTEMPTS):
            if not self.ledger.reserve(worst):
                self.stopped = self._too_dear(worst)
                return None
            try:
                reply = self._endpoint.ask(instruction, message, tokens)
            except RetrainError:
                self.ledger.settle(0.0)
                raise
            if reply.state == "answered":
                write_json(file, {"version": 1, "model": self._settings.model, "answer": reply.text[:LONGEST_ANSWER]})
            self.ledger.settle(self._cost(reply, worst))
            if reply.state != "busy":
                return self._heard(reply, doc_id)
            if self._rests_too_long(reply, attempt):
                return None
        self._unanswered += 1
        self._out.add("documents that the language model did not answer", doc_id)
        if self._unanswered == IN_A_ROW:
            self.stopped = f"{reply.why} So it was for {IN_A_ROW} documents in a row, {ATTEMPTS} times each."
        return None

    def _cost(self, reply: Reply, worst: float) -> float:
        """What nobody told us is taken for the worst."""
        if reply.usage is not None:
            return self.ledger.price(*reply.usage)
        return 0.0 if reply.free else worst

    def _heard(self, reply: Reply, doc_id: str) -> str | None:
        self._unanswered = 0
        if reply.state == "answered":
            self.asked += 1
            return reply.text
        self._refused += 1
        self._out.add("documents that the language model refused", doc_id)
        if self._refused == REFUSALS and not self.asked:
            raise RetrainError(reply.why, remedy="It refuses every document: check 'model' of 'generate'.")
        return None

    def _rests_too_long(self, reply: Reply, attempt: int) -> bool:
        """Wait before the next attempt, or stop where the endpoint wants a longer rest than that is worth."""
        rest = 2.0**attempt if reply.wait is None else reply.wait
        if rest > LONGEST_WAIT:
            self.stopped = f"{reply.why} It asks to come again in {rest:.0f} seconds."
        elif attempt + 1 < ATTEMPTS:
            self._wait(rest)
        return bool(self.stopped)

    def _too_dear(self, worst: float) -> str:
        spent, cap = self.ledger.spent, self._settings.spend
        return f"{spent:.4g} of 'spend: {cap:g}' are spent, and the next document could cost {worst:.2g}."


def _remembered(file: Path) -> str | None:
    """The answer that is kept; None where there is none that can be read."""
    try:
        answer = orjson.loads(file.read_bytes())["answer"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return answer if isinstance(answer, str) else None


# --- which questions -----------------------------------------------------------------------------------------------


def _kept(written: Sequence[tuple[str, Document]], retrieve: Retrieve, out: TakenOut) -> Iterator[Pair]:
    """Those that find their document again (round trip; Alberti et al., 2019), each once and none nearly twice."""
    distinct = Distinct()
    for start in range(0, len(written), _AT_ONCE):
        some = written[start : start + _AT_ONCE]
        rankings = retrieve([question for question, _ in some])
        if len(rankings) != len(some):
            raise RetrainError(f"{len(rankings)} answers came back for {len(some)} questions.", remedy="Try again.")
        for (question, document), ranking in zip(some, rankings, strict=True):
            if all(document_of(found, {document.doc_id}) is None for found in ranking[:FIRST]):
                out.add("questions that do not find their document", question)
            elif not distinct.add(question):
                out.add("questions that repeat another", question)
            else:
                yield Pair(question, document.doc_id, _lang(document), origin="generated")
