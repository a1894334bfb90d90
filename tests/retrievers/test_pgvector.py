"""The kind `pgvector` against a real server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import numpy as np
import psycopg
import pytest
from psycopg import sql
from pydantic import ValidationError

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import _pgvector
from driftwatch.retrievers._pgvector_exact import FEW
from driftwatch.retrievers.pgvector import Pgvector
from driftwatch.types import Query
from tests.fakes.vectors import HashEmbedder, best_documents, seeded_entries, seeded_queries

pytestmark = pytest.mark.postgres

ENTRIES = seeded_entries()
QUERIES = seeded_queries()
NAMES = {"id_column": "id", "doc_column": "doc", "text_column": "body", "lang_column": "lang"}


def sent(vector):
    return "[" + ",".join(str(number) for number in vector.tolist()) + "]"


class Database:
    """A table of the tests."""

    def __init__(self, url):
        self.url = url

    def run(self, statement, rows=None):
        with psycopg.connect(self.url.replace("+psycopg", "")) as connection:
            if rows is not None:
                connection.cursor().executemany(statement, rows)
            else:
                connection.execute(statement)

    def fill(self, entries=ENTRIES, table="docs", vector_type="vector(16)"):
        self.run(f"CREATE TABLE {table} (id int PRIMARY KEY, doc text, body text, lang text, embedding {vector_type})")
        rows = [(each.number, each.doc_id, each.text, each.lang, sent(each.vector)) for each in entries]
        self.run(f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s)", rows)
        self.run(f"ANALYZE {table}")

    def retriever(self, **settings):
        return Pgvector(**{"kind": "pgvector", "url": self.url, "table": "docs", **NAMES, **settings})


@pytest.fixture
def database(pgvector_url):
    return Database(pgvector_url)


@pytest.fixture
def docs(database):
    database.fill()
    return database


@pytest.fixture(scope="module")
def many():
    """Enough rows for the planner to prefer an index."""
    rng = np.random.default_rng(3)
    return [(place, sent(row)) for place, row in enumerate(rng.normal(size=(2000, 16)).astype(np.float32))]


@pytest.fixture
def indexed(database, many):
    database.run("CREATE TABLE docs (id int PRIMARY KEY, embedding vector(16))")
    database.run("INSERT INTO docs VALUES (%s, %s)", many)
    database.run(
        "CREATE INDEX nearest ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 24)"
    )
    database.run("ANALYZE docs")
    return database


def plain(database, **settings):
    return database.retriever(doc_column=None, text_column=None, lang_column=None, **settings)


@contextmanager
def reader_of(retriever):
    with retriever._reading() as reader:
        yield reader


def plan(reader, limit):
    statement = sql.SQL("EXPLAIN (FORMAT JSON) {}").format(reader.nearest(limit))
    row = reader.connection.execute(statement, {**reader.table.arguments, "vector": sent(QUERIES[0])}).fetchone()
    return json.dumps(row[0])


def as_reader(database, url):
    """The address for a user who may read `docs` and nothing else."""
    schema = url.rpartition("%3D")[2].partition(",")[0]
    database.run("DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD 'read'; EXCEPTION WHEN duplicate_object THEN END $$")
    database.run(f"GRANT USAGE ON SCHEMA {schema} TO reader")
    database.run("GRANT SELECT ON docs TO reader")
    return url.replace("driftwatch:correct%20horse", "reader:read")


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_both_searches_agree_with_plain_arithmetic(docs, metric):
    retriever = docs.retriever(metric=metric, score_kind="distance" if metric == "euclidean" else "similarity")
    wanted = best_documents(ENTRIES, QUERIES, 15, metric)
    for exact in (False, True):
        found = retriever.search_vectors(QUERIES, 15, exact=exact)
        assert [[hit.doc_id for hit in hits] for hits in found] == [[doc for doc, _ in each] for each in wanted]
        scores = [[hit.score for hit in hits] for hits in found]
        np.testing.assert_allclose(scores, [[score for _, score in each] for each in wanted], atol=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_many_queries_are_compared_here_as_the_server_would(docs, metric):
    docs.run("UPDATE docs SET embedding = %s WHERE doc = 'doc-007'", [(sent(np.zeros(16)),)])
    retriever = docs.retriever(metric=metric, score_kind="distance" if metric == "euclidean" else "similarity")
    queries = seeded_queries(FEW + 5)
    together = retriever.search_vectors(queries, 250, exact=True)
    apart = retriever.search_vectors(queries[:FEW], 250, exact=True)
    apart += retriever.search_vectors(queries[FEW:], 250, exact=True)
    assert [len(hits) for hits in together] == [199 if metric == "cosine" else 200] * len(queries)
    for here, there in zip(together, apart, strict=True):
        assert {hit.doc_id for hit in here} == {hit.doc_id for hit in there}
        np.testing.assert_allclose([hit.score for hit in here], [hit.score for hit in there], atol=1e-3)


def test_vectors_of_several_lengths_are_said_by_their_lengths(docs):
    docs.run("ALTER TABLE docs ALTER COLUMN embedding TYPE vector")
    docs.run("UPDATE docs SET embedding = '[1,2]' WHERE id = 3")
    with pytest.raises(RetrieverError, match="docs holds vectors of different lengths: 2 and 16 numbers"):
        docs.retriever().search_vectors(seeded_queries(FEW + 1), 5, exact=True)


def test_the_approximate_search_uses_the_graph_and_the_exact_one_every_row(indexed):
    with reader_of(plain(indexed)) as reader:
        assert '"Index Name": "nearest"' in plan(reader, 10)
        reader.compare_with_every_row()
        exactly = plan(reader, 10)
    assert '"Seq Scan"' in exactly
    assert "nearest" not in exactly


def test_exact_search_compares_every_row_also_where_the_server_is_told_to_prefer_indexes(indexed):
    hopeful = plain(Database(f"{indexed.url}%20-c%20enable_seqscan%3Doff"))
    with reader_of(hopeful) as reader:
        reader.compare_with_every_row()
        assert "nearest" not in plan(reader, 10)
    assert hopeful.search_vectors(QUERIES, 10, exact=True) == plain(indexed).search_vectors(QUERIES, 10, exact=True)


def test_nothing_is_prepared_that_a_pooler_would_keep(indexed):
    with reader_of(plain(indexed)) as reader:
        list(reader.search(seeded_queries(12), 5, exact=False, ef_search=None, probes=None))
        assert reader.connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_a_connection_notices_that_its_server_is_gone(indexed):
    with reader_of(plain(indexed, timeout="7s")) as reader:
        said = reader.connection.info.get_parameters()
    assert (said["keepalives_idle"], said["tcp_user_timeout"]) == ("10", "7000")


def test_the_two_searches_differ_where_the_graph_is_searched_too_narrowly(indexed):
    narrow = plain(indexed, ef_search=1)
    found = narrow.search_vectors(QUERIES, 10)
    assert max(len(hits) for hits in found) < 10  # a search never finds more than ef_search
    assert [len(hits) for hits in narrow.search_vectors(QUERIES, 10, exact=True)] == [10] * len(QUERIES)


def test_a_search_for_more_than_the_server_looks_at_looks_at_more(indexed):
    assert [len(hits) for hits in plain(indexed).search_vectors(QUERIES, 100)] == [100] * len(QUERIES)
    assert max(len(hits) for hits in plain(indexed, ef_search=40).search_vectors(QUERIES, 100)) <= 40


def test_facts_name_the_index_and_how_it_was_built(indexed):
    facts = plain(indexed).facts()
    assert (facts.count, facts.dimension, facts.metric) == (2000, 16, "cosine")
    assert facts.settings == {
        "kind": "hnsw",
        "type": "vector",
        "index": "nearest",
        "m": "8",
        "ef_construction": "24",
        "ef_search": "40",
        "pgvector": facts.settings["pgvector"],
    }


def test_an_inverted_file_says_its_lists_and_probes(indexed):
    indexed.run("DROP INDEX nearest")
    indexed.run("CREATE INDEX cells ON docs USING ivfflat (embedding vector_cosine_ops) WITH (lists = 20)")
    settings = plain(indexed, probes=3).facts().settings
    assert (settings["kind"], settings["lists"], settings["probes"]) == ("ivfflat", "20", "3")
    assert plain(indexed).facts().settings["probes"] == "1"
    few, all_cells = (plain(indexed, probes=each).search_vectors(QUERIES, 200) for each in (1, 20))
    assert sum(map(len, few)) < sum(map(len, all_cells))


def test_an_index_for_another_metric_is_named_and_counts_as_none(indexed):
    retriever = plain(indexed, metric="dot")
    settings = retriever.facts().settings
    assert settings["kind"] == "none"
    assert settings["other indexes"] == "nearest (hnsw for cosine)"
    assert "no index for dot; of no use for this metric: nearest (hnsw for cosine)" in retriever.reach()


def test_an_index_whose_building_was_broken_off_counts_as_none(indexed):
    indexed.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'nearest'::regclass")
    settings = plain(indexed).facts().settings
    assert settings["kind"] == "none"
    assert settings["other indexes"] == "nearest (hnsw for cosine, invalid)"


def test_an_index_on_half_vectors_is_used(database, many):
    database.run("CREATE TABLE docs (id int PRIMARY KEY, embedding halfvec(16))")
    database.run("INSERT INTO docs VALUES (%s, %s)", many)
    database.run("CREATE INDEX nearest ON docs USING hnsw (embedding halfvec_l2_ops)")
    database.run("ANALYZE docs")
    retriever = plain(database, metric="euclidean", score_kind="distance")
    with reader_of(retriever) as reader:
        assert '"Index Name": "nearest"' in plan(reader, 10)
    facts = retriever.facts()
    assert (facts.dimension, facts.settings["kind"], facts.settings["type"]) == (16, "hnsw", "halfvec")
    (stored,) = retriever.stored(["7"]).values()
    np.testing.assert_allclose(stored.vector, json.loads(many[7][1]), rtol=1e-3)


def test_a_document_with_many_rows_is_named_once_and_hides_no_other(database):
    crowd = [replace(ENTRIES[0], number=1000 + place) for place in range(100)]
    database.fill([*ENTRIES, *crowd])
    database.run("CREATE INDEX ON docs USING hnsw (embedding vector_cosine_ops)")
    itself = ENTRIES[0].vector[None, :]
    wanted = [doc for doc, _ in best_documents(ENTRIES, itself, 10, "cosine")[0]]
    for exact in (False, True):
        (hits,) = database.retriever().search_vectors(itself, 10, exact=exact)
        assert [hit.doc_id for hit in hits] == wanted


def test_a_few_documents_with_all_the_rows_cost_one_statement(database, monkeypatch):
    rows = [replace(each, doc_id=f"doc-{each.number % 3}") for each in ENTRIES]
    database.fill(rows)
    wanted = best_documents(rows, QUERIES[:2], 3, "cosine")
    retriever = database.retriever()
    with reader_of(retriever) as reader:
        sent = []
        fetch = type(reader).fetch
        monkeypatch.setattr(type(reader), "fetch", lambda self, *words: sent.append(words) or fetch(self, *words))
        found = list(reader.search(QUERIES[:2], 15, exact=True, ef_search=None, probes=None))
    assert [[hit.doc_id for hit in hits] for hits in found] == [[doc for doc, _ in each] for each in wanted]
    assert len(sent) == 2
    monkeypatch.setattr(_pgvector, "MOST_ENTRIES", 60)
    sent.clear()
    assert retriever.search_vectors(QUERIES[:2], 15) == found
    assert len(sent) == 2 * 3  # 15, 30, 60 rows


def test_a_row_that_names_no_document_is_one_of_its_own(docs):
    docs.run("UPDATE docs SET doc = NULL WHERE id IN (3, 4)")
    retriever = docs.retriever()
    listed = dict(entry for block in retriever.entries() for entry in block)
    assert (listed["3"], listed["4"]) == ("3", "4")
    assert retriever.missing(["3", "4", "5", "doc-005"]) == {"5"}
    assert retriever.stored(["3"])["3"].doc_id == "3"
    for many in (False, True):
        for exact in (False, True):
            queries = np.stack([ENTRIES[2].vector] * (FEW + 1 if many else 1))
            found = retriever.search_vectors(queries, 250, exact=exact)
            assert found[0][0].doc_id == "3"
            assert {"3", "4"} < {hit.doc_id for hit in found[0]}


def test_rows_without_a_vector_are_not_held_and_counted_apart(docs):
    docs.run("UPDATE docs SET embedding = NULL WHERE doc = 'doc-007'")
    retriever = docs.retriever()
    facts = retriever.facts()
    assert facts.count == len(ENTRIES) - 1
    assert facts.settings["rows without a vector"] == "1"
    assert retriever.missing(["doc-007", "doc-008"]) == {"doc-007"}
    assert "doc-007" not in {doc_id for block in retriever.entries() for _, doc_id in block}
    (hits,) = retriever.search_vectors(QUERIES[:1], 1000, exact=True)
    assert len(hits) == 199


def test_a_vector_of_zeros_is_held_and_like_nothing(docs):
    docs.run("UPDATE docs SET embedding = %s WHERE doc = 'doc-007'", [(sent(np.zeros(16)),)])
    retriever = docs.retriever()
    assert retriever.missing(["doc-007"]) == frozenset()
    (hits,) = retriever.search_vectors(QUERIES[:1], 1000, exact=True)
    assert len(hits) == 199
    assert all(np.isfinite(hit.score) for hit in hits)


def test_a_filter_is_applied_to_everything(docs):
    docs.run("UPDATE docs SET lang = NULL WHERE doc = 'doc-003'")
    german = docs.retriever(filter={"lang": "de"})
    kept = {each.doc_id for each in ENTRIES if each.lang == "de"} - {"doc-003"}
    assert {doc_id for block in german.entries() for _, doc_id in block} == kept
    (hits,) = german.search_vectors(QUERIES[:1], 1000)
    assert {hit.doc_id for hit in hits} == kept
    assert german.missing(["doc-000", "doc-001"]) == {"doc-001"}
    assert german.facts().count == sum(each.doc_id in kept for each in ENTRIES)
    nobody = docs.retriever(filter={"lang": None, "id": 999})
    assert nobody.facts().count == 0
    assert nobody.search_vectors(QUERIES[:1], 5) == [()]
    nowhere = docs.retriever(filter={"lang": None})
    assert [doc_id for block in nowhere.entries() for _, doc_id in block] == ["doc-003"]


@pytest.mark.parametrize("table", ['odd " name; 5 %s --', "elsewhere.docs"])
def test_names_are_quoted(database, table):
    name = sql.Identifier(*table.split(".")).as_string(None)
    if "." in table:
        database.run("CREATE SCHEMA IF NOT EXISTS elsewhere")
        database.run(f"DROP TABLE IF EXISTS {name}")
    column = sql.Identifier('the "key" of %s, 100 %').as_string(None)
    database.run(f"CREATE TABLE {name} ({column} text PRIMARY KEY, embedding vector(2))")
    database.run(f"INSERT INTO {name} VALUES ('a', '[1,0]'), ('it''s %s', '[0,1]')")
    share = sql.Identifier("share %").as_string(None)
    database.run(f"ALTER TABLE {name} ADD COLUMN {share} int DEFAULT 7")
    retriever = plain(database, table=table, id_column='the "key" of %s, 100 %', filter={"share %": 7})
    (hits,) = retriever.search_vectors(np.array([[0, 1]], dtype=np.float32), 1)
    assert (hits[0].doc_id, hits[0].score) == ("it's %s", 1.0)
    assert retriever.missing(["it's %s", "'; DROP TABLE docs; --"]) == {"'; DROP TABLE docs; --"}
    assert retriever.facts().count == 2
    assert [entry_id for block in retriever.entries() for entry_id, _ in block] == ["a", "it's %s"]
    many = np.tile(np.array([[0, 1]], dtype=np.float32), (FEW + 1, 1))
    assert {hits[0].doc_id for hits in retriever.search_vectors(many, 1, exact=True)} == {"it's %s"}


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("bigint", ["12", "-3", "9000000000"]),
        ("uuid", ["0b5f7b9e-7a2f-4c38-9d6e-0a8f1f9d2c11", "11111111-2222-4333-8444-555555555555"]),
        ("text", ["a", "12", "O'Hara"]),
        ("varchar(20)", ["a", "b c"]),
        ("numeric", ["1.50", "2"]),
    ],
)
def test_keys_of_any_type_are_named_as_text(database, kind, ids):
    database.run(f"CREATE TABLE docs (id {kind} PRIMARY KEY, embedding vector(2))")
    database.run("INSERT INTO docs VALUES (%s, '[1,2]')", [(each,) for each in ids])
    retriever = plain(database)
    assert {entry_id for block in retriever.entries() for entry_id, _ in block} == set(ids)
    unknown = ["x", "99", "0b5f7b9e-7a2f-4c38-9d6e-0a8f1f9d2c99", "nul\0byte", "1e3", "9" * 30]
    assert set(retriever.stored([*ids, *unknown])) == set(ids)
    assert retriever.missing([*ids, *unknown]) == set(unknown)


def test_nothing_can_be_written(docs):
    with reader_of(docs.retriever()) as reader:
        assert reader.connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
    with (
        pytest.raises(RetrieverError, match="cannot execute DELETE in a read-only transaction"),
        reader_of(docs.retriever()) as reader,
    ):
        reader.connection.execute("DELETE FROM docs")


def test_a_statement_that_takes_too_long_is_ended(docs):
    with (
        pytest.raises(RetrieverError, match=r"longer than 0\.1 s\. Raise 'timeout'"),
        reader_of(docs.retriever(timeout=timedelta(seconds=0.1))) as reader,
    ):
        reader.connection.execute("SELECT pg_sleep(5)")


def test_what_was_found_before_a_failure_is_kept_and_the_rest_is_not_asked(docs):
    class Broken(HashEmbedder):
        def encode_queries(self, texts):
            rows = super().encode_queries(texts)
            rows[3] = np.nan  # which Postgres refuses
            return rows

    queries = [Query(f"q{place}", f"question {place}") for place in range(6)]
    replies = docs.retriever().search(queries, Broken())
    assert [reply.hits is not None for reply in replies] == [True] * 3 + [False] * 3
    assert "NaN not allowed in vector" in replies[5].error


def test_the_fingerprint_tells_a_change_of_any_kind_and_nothing_else(docs):
    retriever = docs.retriever()
    seen = [retriever.facts().fingerprint]
    docs.run("ANALYZE docs")
    docs.run("CREATE INDEX ON docs (lang)")
    assert retriever.facts().fingerprint == seen[0]
    for change in (
        "UPDATE docs SET embedding = embedding WHERE id = 5",
        "UPDATE docs SET body = 'new' WHERE id = 6",
        "DELETE FROM docs WHERE id = 7",
        f"INSERT INTO docs VALUES (7, 'doc-006', 'text', 'de', '{sent(ENTRIES[6].vector)}')",
    ):
        docs.run(change)
        seen.append(retriever.facts().fingerprint)
    assert len(set(seen)) == 5


def test_a_large_table_is_estimated_and_its_changes_are_still_seen(docs, monkeypatch):
    monkeypatch.setattr("driftwatch.retrievers._pgvector_facts.COUNTED", 100)
    docs.run("UPDATE docs SET body = body WHERE id = 1")
    retriever = docs.retriever()
    facts = retriever.facts()
    assert facts.settings["count"] == "estimated"
    assert facts.count == pytest.approx(len(ENTRIES), rel=0.1)
    docs.run("INSERT INTO docs SELECT id + 1000, doc, body, lang, embedding FROM docs")
    docs.run("SELECT pg_stat_force_next_flush()")
    assert retriever.facts().fingerprint != facts.fingerprint
    assert "about" in retriever.reach()


def test_a_table_that_takes_too_long_to_count_is_estimated(docs, pgvector_url):
    docs.run("CREATE POLICY slow ON docs USING (pg_sleep(0.01) IS NOT NULL)")
    docs.run("ALTER TABLE docs ENABLE ROW LEVEL SECURITY")
    facts = docs.retriever(url=as_reader(docs, pgvector_url), timeout=timedelta(seconds=0.5)).facts()
    assert facts.settings["count"] == "estimated"
    assert facts.count > 0
    assert facts.fingerprint


def test_a_view_is_counted_and_has_no_fingerprint(docs):
    docs.run("CREATE VIEW seen AS SELECT * FROM docs WHERE lang = 'de'")
    facts = docs.retriever(table="seen").facts()
    assert (facts.count, facts.fingerprint) == (sum(each.lang == "de" for each in ENTRIES), "")
    assert facts.settings["kind"] == "none"


def test_a_partitioned_table_is_one_table(database):
    database.run("CREATE TABLE docs (id int, embedding vector(2)) PARTITION BY RANGE (id)")
    for first in (0, 50):
        database.run(f"CREATE TABLE docs_{first} PARTITION OF docs FOR VALUES FROM ({first}) TO ({first + 50})")
    database.run("INSERT INTO docs VALUES (%s, '[1,2]')", [(place,) for place in range(100)])
    database.run("CREATE INDEX nearest ON docs USING hnsw (embedding vector_cosine_ops)")
    facts = plain(database).facts()
    assert (facts.count, facts.settings["kind"]) == (100, "hnsw")
    database.run("DELETE FROM docs WHERE id = 60")
    assert plain(database).facts().fingerprint != facts.fingerprint


def test_a_column_for_vectors_of_any_length_says_the_length_of_one(docs):
    docs.run("ALTER TABLE docs ALTER COLUMN embedding TYPE vector")
    assert docs.retriever().facts().dimension == 16
    with pytest.raises(RetrieverError, match="different vector dimensions 16 and 9"):
        docs.retriever().search_vectors(np.ones((1, 9), dtype=np.float32), 5)


def test_what_does_not_fit_the_table_is_said_with_what_there_is(docs):
    for settings, words in (
        ({"table": "nothing"}, "there is no table nothing"),
        ({"table": "other.docs"}, r"there is no table other\.docs"),
        ({"text_column": "txt"}, r"docs has no column 'txt'\. It has: id, doc, body, lang, embedding"),
        ({"filter": {"tenant": 1}}, "docs has no column 'tenant'"),
        ({"vector_column": "body"}, "the column 'body' of docs is of the type text"),
        ({"filter": {"lang": 5}}, "Postgres at 127.0.0.1"),
    ):
        with pytest.raises(RetrieverError, match=words):
            docs.retriever(**settings).facts()


def test_a_database_without_pgvector_is_said(docs, pgvector_server):
    with psycopg.connect(pgvector_server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS without")
        connection.execute("CREATE DATABASE without TEMPLATE template0")
    elsewhere = pgvector_server.rpartition("/")[0] + "/without"
    with pytest.raises(RetrieverError, match=r"no pgvector on its search path.*CREATE EXTENSION vector"):
        docs.retriever(url=elsewhere).facts()


def test_a_wrong_password_is_said_and_not_shown(docs, pgvector_server):
    host = pgvector_server.rpartition("@")[2]
    retriever = docs.retriever(url=f"postgresql://driftwatch:open-sesame@{host}")
    with pytest.raises(RetrieverError, match=r"password authentication failed.*Check user and password") as raised:
        retriever.facts()
    assert "open-sesame" not in f"{raised.value} {retriever!r}"
    broken = docs.retriever(url="postgresql://reader:open-sesame@host:port:5/%zz")
    with pytest.raises(RetrieverError, match="not an address that Postgres reads") as raised:
        broken.facts()
    assert "open-sesame" not in str(raised.value)


def test_rights_that_are_missing_are_said(docs, pgvector_url):
    reader = docs.retriever(url=as_reader(docs, pgvector_url))
    docs.run("REVOKE SELECT ON docs FROM reader")
    with pytest.raises(RetrieverError, match=r"permission denied for table docs. Grant the user SELECT"):
        reader.facts()
    docs.run("GRANT SELECT ON docs TO reader")
    assert reader.facts().count == len(ENTRIES)  # and it may set what a search needs
    assert len(docs.retriever(url=reader.url, ef_search=50, probes=2).search_vectors(QUERIES, 5)) == len(QUERIES)
    assert len(reader.search_vectors(QUERIES, 5, exact=True)) == len(QUERIES)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "euclidean"}, "'metric: euclidean' gives a distance.*Set 'score_kind: distance'"),
        ({"score_kind": "distance"}, "'metric: cosine' gives a similarity.*Set 'score_kind: similarity'"),
        ({"url": "mysql://u:open-sesame@host/db"}, "not the address of a Postgres database"),
        ({"url": "postgresql://u:open-sesame@more@host/db"}, "an '@' or a '/' too many.*'%40' and '%2F'"),
        ({"url": "postgresql://u:open-sesame/more@host/db"}, "an '@' or a '/' too many"),
        ({"table": "a.b.c"}, "not the name of a table"),
        ({"table": ""}, "not the name of a table"),
        ({"filter": {"a": [1]}}, "filter"),
        ({"ef_search": 2000}, "ef_search"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words) as raised:
        Pgvector(**{"kind": "pgvector", "url": "postgresql://host/db", "table": "docs", **settings})
    assert "open-sesame" not in str(raised.value)


@pytest.mark.parametrize("place", ["u:p%40w@host/d@b", "/db?host=/tmp&user=a@b", "u:p@/db", "host/db"])
def test_an_address_may_have_an_at_sign_where_it_means_nothing(place):
    assert Pgvector(kind="pgvector", url=f"postgresql://{place}", table="docs")


def test_a_host_that_can_be_none_is_said():
    retriever = Pgvector(kind="pgvector", url="postgresql://u:open-sesame@db..internal/d", table="docs")
    with pytest.raises(RetrieverError, match=r"db\.\.internal:5432/d: its host name is not known"):
        retriever.facts()


def test_the_address_may_come_from_a_file(tmp_path):
    (tmp_path / "address").write_text("postgresql://reader:secret@host/db\n")
    made = Pgvector.model_validate(
        {"kind": "pgvector", "table": "docs", "url_file": "address"}, context={"base": tmp_path}
    )
    assert made.url.get_secret_value() == "postgresql://reader:secret@host/db"
