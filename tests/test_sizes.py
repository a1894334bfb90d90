import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from driftwatch.sizes import Size, show_size, size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2 GB", 2 * 10**9),
        ("2gb", 2 * 10**9),
        ("8 MiB", 8 * 2**20),
        ("1.5k", 1500),
        ("3 T", 3 * 10**12),
        ("100", 100),
        (100, 100),
        ("7 B", 7),
    ],
)
def test_a_size_is_read(text: str | int, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "big", "2 gigs", "-1 MB", "1e3", "1 MB 2 KB", True, None, "٣ MB"])
def test_what_is_no_size_is_refused_with_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a size\. Write it like '500 MB'"):
        size(text)


@pytest.mark.parametrize("text", ["0", "0 GB", "0.1 B"])
def test_no_space_at_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no space at all"):
        size(text)


@given(st.integers(min_value=1, max_value=10**17))
@example(999_500)
@example(999_499)
def test_a_size_is_shown_within_half_a_percent_of_what_it_is(count: int) -> None:
    assert size(show_size(count)) == pytest.approx(count, rel=0.005, abs=0.5)


def test_a_setting_that_is_a_size_is_dumped_as_text() -> None:
    class Block(BaseModel):
        disk: Size

    assert Block.model_validate({"disk": "2 GB"}).model_dump() == {"disk": "2 GB"}
