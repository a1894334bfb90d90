"""Has the share of each language changed?"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from driftwatch.checks import Check
from driftwatch.checks._blocks import PRIOR_VARIATION, of_days
from driftwatch.checks._words import count, detected, language, percent
from driftwatch.stats.proportion import g_test, total_variation
from driftwatch.types import TALLY_FIELDS, UNDETERMINED, Finding, Tallies, Window

Counts = NDArray[np.float64]
"""shape (languages,)."""
FEWEST_EXPECTED = 5
"""Languages expected less often than this are tested together: chi-square is an approximation."""


class Mix(Check):
    """The share of each language in the traffic: more French is not the same as French getting worse.

    Effect: total variation distance, the share of queries that would have to change language to undo it.
    """

    kind: Literal["mix"] = "mix"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "tallies"
    family: ClassVar[str] = "mix"
    pools: ClassVar[bool] = False
    remembers: ClassVar[bool] = False

    min_effect: float = Field(default=0.1, gt=0, le=1)
    """A total variation smaller than this never fails, however certain it is."""
    min_n: int = Field(default=200, ge=1)
    """With fewer queries than this in the window, or in the baseline, nothing is said."""
    ignore_und: bool = True
    """Leave out queries whose language nobody knows."""

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the languages of the window."""
        del previous
        now = self._counts(current.tallies)
        details, remark = detected(current.tallies)
        facts: dict[str, Any] = {"n": sum(now.values()), "details": details}
        if not facts["n"]:
            known = current.tallies.total("queries")
            why = f"the language of none of {count(known)} queries is known" if known else "no queries in this window"
            return self.unknown(current, why, **facts)
        if facts["n"] < self.min_n:
            why = f"only {count(facts['n'])} queries of known language in this window; {count(self.min_n)} are needed"
            return self.unknown(current, why, **facts)
        if reference is None:
            return self.learning(current, **facts)
        before = self._counts(reference.tallies)
        if (n := sum(before.values())) < self.min_n:
            why = f"only {count(n)} queries in the same hours of the baseline; {count(self.min_n)} are needed"
            return self.unknown(current, why, **facts)
        return self._compare(current, reference, now, before, facts, remark)

    def past_floor(self, finding: Finding) -> bool:
        """A total variation of at least `min_effect`."""
        return finding.effect is not None and finding.effect >= self.min_effect

    def _compare(
        self,
        current: Window,
        reference: Window,
        now: dict[str, int],
        before: dict[str, int],
        facts: dict[str, Any],
        remark: str,
    ) -> Finding:
        langs = sorted(now.keys() | before.keys())
        left = np.array([now.get(lang, 0) for lang in langs], dtype=np.float64)
        right = np.array([before.get(lang, 0) for lang in langs], dtype=np.float64)
        days = _by_day(reference.tallies, [lang for lang in langs if before.get(lang)])
        vary = of_days(days, 1 + PRIOR_VARIATION**2 * days.sum() / len(days) / max(days.shape[1] - 1, 1))
        statistic, p_value = g_test(*_merge_rare(left, right), vary.factor, vary.freedom)
        effect = total_variation(left, right)
        shares, shares_before = left / left.sum(), right / right.sum()
        moved = np.argsort(-np.abs(shares - shares_before), kind="stable")
        facts |= {
            "value": float(shares[moved[0]]),
            "reference": float(shares_before[moved[0]]),
            "effect": effect,
            "statistic": statistic,
            "p_value": p_value,
            "details": {
                **facts["details"],
                "largest_change": language(langs[moved[0]]),
                "shares": {language(langs[i]): round(float(shares[i]), 5) for i in moved[:30]},
                "reference_shares": {language(langs[i]): round(float(shares_before[i]), 5) for i in moved[:30]},
                "day_dispersion": round(vary.factor, 3),
            },
        }
        changes = [(language(langs[i]), float(shares_before[i]), float(shares[i])) for i in moved[:3]]
        if p_value < current.alpha and effect >= self.min_effect:
            return self.finding(current, "fail", _change_message(changes, effect) + remark, **facts)
        message = f"languages are mixed as in the baseline: {percent(effect)} of {count(facts['n'])} queries differ"
        return self.finding(current, "ok", message + remark, **facts)

    def _counts(self, tallies: Tallies) -> dict[str, int]:
        counts = tallies.by_lang("queries")
        return {lang: n for lang, n in counts.items() if n > 0 and not (self.ignore_und and lang == UNDETERMINED)}


def _change_message(changes: list[tuple[str, float, float]], effect: float) -> str:
    largest = abs(changes[0][2] - changes[0][1])
    told = [
        f"{lang} {'rose' if after > before else 'fell'} from {percent(before)} to {percent(after)}"
        for lang, before, after in changes
        if abs(after - before) >= 0.25 * largest
    ]
    return f"the mix of languages changed for {percent(effect)} of queries: {', '.join(told)}"


def _by_day(tallies: Tallies, langs: list[str]) -> NDArray[np.float64]:
    """Queries by day and language, shape (days, len(langs))."""
    days, day = np.unique(tallies.hour.astype("datetime64[D]"), return_inverse=True)
    queries = tallies.counts[:, TALLY_FIELDS.index("queries")]
    table = np.zeros((len(days), len(langs)))
    for column, lang in enumerate(langs):
        here = tallies.lang == lang
        np.add.at(table[:, column], day[here], queries[here])
    return table


def _merge_rare(left: Counts, right: Counts) -> tuple[Counts, Counts]:
    """The counts with all languages that chi-square is too coarse for as one, at the end."""
    total = left + right
    rare = total * min(left.sum(), right.sum()) / total.sum() < FEWEST_EXPECTED
    if not rare.any():
        return left, right
    return np.append(left[~rare], left[rare].sum()), np.append(right[~rare], right[rare].sum())
