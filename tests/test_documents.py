"""What an index should hold, read from JSON lines: every document by its id, and no text in memory."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from driftwatch.documents import Corpus, Documents
from driftwatch.errors import SourceError

SECOND = 1_000_000_000


def write(path: Path, *rows: Any, at: int = 0) -> Path:
    """One row a line; ``at``: seconds by which its time of change is moved on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8")
    if at:
        changed = path.stat().st_mtime_ns + at * SECOND
        os.utime(path, ns=(changed, changed))
    return path


def row(doc_id: Any, text: str = "a text", **more: Any) -> dict[str, Any]:
    return {"id": doc_id, "text": text, **more}


def corpus_of(folder: Path, *rows: Any, **settings: Any) -> Corpus:
    write(folder / "corpus.jsonl", *rows)
    return Documents(**({"path": "corpus.jsonl"} | settings)).corpus(folder)


def text_of(folder: Path, line: dict[str, Any], **settings: Any) -> str:
    return corpus_of(folder, line, **settings).get(["a"])["a"].text


# --- what a line holds ---------------------------------------------------------------------------------------------


def test_title_and_text_are_joined_and_an_absent_or_empty_one_leaves_no_space(tmp_path: Path) -> None:
    assert text_of(tmp_path, {"id": "a", "title": "Rechnung", "text": "liegt bei."}) == "Rechnung liegt bei."
    assert text_of(tmp_path, {"id": "a", "text": "liegt bei."}) == "liegt bei."
    assert text_of(tmp_path, {"id": "a", "title": "", "text": "liegt bei."}) == "liegt bei."
    assert text_of(tmp_path, {"id": "a", "title": None, "text": "liegt bei."}) == "liegt bei."
    assert text_of(tmp_path, {"id": "a"}) == ""


def test_the_fields_of_the_text_and_what_joins_them_are_settings(tmp_path: Path) -> None:
    line = {"id": "a", "title": "Rechnung", "body": "liegt bei.", "text": "not this"}
    assert text_of(tmp_path, line, text="body") == "liegt bei."
    assert text_of(tmp_path, line, text=["title", "body"], join="\n\n") == "Rechnung\n\nliegt bei."


def test_the_id_of_a_benchmark_corpus_is_found_without_being_named(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, {"_id": "MED-10", "title": "Statins", "text": "and cancer"})
    assert corpus.ids == ("MED-10",)
    assert corpus.get(["MED-10"])["MED-10"].text == "Statins and cancer"
    assert corpus_of(tmp_path, {"key": 7, "text": "x", "_id": "other"}, id="key").ids == ("7",)


def test_languages_are_known_where_the_source_names_them(tmp_path: Path) -> None:
    lines = [row("a", lang="de"), row("b"), row("c", lang=3), row("d", language="fr")]
    corpus = corpus_of(tmp_path, *lines)
    assert [corpus.lang(each) for each in ("a", "b", "c", "d", "nobody")] == ["de", "", "", "", ""]
    assert corpus_of(tmp_path, *lines, lang="language").lang("d") == "fr"
    assert corpus.get(["a"])["a"].lang == "de"


def test_a_digest_changes_with_the_text_and_with_nothing_else(tmp_path: Path) -> None:
    plain = corpus_of(tmp_path, row("a", "one"), row("b", "two")).digest("a")
    assert corpus_of(tmp_path, row("z"), row("a", "one", lang="de", price=3)).digest("a") == plain
    assert corpus_of(tmp_path, row("a", "one.")).digest("a") != plain
    assert corpus_of(tmp_path, row("a", "one", title="A")).digest("a") != plain


@pytest.mark.parametrize(
    "doc_id",
    ["../../etc/passwd", "'; DROP TABLE findings;--", "\x00\x1b[31m", "\u202egnp", "a\nb", " ", "é\u0301", "x" * 9000],
)
def test_an_id_may_hold_anything(tmp_path: Path, doc_id: str) -> None:
    corpus = corpus_of(tmp_path, row("before"), row(doc_id, "hostile"), row("after"))
    assert doc_id in corpus
    assert corpus.get([doc_id])[doc_id].text == "hostile"


def test_a_number_and_its_digits_are_the_same_id(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, row(7, "number"), row(-1), row(10**18))
    assert corpus.ids == ("7", "-1", "1000000000000000000")
    assert corpus.get(["7"])["7"].text == "number"


# --- the files -----------------------------------------------------------------------------------------------------


def test_files_and_patterns_are_read_together_in_order_and_each_once(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", row("b"))
    write(tmp_path / "parts" / "2.jsonl", row("p2"))
    write(tmp_path / "parts" / "1.jsonl", row("p1"))
    write(tmp_path / "parts" / "deep" / "3.jsonl", row("p3"))
    given = Documents(path=("b.jsonl", "parts/*.jsonl", "parts/1.jsonl", str(tmp_path / "parts/deep/3.jsonl")))
    assert given.corpus(tmp_path).ids == ("b", "p1", "p2", "p3")
    assert Documents(path="parts/**").corpus(tmp_path).ids == ("p1", "p2", "p3"), "folders are no documents"


def test_a_folder_with_the_signs_of_a_pattern_in_its_name_is_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "[v1] docs" / "corpus.jsonl", row("a"))
    assert Documents(path="corpus.jsonl").corpus(tmp_path / "[v1] docs").ids == ("a",)


def test_of_an_id_that_comes_twice_the_last_line_counts(tmp_path: Path) -> None:
    write(tmp_path / "2.jsonl", row("a", "newest", lang="de"))
    write(tmp_path / "1.jsonl", row("a", "oldest"), row("b"), row("a", "old"))
    corpus = Documents(path="*.jsonl").corpus(tmp_path)
    assert (len(corpus), corpus.ids) == (2, ("a", "b"))
    assert corpus.get(["a"])["a"].text == "newest"
    assert corpus.lang("a") == "de"
    other_way = Documents(path=("2.jsonl", "1.jsonl")).corpus(tmp_path)
    assert other_way.get(["a"])["a"].text == "old"
    assert other_way.digest("a") != corpus.digest("a")


def test_documents_are_given_in_any_order_and_unknown_ones_left_out(tmp_path: Path) -> None:
    write(tmp_path / "1.jsonl", *(row(f"a{n}", f"text a{n}") for n in range(20)))
    write(tmp_path / "2.jsonl", *(row(f"b{n}", f"text b{n}") for n in range(20)))
    corpus = Documents(path="*.jsonl").corpus(tmp_path)
    wanted = ["b19", "a0", "nobody", "b0", "a19", "a7", "a7"]
    found = corpus.get(wanted)
    assert {each: found[each].text for each in found} == {
        each: f"text {each}" for each in ("b19", "a0", "b0", "a19", "a7")
    }
    assert corpus.get([]) == {}
    assert "nobody" not in corpus


def test_line_ends_empty_lines_and_a_last_line_without_an_end_are_as_people_write_them(tmp_path: Path) -> None:
    content = b'\n{"id": "a", "text": "\xc3\xa4"}\r\n   \r\n\n{"id": "b", "text": "two"}'
    (tmp_path / "corpus.jsonl").write_bytes(content)
    corpus = Documents(path="corpus.jsonl").corpus(tmp_path)
    assert {each: found.text for each, found in corpus.get(["b", "a"]).items()} == {"a": "ä", "b": "two"}


def test_the_mark_that_some_editors_put_first_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n')
    found = Documents(path="corpus.jsonl").corpus(tmp_path).get(["a", "b"])
    assert [found["a"].text, found["b"].text] == ["one", "two"]


def test_what_no_document_is_called_is_found_without_keeping_the_documents(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", *(row(f"doc-{number}", "text") for number in range(20_000)))
    documents = Documents(path="corpus.jsonl")
    tracemalloc.start()
    assert documents.lacking(tmp_path, ["doc-7", "nobody", "doc-19999"]) == {"nobody"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


# --- when it is read -----------------------------------------------------------------------------------------------


def test_the_corpus_is_read_again_when_a_file_changed_and_not_otherwise(tmp_path: Path) -> None:
    settings = Documents(path="*.jsonl")
    write(tmp_path / "1.jsonl", row("a", "one"))
    first = settings.corpus(tmp_path)
    assert settings.corpus(tmp_path) is first
    write(tmp_path / "1.jsonl", row("a", "two"), at=5)  # as long as before
    second = settings.corpus(tmp_path)
    assert second.get(["a"])["a"].text == "two"
    assert second.digest("a") != first.digest("a")
    write(tmp_path / "2.jsonl", row("b"))
    third = settings.corpus(tmp_path)
    assert third.ids == ("a", "b")
    (tmp_path / "2.jsonl").unlink()
    assert settings.corpus(tmp_path).ids == ("a",)


@pytest.mark.parametrize(
    "then",
    [
        [row("x", "as long"), row("b")],
        [row("a", "as lond"), row("b")],
        [row("b")],
        [],
        ["not a document"],
    ],
)
def test_a_file_that_changed_since_it_was_read_gives_no_other_text(tmp_path: Path, then: Iterable[Any]) -> None:
    corpus = corpus_of(tmp_path, row("a", "as long"), row("b"))
    write(tmp_path / "corpus.jsonl", *then)
    with pytest.raises(SourceError, match=r"corpus\.jsonl: changed while it was read.*Try again"):
        corpus.get(["a"])


def test_a_file_that_went_away_since_it_was_read_is_a_sentence(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, row("a"))
    (tmp_path / "corpus.jsonl").unlink()
    with pytest.raises(SourceError, match="changed while it was read"):
        corpus.get(["a"])
    assert corpus.get(["nobody"]) == {}


# --- what cannot be read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{broken", "not a line of JSON.*one object a line"),
        (b'{"id": "\xff", "text": "x"}', "not a line of JSON"),
        (b'{"id": "\\ud800", "text": "x"}', "not a line of JSON"),
        (b'{"id": NaN}', "not a line of JSON"),
        (b"[" * 5000, "not a line of JSON"),
        (b'["a", "text"]', "no document id in 'id'.*documents: id"),
        (b'{"doc": "a", "text": "x"}', "no document id"),
        (b'{"id": "", "text": "x"}', "no document id"),
        (b'{"id": null, "text": "x"}', "no document id"),
        (b'{"id": true, "text": "x"}', "no document id"),
        (b'{"id": 1.5, "text": "x"}', "no document id"),
        (b'{"id": ["a"], "text": "x"}', "no document id"),
        (b'"a"', "no document id"),
    ],
)
def test_a_bad_line_is_named_with_file_line_and_remedy(tmp_path: Path, line: bytes, said: str) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b'{"id": "a", "text": "x"}\n\n' + line + b"\n")
    with pytest.raises(SourceError, match=rf"(?s)corpus\.jsonl:3: .*{said}"):
        Documents(path="corpus.jsonl").corpus(tmp_path)


def test_a_missing_file_is_named_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", row("a"))
    for path in ("gone.jsonl", "parts/*.jsonl", ""):
        with pytest.raises(SourceError, match=r"there is no such file.*'path' of 'documents'"):
            Documents(path=("corpus.jsonl", path)).corpus(tmp_path)


def test_a_file_that_leads_nowhere_or_may_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").symlink_to(tmp_path / "gone.jsonl")
    with pytest.raises(SourceError, match=r"corpus\.jsonl: No such file or directory.*'path' of 'documents'"):
        Documents(path="*.jsonl").corpus(tmp_path)
    closed = write(tmp_path / "closed.txt", row("a"))
    closed.chmod(0)
    if os.geteuid():
        with pytest.raises(SourceError, match="Permission denied"):
            Documents(path="closed.txt").corpus(tmp_path)


def test_a_broken_file_does_not_cost_the_corpus_that_was_read_before(tmp_path: Path) -> None:
    settings = Documents(path="corpus.jsonl")
    write(tmp_path / "corpus.jsonl", row("a"))
    settings.corpus(tmp_path)
    (tmp_path / "corpus.jsonl").write_text("{half a li")
    with pytest.raises(SourceError):
        settings.corpus(tmp_path)
    write(tmp_path / "corpus.jsonl", row("a"), row("b"))
    assert settings.corpus(tmp_path).ids == ("a", "b")


# --- memory --------------------------------------------------------------------------------------------------------


def test_texts_are_not_kept_in_memory(tmp_path: Path) -> None:
    count, text = 20_000, "a sentence that everybody has read before. " * 25
    with (tmp_path / "corpus.jsonl").open("w") as file:
        file.writelines(f'{{"id": "d{n}", "text": "{text}", "lang": "de"}}\n' for n in range(count))
    settings = Documents(path="corpus.jsonl")
    tracemalloc.start()
    try:
        corpus = settings.corpus(tmp_path)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(corpus) == count
    assert kept < 400 * count, f"{kept / count:.0f} bytes a document"
    assert most < kept + 3_000_000, "more than a few lines were held while reading"
