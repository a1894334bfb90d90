"""Each complete line is counted once, whatever happens to the files."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.fakes.examples import examples
from tests.fakes.log_writer import Follower, Writer, age, line


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "queries.jsonl")


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    return Follower(tmp_path)


def test_a_log_that_is_not_there_yet_has_no_lines(follower):
    assert follower.read() == 0
    assert follower.batches == []


def test_nothing_new_is_no_batch(writer, follower):
    writer.append(3)
    assert follower.read() == 3
    assert follower.read() == 0
    assert len(follower.batches) == 1


def test_new_lines_are_counted_once(writer, follower):
    for count in (1, 5, 2):
        writer.append(count)
        assert follower.read() == count


def test_a_partial_last_line_waits_until_it_is_complete(writer, follower):
    writer.append()
    rest = writer.begin_line()
    assert follower.read() == 1
    assert follower.read() == 0
    writer.write(rest)
    assert follower.read() == 1
    assert follower.rejects == []


def test_a_partial_last_line_waits_through_a_restart(writer, follower):
    rest = writer.begin_line()
    follower.read()
    follower.restart()
    writer.write(rest)
    assert follower.read() == 1


def test_a_partial_line_of_a_process_that_died_waits_in_the_newest_file(writer, follower):
    writer.append(2)
    writer.begin_line()
    age(writer.path)
    assert follower.read() == 2
    assert follower.rejects == []


def test_a_rename_finishes_the_old_file_first(writer, follower):
    writer.append(2)
    follower.read()
    writer.append(2)
    writer.rename()
    writer.append(3)
    assert follower.read() == 5
    assert follower.queries() == [f"query {number}" for number in range(7)]


def test_a_service_that_writes_on_into_the_renamed_file_is_still_heard(writer, follower):
    with writer.path.open("ab") as old:
        old.write(line(0))
        old.flush()
        follower.read()
        writer.rename()
        follower.read()
        old.write(line(1))
        old.flush()
        assert follower.read() == 1


def test_several_rotations_while_nobody_was_reading(writer, follower):
    writer.append(4)
    follower.read()
    for _ in range(5):
        writer.append(2)
        writer.rename()
    writer.append(1)
    follower.restart()
    assert follower.read() == 11
    assert follower.rejects == []


def test_rotated_files_that_were_compressed_meanwhile_are_known_by_their_content(writer, follower):
    writer.append(4)
    follower.read()
    writer.append(3)
    writer.rename()
    writer.append(2)
    writer.rename()
    writer.compress(1)
    writer.compress(2)
    follower.restart()
    assert follower.read() == 5
    assert follower.read() == 0
    assert follower.rejects == []


def test_compressing_a_file_that_was_read_counts_nothing_again(writer, follower):
    writer.append(4)
    writer.rename()
    writer.append(1)
    assert follower.read() == 5
    writer.compress(1)
    assert follower.read() == 0
    follower.restart()
    assert follower.read() == 0
    assert follower.rejects == []


def test_a_compressed_copy_beside_the_original_is_not_read(writer, follower):
    writer.append(300)
    writer.rename()
    (writer.path.parent / "queries.jsonl.1.gz").write_bytes(
        gzip.compress((writer.path.parent / "queries.jsonl.1").read_bytes())
    )
    assert follower.read() == 300
    assert follower.read() == 0
    (writer.path.parent / "queries.jsonl.1").unlink()
    follower.restart()
    assert follower.read() == 0


def test_a_gzip_file_that_is_still_being_written_waits(writer, follower):
    writer.append(500)
    follower.read()
    writer.rename()
    packed = writer.path.parent / "queries.jsonl.1.gz"
    whole = gzip.compress((writer.path.parent / "queries.jsonl.1").read_bytes())
    for part in (12, len(whole) // 2, len(whole)):
        packed.write_bytes(whole[:part])
        assert follower.read() == 0
    (writer.path.parent / "queries.jsonl.1").unlink()
    assert follower.read() == 0
    assert follower.rejects == []


def test_a_damaged_gzip_file_gives_what_it_can_and_says_so_once(writer, follower):
    writer.append(2000)
    writer.rename()
    packed = writer.path.parent / "queries.jsonl.1.gz"
    whole = gzip.compress((writer.path.parent / "queries.jsonl.1").read_bytes(), 1)
    packed.write_bytes(whole[: len(whole) // 2])
    age(packed)
    (writer.path.parent / "queries.jsonl.1").unlink()
    assert 0 < follower.read() < 2000
    assert ["damaged" in reject.reason for reject in follower.rejects] == [True]
    follower.restart()
    assert follower.read() == 0
    assert len(follower.rejects) == 1


def test_what_was_rotated_before_the_first_read_comes_first_in_the_order_of_time(writer, follower):
    for _ in range(3):
        writer.append(2)
        writer.rename()
    writer.append(2)
    writer.compress(3)
    writer.compress(2)
    assert follower.read() == 8
    assert follower.queries() == [f"query {number}" for number in range(8)]


def test_the_last_line_of_a_compressed_file_needs_no_line_feed(writer, follower):
    (writer.path.parent / "queries.jsonl.1.gz").write_bytes(gzip.compress((line(0) + line(1)).rstrip(b"\n")))
    assert follower.read() == 2


def test_the_last_line_of_an_old_rotated_file_needs_no_line_feed(writer, follower):
    writer.write((line(0) + line(1)).rstrip(b"\n"))
    writer.rename()
    writer.written = 2
    writer.append()
    assert follower.read() == 2
    age(writer.path.parent / "queries.jsonl.1")
    assert follower.read() == 1


def test_copy_truncate_loses_and_doubles_nothing(writer, follower):
    writer.append(3)
    follower.read()
    writer.append(2)
    writer.copy_truncate()
    writer.append(4)
    assert follower.read() == 6
    assert follower.read() == 0
    assert follower.rejects == []


def test_a_truncation_is_seen_when_the_file_has_grown_beyond_the_old_place(writer, follower):
    writer.append(2)
    follower.read()
    writer.copy_truncate()
    writer.append(50)
    assert follower.read() == 50


def test_a_copy_that_is_not_cut_off_yet_is_not_read(writer, follower):
    writer.append(30)
    follower.read()
    writer.append(2)
    copy = writer.path.with_name("queries.jsonl.1")
    shutil.copy2(writer.path, copy)
    assert follower.read() == 2
    assert follower.read() == 0
    os.truncate(writer.path, 0)
    writer.append(1)
    assert follower.read() == 1
    assert follower.rejects == []


def test_a_copy_that_is_being_made_is_not_read(writer, follower):
    writer.append(30)
    follower.read()
    copy = writer.path.with_name("queries.jsonl.1")
    copy.write_bytes(writer.path.read_bytes()[:1500])
    assert follower.read() == 0
    shutil.copy2(writer.path, copy)
    os.truncate(writer.path, 0)
    assert follower.read() == 0
    assert follower.rejects == []


def test_lines_read_between_copying_and_cutting_off_are_not_counted_again(writer, follower):
    writer.append(10)
    shutil.copy2(writer.path, writer.path.with_name("queries.jsonl.1"))
    writer.append(2)
    follower.read()
    os.truncate(writer.path, 0)
    writer.append(1)
    assert follower.read() == 1
    follower.restart()
    assert follower.read() == 0
    assert follower.counted == 13


def test_a_plain_truncation_is_told_as_a_gap_once(writer, follower):
    writer.append(3)
    follower.read()
    os.truncate(writer.path, 0)
    writer.append(1)
    assert follower.read() == 1
    assert [reject.offset for reject in follower.rejects] == [len(line(0) + line(1) + line(2))]
    assert "lost" in follower.rejects[0].reason
    follower.restart()
    assert follower.read() == 0
    assert len(follower.rejects) == 1


def test_a_log_that_was_removed_is_told_as_a_gap(writer, follower):
    writer.append(3)
    follower.read()
    writer.path.unlink()
    follower.read()
    assert len(follower.rejects) == 1


def test_a_rotated_file_that_was_read_and_then_deleted_is_no_gap(writer, follower):
    writer.append(3)
    writer.rename()
    writer.append(1)
    follower.read()
    writer.path.with_name("queries.jsonl.1").unlink()
    assert follower.read() == 0
    assert follower.rejects == []


def test_a_rotated_file_that_goes_before_it_was_read_to_its_end_is_a_gap(writer, follower):
    writer.append(50)
    writer.rename()
    follower.read(limit_bytes=500, crash_after=2)
    writer.path.with_name("queries.jsonl.1").unlink()
    follower.read()
    assert [Path(reject.file).name for reject in follower.rejects] == ["queries.jsonl.1"]


def test_the_same_file_on_another_disk_goes_on_where_reading_stopped(writer, follower):
    writer.append(40)
    follower.read()
    copy = writer.path.with_name("other.tmp")
    shutil.copy2(writer.path, copy)
    copy.replace(writer.path)
    writer.append(2)
    follower.restart()
    assert follower.read() == 2
    assert follower.rejects == []


def test_a_hole_of_zeros_after_a_truncation_is_skipped(writer, follower):
    """A writer without O_APPEND goes on at its old offset after copytruncate."""
    with writer.path.open("wb", buffering=0) as log:
        log.write(line(0) * 1 + line(1))
        follower.read()
        writer.copy_truncate()
        log.write(line(2))
        assert writer.path.read_bytes().startswith(b"\0")
        assert follower.read() == 1
    assert follower.rejects == []


def test_a_link_that_moves_on_to_the_next_days_file_is_followed(tmp_path):
    today, tomorrow, link = (tmp_path / name for name in ("q-20261101.jsonl", "q-20261102.jsonl", "current.jsonl"))
    follower = Follower(tmp_path, "current.jsonl")
    today.write_bytes(line(0))
    link.symlink_to(today)
    assert follower.read() == 1
    with today.open("ab") as log:
        log.write(line(1))
    tomorrow.write_bytes(line(2))
    link.unlink()
    link.symlink_to(tomorrow)
    assert follower.read() == 2
    assert follower.rejects == []


def test_a_link_beside_its_target_is_one_file(tmp_path, writer):
    writer.append(2)
    (tmp_path / "queries.jsonl.1").symlink_to(writer.path)
    os.link(writer.path, tmp_path / "queries.jsonl.2")
    assert Follower(tmp_path).read() == 2


def test_a_link_to_itself_is_an_error_with_a_remedy(tmp_path):
    from driftwatch.errors import SourceError

    (tmp_path / "queries.jsonl").symlink_to(tmp_path / "queries.jsonl")
    with pytest.raises(SourceError, match="cannot be read"):
        Follower(tmp_path).read()


def test_several_logs_of_one_pattern_take_turns_by_time(tmp_path):
    for name, numbers in (("a.jsonl", range(0, 4000, 2)), ("b.jsonl", range(1, 4000, 2))):
        (tmp_path / name).write_bytes(b"".join(line(number, padding="x" * 500) for number in numbers))
    follower = Follower(tmp_path, "*.jsonl", keep=10_000)
    assert follower.read() == 4000
    order = [int(query.split()[1]) for query in follower.queries()]
    # Turns are pieces of 128 kB, some 200 lines: nothing is further from its place than two of them.
    assert max(abs(place - number) for place, number in enumerate(order)) < 1000


def test_two_logs_that_begin_with_the_same_line_are_both_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(line(0) + line(1))
    (tmp_path / "b.jsonl").write_bytes(line(0) + line(2) + line(3))
    follower = Follower(tmp_path, "*.jsonl")
    assert follower.read() + follower.read() == 5


def test_a_reused_inode_is_not_mistaken_for_the_old_file(writer, follower):
    writer.append(3)
    follower.read()
    writer.rename()
    follower.read()
    writer.path.with_name("queries.jsonl.1").write_bytes(line(100) + line(101) + line(102) + line(103))
    assert follower.read() == 4


def test_a_line_that_is_too_long_is_rejected_in_bounded_memory(writer, tmp_path):
    follower = Follower(tmp_path, max_line="100 kB")
    writer.append()
    writer.write(b'{"query": "' + b"x" * 10_000_000 + b'"}\n')
    writer.append()
    assert follower.read() == 2
    (reject,) = follower.rejects
    assert reject.offset == len(line(0))
    assert "longer than 100 kB" in reject.reason
    assert len(reject.line) == 500


def test_a_line_that_is_too_long_and_not_finished_is_rejected_once(writer, tmp_path):
    follower = Follower(tmp_path, max_line="100 kB")
    writer.write(b"x" * 300_000)
    follower.read()
    follower.restart()
    writer.write(b"x" * 300_000)
    follower.read()
    writer.write(b"\n")
    writer.append(2)
    assert follower.read() == 2
    assert len(follower.rejects) == 1


def test_a_line_is_too_long_or_not_however_the_file_is_cut_into_pieces(writer, tmp_path):
    at_limit = line(0, padding="x" * 70_000)
    for limit, counted in ((len(at_limit) - 1, 3), (len(at_limit) - 2, 2)):
        follower = Follower(tmp_path, max_line=limit)
        writer.path.write_bytes(line(1) + at_limit + line(2))
        assert follower.read() == counted


def test_batches_are_bounded_and_add_up(writer, follower):
    writer.append(100)
    assert follower.read(limit_bytes=1000) == 100
    assert 4 < len(follower.batches) < 12
    assert sum(batch.lines for batch in follower.batches) == 100


def test_a_cursor_of_another_version_is_refused(writer, follower):
    from driftwatch.errors import SourceError

    writer.append()
    follower.cursor = {"version": 7, "files": {}}
    with pytest.raises(SourceError, match="version 7"):
        follower.read()


def test_a_directory_in_place_of_the_log_is_an_error_with_a_remedy(tmp_path, follower):
    from driftwatch.errors import SourceError

    (tmp_path / "queries.jsonl").mkdir()
    with pytest.raises(SourceError, match=r"is a directory\. Name a file, or write '.*/\*\.jsonl'"):
        follower.read()


def test_a_pipe_in_place_of_the_log_is_an_error(tmp_path, follower):
    from driftwatch.errors import SourceError

    os.mkfifo(tmp_path / "queries.jsonl")
    with pytest.raises(SourceError, match="not a regular file"):
        follower.read()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_log_that_may_not_be_read_is_an_error_with_a_remedy(writer, follower):
    from driftwatch.errors import SourceError

    writer.append()
    writer.path.chmod(0)
    with pytest.raises(SourceError, match="Permission denied"):
        follower.read()


@pytest.mark.slow
def test_ten_thousand_rotated_files_are_read_and_then_cost_little(tmp_path, follower):
    import time

    for number in range(10_000):
        (tmp_path / f"queries.jsonl.{number}").write_bytes(line(number))
        age(tmp_path / f"queries.jsonl.{number}")
    (tmp_path / "queries.jsonl").write_bytes(line(10_000))
    assert follower.read() == 10_001
    start = time.process_time()
    assert follower.read() == 0
    assert follower.read() == 0
    assert time.process_time() - start < 3
    assert follower.rejects == []


class Rotations(RuleBasedStateMachine):
    """Any sequence of appending, rotating, compressing, cutting off, crashing and restarting."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.here = self.folder / f"{len(list(self.folder.iterdir()))}"
        self.here.mkdir()
        self.writer = Writer(self.here / "queries.jsonl")
        self.follower = Follower(self.here, keep=100_000)
        self.rest = b""
        self.gaps = 0
        self.lost = 0

    @rule(count=st.sampled_from([1, 2, 3, 15]))
    def append(self, count):
        self.complete()
        self.writer.append(count)

    @rule()
    def begin_a_line(self):
        self.complete()
        self.rest = self.writer.begin_line()

    def complete(self):
        if self.rest:
            self.writer.write(self.rest)
            self.rest = b""

    @rule()
    def rename(self):
        self.complete()
        self.writer.rename()

    @rule()
    def copy_truncate(self):
        self.complete()
        self.writer.copy_truncate()

    @rule(number=st.integers(1, 3))
    def compress(self, number):
        self.writer.compress(number)

    @rule(limit=st.sampled_from([150, 400, 32 << 20]))
    def read(self, limit):
        self.follower.read(limit_bytes=limit)

    @rule(limit=st.sampled_from([150, 400]), after=st.integers(0, 3))
    def crash(self, limit, after):
        self.follower.read(limit_bytes=limit, crash_after=after)

    @rule()
    def restart(self):
        self.follower.restart()

    @precondition(lambda self: self.writer.path.exists() and not self.rest)
    @rule()
    def truncate_unread(self):
        """Lines that were not read are gone for good; what was read stays counted."""
        self.settle()
        size = self.writer.path.stat().st_size
        if size:
            self.writer.append(2)
            self.lost += 2
            os.truncate(self.writer.path, 0)
            self.gaps += 1
            self.settle()

    def settle(self):
        for _ in range(3):
            self.follower.read()

    @invariant()
    def never_more_than_was_written(self):
        texts = self.follower.queries()
        assert len(texts) == len(set(texts)) == self.follower.counted
        assert self.follower.counted <= self.writer.written

    def teardown(self):
        self.complete()
        self.settle()
        assert self.follower.counted == self.writer.written - self.lost
        assert len(self.follower.rejects) == self.gaps
        shutil.rmtree(self.here)


def test_every_line_is_counted_once_through_any_sequence_of_events(tmp_path):
    machine = type("Here", (Rotations,), {"folder": tmp_path})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(40), stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
