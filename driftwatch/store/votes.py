"""What users said of answers: lines with feedback, each completed by what is kept of the query that it speaks of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.feedback import HeldVotes, Vote
from driftwatch.sampling import Batch
from driftwatch.store.columns import short_name
from driftwatch.store.samples import body_of, observation_of, query_hash
from driftwatch.store.tables import feedback, feedback_days, sampled
from driftwatch.types import UNDETERMINED, Observation

ROWS_AT_ONCE = 500
"""In one statement, and between two looks for the queries that lines speak of."""


# --- writing -------------------------------------------------------------------------------------------------------


def add_votes(connection: Connection, insert: Any, batch: Batch) -> None:
    """Add the lines of a batch, and let go of the sessions that are kept no longer."""
    for start in range(0, len(batch.votes), ROWS_AT_ONCE):
        rows = [_row(batch.source, vote) for vote in batch.votes[start : start + ROWS_AT_ONCE]]
        connection.execute(insert(feedback).on_conflict_do_nothing(), rows)
    if not batch.heard:
        return
    statement = insert(feedback_days)
    excluded = statement.excluded
    lowest = sa.case(
        (excluded.threshold < feedback_days.c.threshold, excluded.threshold), else_=feedback_days.c.threshold
    )
    statement = statement.on_conflict_do_update(
        index_elements=["source", "day", "stratum"],
        set_={"threshold": lowest, "lines": feedback_days.c.lines + excluded.lines},
    )
    rows = [
        {"source": batch.source, "day": day, "stratum": stratum, "threshold": heard.threshold, "lines": heard.lines}
        for (day, stratum), heard in batch.heard.items()
    ]
    connection.execute(statement, rows)
    for (day, stratum), heard in batch.heard.items():
        if heard.threshold < 1.0:
            place = (feedback.c.source == batch.source, feedback.c.day == day, feedback.c.stratum == stratum)
            connection.execute(sa.delete(feedback).where(*place, feedback.c.priority >= heard.threshold))


def _row(source: str, vote: Vote) -> dict[str, Any]:
    seen = vote.observation
    query_id = short_name(seen.query_id)
    return {
        "source": source,
        "at": seen.at,
        "day": vote.day,
        "stratum": vote.stratum,
        "priority": vote.priority,
        "line": vote.line,
        "lang": seen.lang,
        "query_id": query_id,
        "query_hash": query_hash(query_id),
        "body": body_of(seen),
    }


# --- going on after a restart ----------------------------------------------------------------------------------------


def held_votes(connection: Connection, source: str, since: date) -> dict[tuple[date, str], HeldVotes]:
    """What is kept of the days from ``since`` on, as ``feedback.Votes`` continues it."""
    rows = sa.select(feedback.c.day, feedback.c.stratum, feedback.c.priority, feedback.c.line).where(
        feedback.c.source == source, feedback.c.day >= since
    )
    lines: defaultdict[tuple[date, str], defaultdict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for day, stratum, priority, line in connection.execute(rows):
        lines[day, stratum][priority].append(line)
    days = sa.select(feedback_days.c.day, feedback_days.c.stratum, feedback_days.c.threshold).where(
        feedback_days.c.source == source, feedback_days.c.day >= since
    )
    lowered = {(day, stratum): threshold for day, stratum, threshold in connection.execute(days)}
    return {key: HeldVotes(lowered.get(key, 1.0), lines.get(key, {})) for key in sorted({*lines, *lowered})}


# --- reading -------------------------------------------------------------------------------------------------------


def said(connection: Connection, source: str, start: datetime, end: datetime) -> Iterator[Observation]:
    """Lines with feedback of [start, end), oldest first, each with what is kept of the query that it speaks of."""
    query = (
        sa.select(feedback.c.at, feedback.c.query_id, feedback.c.lang, feedback.c.body)
        .where(feedback.c.source == source, feedback.c.at >= start, feedback.c.at < end)
        .order_by(feedback.c.at, feedback.c.row_id)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for rows in connection.execute(query).partitions():
        votes = [observation_of(source, at, query_id, lang, 1.0, body) for at, query_id, lang, body in rows]
        asked = _asked(connection, source, {vote.query_id for vote in votes if _lacks(vote)})
        for vote in votes:
            yield _completed(vote, asked[vote.query_id]) if _lacks(vote) and vote.query_id in asked else vote


def unkept(connection: Connection, source: str, start: date, end: date) -> int:
    """How many lines with feedback of the days [start, end) were heard and are not kept."""

    def by_day(table: sa.Table, count: Any) -> dict[date, int]:
        within = (table.c.source == source, table.c.day >= start, table.c.day < end)
        rows = connection.execute(sa.select(table.c.day, count).where(*within).group_by(table.c.day))
        return {day: int(lines) for day, lines in rows}

    heard = by_day(feedback_days, sa.func.sum(feedback_days.c.lines))
    kept = by_day(feedback, sa.func.count())
    return sum(max(0, lines - kept.get(day, 0)) for day, lines in heard.items())


def _lacks(vote: Observation) -> bool:
    """Does the line not say itself what was asked, or which document it speaks of?"""
    return not vote.text or (vote.hits is None and not vote.feedback_doc)


def _asked(connection: Connection, source: str, query_ids: Iterable[str]) -> Mapping[str, Sequence[Observation]]:
    """query_id -> what is kept of that query, in the sample or of another line with feedback."""
    names = set(query_ids)
    found: defaultdict[str, list[Observation]] = defaultdict(list)
    if not names:
        return found
    hashes = sorted({query_hash(name) for name in names})
    for table in (sampled, feedback):
        rows = sa.select(table.c.at, table.c.query_id, table.c.lang, table.c.body).where(
            table.c.source == source, table.c.query_hash.in_(hashes)
        )
        for at, query_id, lang, body in connection.execute(rows):
            if query_id in names and (seen := observation_of(source, at, query_id, lang, 1.0, body)).text:
                found[query_id].append(seen)
    return found


def _completed(vote: Observation, asked: Sequence[Observation]) -> Observation:
    """The line with the text and the hits of its query: the last that was asked before it, if it can be the same."""
    same = [each for each in asked if _may_be(vote, each)]
    before = [each for each in same if each.at <= vote.at] or same
    if not before:
        return vote
    query = max(before, key=lambda each: (each.hits is not None, each.at))
    return replace(
        vote,
        text=vote.text or query.text,
        lang=query.lang if vote.lang == UNDETERMINED else vote.lang,
        session=vote.session or query.session,
        hits=query.hits if vote.hits is None else vote.hits,
        abstained=query.abstained if vote.abstained is None else vote.abstained,
    )


def _may_be(vote: Observation, query: Observation) -> bool:
    """A service may use an id again: in another session, or for another text, it is another query."""
    return not (vote.session and query.session and vote.session != query.session) and (
        not vote.text or vote.text == query.text
    )
