"""One look of one check: each language by itself, and the rest of the traffic together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from driftwatch.checks import Check
from driftwatch.segments import look
from driftwatch.store import Store
from driftwatch.types import Finding, Window
from driftwatch.windows import Pair, Windows
from tests.fakes.windows import tally_window
from tests.fakes.world import RECALL, make_world

HOURS = 24


class Empties(Check):
    """Fails where more than half of the queries found nothing."""

    kind: Literal["empties"] = "empties"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "tallies"
    family: ClassVar[str] = "rates"
    min_n: int = 100

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        n, empty = current.tallies.total("queries"), current.tallies.total("empty")
        facts: dict[str, Any] = {"n": n, "state": {"looks": previous.state["looks"] + 1 if previous else 1}}
        if reference is None:
            return self.learning(current, **facts)
        verdict = "unknown" if n == 0 else "fail" if 2 * empty > n else "ok"
        return self.finding(current, verdict, "said", details={"alpha": current.alpha}, **facts)


class Unprepared(Empties):
    """Breaks before it judges."""

    def prepare(self, windows: Sequence[tuple[Window, Window | None]]) -> None:
        raise ValueError("nothing is ready")


class Whole(Empties):
    """Has no segments."""

    pools: ClassVar[bool] = False


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    folder: Path = tmp_path_factory.mktemp("segments")
    watch = make_world(folder, RECALL)
    store = Store.open(watch.database)
    yield Windows(store, watch)
    store.close()


def traffic(**an_hour: tuple[int, int]) -> Window:
    """A day of languages with so many queries an hour, so many of them empty."""
    hour: dict[str, Mapping[str, int]] = {
        lang: {"queries": queries, "empty": empty} for lang, (queries, empty) in an_hour.items()
    }
    return tally_window([hour] * HOURS)


NORMAL = traffic(de=(20, 0), en=(20, 0), fr=(20, 0), it=(20, 0))


def looked(windows: Windows, current: Window, check: Check | None = None, **more: Any) -> dict[str, Finding]:
    check = check or Empties(name="empties", source="live", by="lang")
    pair = more.pop("pair", Pair(current, more.pop("reference", NORMAL), ""))
    settings: dict[str, Any] = {"previous": {}, "alpha": lambda segments: 0.1 / (segments + 1), **more}
    return {finding.segment: finding for finding in look(check, pair, windows, **settings)}


def test_every_language_is_judged_and_the_rest_comes_last(windows: Windows):
    found = looked(windows, NORMAL)
    assert list(found) == ["de", "en", "fr", "it", "all"]
    assert {finding.verdict for finding in found.values()} == {"ok"}
    assert found["all"].n == 4 * 20 * HOURS


def test_what_breaks_before_it_judges_is_logged_and_judges_all_the_same(
    windows: Windows, caplog: pytest.LogCaptureFixture
):
    found = looked(windows, NORMAL, Unprepared(name="empties", source="live", by="lang"))
    assert {finding.verdict for finding in found.values()} == {"ok"}
    assert "broke before it judged" in caplog.text


def test_what_a_failing_language_explains_is_left_out_of_the_rest(windows: Windows):
    found = looked(windows, traffic(de=(200, 200), en=(20, 0), fr=(20, 0), it=(20, 0)))
    assert {segment for segment, finding in found.items() if finding.verdict == "fail"} == {"de"}
    assert found["all"].details["without"] == ["de"]
    assert found["all"].n == 3 * 20 * HOURS


def test_half_of_the_languages_may_be_the_explanation(windows: Windows):
    found = looked(windows, traffic(de=(20, 20), en=(20, 0), fr=(20, 20), it=(20, 0)))
    assert found["all"].details["without"] == ["de", "fr"]
    assert found["all"].verdict == "ok"


def test_when_most_languages_fail_the_rest_is_everything(windows: Windows):
    found = looked(windows, traffic(de=(20, 20), en=(20, 20), fr=(20, 20), it=(20, 0)))
    assert found["all"].details["without"] == []
    assert (found["all"].verdict, found["all"].n) == ("fail", 4 * 20 * HOURS)


def test_a_thin_language_is_judged_with_the_rest_only(windows: Windows):
    normal = traffic(de=(20, 0), en=(20, 0), ja=(1, 0))
    found = looked(windows, traffic(de=(20, 0), en=(20, 0), ja=(1, 1)), reference=normal)
    assert list(found) == ["de", "en", "all"]
    assert found["all"].n == 41 * HOURS


def test_a_language_that_brings_hardly_more_than_is_needed_is_judged_with_the_rest_only(windows: Windows):
    normal = traffic(de=(20, 0), ja=(5, 0), nl=(9, 0))  # 120 and 216 a day, where 100 are needed
    assert list(looked(windows, normal, reference=normal)) == ["de", "nl", "all"]


class Deaf(Empties):
    """Knows nothing."""

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        return self.unknown(current, "too few queries")


@pytest.mark.parametrize("filling", [True, False])
def test_thin_data_is_learning_only_until_a_whole_window_has_been_recorded(windows: Windows, filling: bool):
    pair = Pair(NORMAL, None, "0 of 14 days", filling)
    found = looked(windows, NORMAL, Deaf(kind="empties", name="deaf", source="live"), pair=pair)["all"]
    assert (found.verdict, found.learning) == ("unknown", filling)


def test_a_language_that_went_silent_is_still_judged(windows: Windows):
    found = looked(windows, traffic(en=(20, 0), fr=(20, 0), it=(20, 0)))
    assert found["de"].verdict == "unknown"


def test_a_thin_language_with_an_open_alert_is_judged_until_it_is_over(windows: Windows):
    found = looked(windows, traffic(de=(20, 0), ja=(1, 0)), reference=traffic(de=(20, 0)), followed={"ja", "all"})
    assert list(found) == ["de", "ja", "all"]


def test_queries_of_no_known_language_are_judged_with_the_rest_only(windows: Windows):
    both = traffic(de=(20, 0), und=(500, 0))
    assert list(looked(windows, both, reference=both)) == ["de", "all"]


def test_a_check_without_by_makes_one_finding_with_the_whole_budget(windows: Windows):
    found = looked(windows, traffic(de=(20, 20)), Empties(name="empties", source="live"))
    assert list(found) == ["all"]
    assert found["all"].details == {"alpha": 0.1}


def test_a_check_about_all_segments_together_is_called_once(windows: Windows):
    assert list(looked(windows, NORMAL, Whole(kind="empties", name="whole", source="live", by="lang"))) == ["all"]


def test_segments_share_the_error_budget_evenly(windows: Windows):
    assert {finding.details["alpha"] for finding in looked(windows, NORMAL).values()} == {0.1 / 5}


def test_each_segment_is_given_its_own_previous_finding(windows: Windows):
    first = looked(windows, NORMAL)
    previous = {("empties", "de"): first["de"], ("empties", "all"): replace(first["all"], state={"looks": 7})}
    second = looked(windows, NORMAL, previous=previous)
    assert {segment: finding.state["looks"] for segment, finding in second.items()} == {
        "de": 2, "en": 1, "fr": 1, "it": 1, "all": 8,
    }  # fmt: skip


def test_while_the_baseline_is_learnt_a_finding_says_how_far_it_is(windows: Windows):
    found = looked(windows, NORMAL, pair=Pair(NORMAL, None, "3 of 14 days"))
    assert {finding.message for finding in found.values()} == {"the baseline is not full yet: 3 of 14 days"}
    assert all(finding.learning for finding in found.values())


# --- what it takes to be well again --------------------------------------------------------------------------------


class Shift(Empties):
    """Finds what it is told to find."""

    p_value: float = 0.01
    effect: float = 0.3

    def past_floor(self, finding: Finding) -> bool:
        return finding.effect is not None and finding.effect >= 0.1

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        return self.finding(current, "ok", "said", effect=self.effect, p_value=self.p_value)


def verdict_of(windows: Windows, check: Check, *, firing: bool) -> str:
    day = traffic(de=(50, 0))
    found = look(
        check, Pair(day, day, ""), windows, previous={}, alpha=lambda _: 0.001, firing={"de"} if firing else ()
    )
    return {each.segment: each.verdict for each in found}["de"]


def shift(**settings: Any) -> Shift:
    return Shift(kind="empties", name="s", source="live", by="lang", **settings)


def test_what_fires_is_not_well_while_its_effect_is_past_the_floor_and_hardly_chance(windows: Windows):
    assert verdict_of(windows, shift(), firing=True) == "fail"


def test_a_warning_that_is_held_stays_a_warning(windows: Windows):
    assert verdict_of(windows, shift(severity="warn"), firing=True) == "warn"


def test_what_does_not_fire_is_not_held(windows: Windows):
    assert verdict_of(windows, shift(), firing=False) == "ok"


@pytest.mark.parametrize("settings", [{"effect": 0.05}, {"p_value": 0.2}])
def test_inside_the_floor_or_likely_chance_is_well(windows: Windows, settings: dict[str, float]):
    assert verdict_of(windows, shift(**settings), firing=True) == "ok"
