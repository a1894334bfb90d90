"""The kind `pgvector` against a real server."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import psycopg
import pytest
from psycopg import sql

from driftwatch.retrievers.pgvector import Pgvector
from tests.fakes.vectors import best_documents, seeded_entries, seeded_queries

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
    return [(place, sent(row)) for place, row in enumerate(rng.normal(size=(3000, 16)).astype(np.float32))]


@pytest.fixture
def indexed(database, many):
    database.run("CREATE TABLE docs (id int PRIMARY KEY, embedding vector(16))")
    database.run("INSERT INTO docs VALUES (%s, %s)", many)
    database.run("CREATE INDEX nearest ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 8)")
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


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_both_searches_agree_with_plain_arithmetic(docs, metric):
    retriever = docs.retriever(metric=metric, score_kind="distance" if metric == "euclidean" else "similarity")
    wanted = best_documents(ENTRIES, QUERIES, 15, metric)
    for exact in (False, True):
        found = retriever.search_vectors(QUERIES, 15, exact=exact)
        assert [[hit.doc_id for hit in hits] for hits in found] == [[doc for doc, _ in each] for each in wanted]
        scores = [[hit.score for hit in hits] for hits in found]
        np.testing.assert_allclose(scores, [[score for _, score in each] for each in wanted], atol=1e-5)


def test_the_approximate_search_uses_the_graph_and_the_exact_one_every_row(indexed):
    with reader_of(plain(indexed)) as reader:
        assert '"Index Name": "nearest"' in plan(reader, 10)
        reader.compare_with_every_row()
        exactly = plan(reader, 10)
    assert '"Seq Scan"' in exactly
    assert "nearest" not in exactly


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
    assert (facts.count, facts.dimension, facts.metric) == (3000, 16, "cosine")
    assert facts.settings == {
        "kind": "hnsw",
        "type": "vector",
        "index": "nearest",
        "m": "8",
        "ef_construction": "64",
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
