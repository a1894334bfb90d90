"""What can be wrong in the files that canaries are read from."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from driftwatch.errors import DriftwatchError
from driftwatch.sources.canaries import Canaries
from tests.bad_inputs.registry import case

GOOD = {"query_id": "refund", "text": "How do I get my money back?", "lang": "en", "relevant": ["doc-7"]}


def said(tmp: Path, *lines: Any) -> str:
    """What reading one file with these canaries prints; a text is a line as it stands."""
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    return said_of(tmp, "\n".join(texts).encode())


def said_of(tmp: Path, content: bytes, name: str = "en.jsonl") -> str:
    """What reading one file with this content prints."""
    (tmp / "canaries").mkdir()
    (tmp / "canaries" / name).write_bytes(content)
    Canaries(path="canaries/*").load(tmp)
    return "nothing"


def said_of_beir(tmp: Path, qrels: str, **settings: Any) -> str:
    """What reading a BEIR directory with these judgements prints."""
    (tmp / "scifact" / "qrels").mkdir(parents=True)
    (tmp / "scifact" / "queries.jsonl").write_text('{"_id": "1", "text": "Zinc helps against colds."}\n')
    (tmp / "scifact" / "qrels" / "test.tsv").write_text(qrels)
    Canaries(path="scifact", **settings).load(tmp)
    return "nothing"


def said_of_trec(tmp: Path, topics: bytes) -> str:
    """What reading these TREC topics prints."""
    (tmp / "topics.txt").write_bytes(topics)
    (tmp / "qrels.txt").write_text("301 0 FT-1 1\n")
    Canaries(topics=Path("topics.txt"), qrels=Path("qrels.txt")).load(tmp)
    return "nothing"


@case("canaries", "no file matches")
def no_file(tmp: Path) -> str:
    Canaries(path="canaries/*.jsonl").load(tmp)
    return "nothing"


@case("canaries", "an empty file")
def empty_file(tmp: Path) -> str:
    return said(tmp, "")


@case("canaries", "a line that is no JSON")
def no_json(tmp: Path) -> str:
    return said(tmp, GOOD, '{"query_id": "late", "text": "Where is my order?" "relevant": ["doc-2"]}')


@case("canaries", "one JSON list instead of lines")
def one_list(tmp: Path) -> str:
    return said(tmp, [GOOD])


@case("canaries", "a misspelt key")
def misspelt_key(tmp: Path) -> str:
    return said(tmp, {"query_id": "late", "text": "Where is my order?", "relevent": ["doc-2"]})


@case("canaries", "another tool's names")
def foreign_keys(tmp: Path) -> str:
    return said(tmp, {"id": "late", "question": "Where is my order?", "relevant": [{"doc_id": "doc-2"}]})


@case("canaries", "the same key twice in one line")
def equal_keys(tmp: Path) -> str:
    return said(
        tmp, '{"query_id": "late", "text": "Where is it?", "text": "Where is my order?", "relevant": ["doc-2"]}'
    )


@case("canaries", "a question that is blank")
def blank_text(tmp: Path) -> str:
    return said(tmp, GOOD | {"text": "  "})


@case("canaries", "no document named")
def no_document(tmp: Path) -> str:
    return said(tmp, GOOD | {"relevant": []})


@case("canaries", "documents named, and nothing expected")
def both(tmp: Path) -> str:
    return said(tmp, GOOD | {"expect_empty": True})


@case("canaries", "half a relevance")
def half_relevance(tmp: Path) -> str:
    return said(tmp, GOOD | {"relevant": [{"id": "doc-7", "relevance": 0.5}]})


@case("canaries", "the same document twice")
def equal_documents(tmp: Path) -> str:
    return said(tmp, GOOD | {"relevant": ["doc-7", {"id": "doc-7", "relevance": 2}]})


@case("canaries", "the same `query_id` twice")
def equal_ids(tmp: Path) -> str:
    return said(tmp, GOOD, GOOD | {"text": "Can I return it?"})


@case("canaries", "a country instead of a language")
def country(tmp: Path) -> str:
    return said(tmp, GOOD | {"lang": "jp"})


@case("canaries", "a file in Latin-1")
def latin(tmp: Path) -> str:
    return said_of(tmp, '{"query_id": "geld", "text": "Wo bleibt meine Rückzahlung?"}'.encode("latin-1"))


@case("canaries", "a file in UTF-16, as Windows tools write it")
def utf_16(tmp: Path) -> str:
    return said_of(tmp, json.dumps(GOOD).encode("utf-16"))


@case("canaries", "a packed file that breaks off")
def torn(tmp: Path) -> str:
    lines = "".join(json.dumps(GOOD | {"query_id": f"refund-{number}"}) + "\n" for number in range(3))
    return said_of(tmp, gzip.compress(lines.encode(), mtime=0)[:-9], "en.jsonl.gz")


@case("canaries", "fifty bad lines")
def many(tmp: Path) -> str:
    text = said_or_error(tmp, ["money back?"] * 50)
    return "\n".join([*text.splitlines()[:2], "…", *text.splitlines()[-2:]])


def said_or_error(tmp: Path, lines: list[str]) -> str:
    try:
        return said(tmp, *lines)
    except DriftwatchError as error:
        return str(error)


@case("canaries", "a directory that is not in BEIR's form")
def no_beir(tmp: Path) -> str:
    (tmp / "canaries").mkdir()
    Canaries(path="canaries").load(tmp)
    return "nothing"


@case("canaries", "a split that there is not")
def no_split(tmp: Path) -> str:
    return said_of_beir(tmp, "1\td\t1\n", split="dev")


@case("canaries", "a judgement with a word for a grade")
def word_for_grade(tmp: Path) -> str:
    return said_of_beir(tmp, "query-id\tcorpus-id\tscore\n1\td\tgood\n")


@case("canaries", "judgements that contradict each other")
def contradiction(tmp: Path) -> str:
    return said_of_beir(tmp, "1\td\t1\n1\te\t1\n1\td\t0\n")


@case("canaries", "a TREC topic without a title")
def no_title(tmp: Path) -> str:
    return said_of_trec(tmp, b"<top>\n<num> Number: 301\n<desc> Description:\nCrime rings.\n</top>\n")


@case("canaries", "topics with blanks instead of tabs")
def no_tab(tmp: Path) -> str:
    return said_of_trec(tmp, b"301 International Organized Crime\n")
