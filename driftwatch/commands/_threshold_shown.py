"""A recalibrated cut-off for a person, and as JSON; scores as the service calls them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from driftwatch.show import at, number, table

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.stats.abstaining import Abstention
    from driftwatch.stats.cutoff import Aim, Cutoff
    from driftwatch.stats.matching import Matched, Share
    from driftwatch.stats.rescaling import Rescaling
    from driftwatch.threshold import InLanguage, Recalibrated

Ends = tuple[float | None, float | None]


def content(found: Recalibrated) -> dict[str, Any]:
    """The JSON object; see docs/threshold.md."""
    sign = found.sign
    return {
        "cutoff": {
            "value": _turned(sign, found.value),
            **_ends(sign, found.interval),
            "method": found.method,
            "decides": found.wanted.decides,
            "keep": _direction(found),
            "score_kind": found.score_kind,
        },
        "aim": {"measure": found.wanted.aim.measure, "level": found.wanted.aim.level},
        "current": {"value": found.wanted.current, "still_good": found.still_good, "measured": found.old},
        "labels": {**_cutoff(sign, found.labelled), "from": found.judged} if found.labelled else None,
        "same_documents": _matched(sign, found.mapped),
        "same_share": _matched(sign, found.matched),
        "scale": _scale(sign, found.scale),
        "predicted": {
            "empty": found.empty,
            "empty_before": found.empty_before,
            "abstained": _abstained(found.abstained),
        },
        "by_language": {name: _language(sign, each) for name, each in found.by.items()},
        "reasons": found.reasons,
        "warnings": found.warnings,
    }


def _turned(sign: int, value: float | None) -> float | None:
    return None if value is None else sign * value


def _ends(sign: int, interval: Ends | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {"low": low, "high": high} if sign > 0 else {"low": _turned(-1, high), "high": _turned(-1, low)}


def _direction(found: Recalibrated) -> str:
    return "at most" if found.sign < 0 else "at least"


def _cutoff(sign: int, chosen: Cutoff | None) -> dict[str, Any]:
    if chosen is None:
        return {}
    held_out = chosen.held_out_interval or (None, None)
    return {
        "value": _turned(sign, chosen.value),
        **_ends(sign, chosen.interval),
        "same_rows": _ends(sign, chosen.plateau),
        "as_good": _ends(sign, chosen.flat),
        "held_out": {"value": chosen.held_out, "low": held_out[0], "high": held_out[1]},
        "measured": chosen.measured,
        "reached": chosen.reached,
        "best": chosen.best,
        "best_at": sign * chosen.best_at,
        "rows": chosen.n,
        "queries": chosen.units,
    }


def _matched(sign: int, matched: Matched | None) -> dict[str, Any] | None:
    if matched is None:
        return None
    return {
        "value": _turned(sign, matched.value),
        **_ends(sign, matched.interval),
        "kept_before": matched.share,
        "kept_now": matched.now,
        "units_before": matched.units_before,
        "units_after": matched.units_after,
    }


def _scale(sign: int, scale: Rescaling | None) -> dict[str, Any] | None:
    if scale is None:
        return None
    return {
        "slope": {"value": scale.slope, **_ends(1, scale.slope_interval)},
        "intercept": {"value": sign * scale.intercept, **_ends(sign, scale.intercept_interval)},
        "in_order": scale.in_order,
        "monotone": scale.monotone,
        "unmoved": scale.unmoved,
        "scatter": scale.scatter,
        "pairs": scale.pairs,
        "queries": scale.queries,
    }


def _abstained(abstained: Abstention | None) -> dict[str, Any] | None:
    if abstained is None:
        return None
    share = abstained.share
    return {
        "value": share.value,
        "low": share.low,
        "high": share.high,
        "units": share.units,
        "when_empty": abstained.when_empty,
        "assumed": abstained.assumed,
        "modelled": abstained.modelled,
    }


def _language(sign: int, each: InLanguage) -> dict[str, Any]:
    return {
        "queries": each.queries,
        "sessions": each.sessions,
        "at_common": each.at_common,
        "alone": _cutoff(sign, each.alone) or None,
        "same_share": _matched(sign, each.matched),
        "empty": each.empty,
        "empty_before": each.empty_before,
        "abstained": _abstained(each.abstained),
        "why": each.why,
    }


# --- for a person --------------------------------------------------------------------------------------------------


def shown(found: Recalibrated, timezone: str) -> list[Table | str]:
    """A headline, the numbers, the languages, what made the old one wrong, and what to be careful about."""
    parts: list[Table | str] = [_headline(found), table("", ("", "", "95 %", ""), _numbers(found))]
    if found.by:
        columns = (
            "language", "judged", measure_name(found.wanted.aim), "kept", "alone", "95 %", "empty", "abstains", "",
        )  # fmt: skip
        parts.append(table("by language", columns, [_row(found, name, each) for name, each in found.by.items()]))
    if found.reasons:
        rows = [(each.standing, each.sentence, at(each.at, timezone)) for each in found.reasons]
        parts.append(table("what made the old one wrong", ("evidence", "", "since"), rows))
    return [*parts, *(f"Careful: {each}" for each in found.warnings)]


def measure_name(aim: Aim) -> str:
    """`F1`, `F0.5`, `precision` or `recall`."""
    return f"F{aim.level:g}" if aim.measure == "F" else aim.measure


def _headline(found: Recalibrated) -> str:
    if found.value is None:
        return f"There is no cut-off to propose. {_best(found)}".strip()
    what = "documents that score" if found.wanted.decides == "documents" else "an answer where the best document scores"
    said = f"Keep {what} {_direction(found)} {number(found.sign * found.value)}"
    old = {
        None: "",
        True: f" The one in use, {number(found.wanted.current)}, is within its interval: there is no need to change.",
        False: f" The one in use, {number(found.wanted.current)}, is outside its interval.",
    }[found.still_good]
    return f"{said} ({_span(_ends(found.sign, found.interval))}), from {found.method}.{old}"


def _best(found: Recalibrated) -> str:
    chosen, aim = found.labelled, found.wanted.aim
    if chosen is None:
        return ""
    return (
        f"A {aim.measure} of {aim.level:g} cannot be reached: the most is {number(chosen.best)},"
        f" {_direction(found)} {number(found.sign * chosen.best_at)}."
    )


def _span(ends: dict[str, float | None]) -> str:
    low, high = (number(ends[name]) or "open" for name in ("low", "high"))
    return f"{low} to {high}"


def _numbers(found: Recalibrated) -> Iterator[tuple[str, str, str, str]]:
    name = measure_name(found.wanted.aim)
    if (chosen := found.labelled) is not None and chosen.measured is not None:
        asked = ", ".join(f"{count} from {origin}" for origin, count in found.judged.items())
        held_out = dict(zip(("low", "high"), chosen.held_out_interval or (None, None), strict=True))
        yield f"{name} on queries that did not choose", number(chosen.held_out), _span(held_out), f"queries: {asked}"
        yield f"{name} on those that did", number(chosen.measured.value), "", "flatters"
        yield "precision", number(chosen.measured.precision), "", ""
        yield "recall of what is retrieved", number(chosen.measured.recall), "", ""
    if chosen is not None and chosen.flat is not None:
        yield "as good", _span(_ends(found.sign, chosen.flat)), "", f"cut-offs at which {name} is the same to 0.005"
    if found.old is not None:
        yield f"{name} at the one in use", number(found.old.value), "", ""
    wanted = "as wanted" if found.wanted.keep is not None else "as before"
    for title, matched, why in (
        ("by the same documents", found.mapped, "as before"),
        ("by the same share", found.matched, wanted),
    ):
        if matched is not None:
            ends = _span(_ends(found.sign, matched.interval))
            yield title, number(_turned(found.sign, matched.value)), ends, f"keeps {matched.share:.1%} {why}"
    yield from _predicted(found)


def _predicted(found: Recalibrated) -> Iterator[tuple[str, str, str, str]]:
    if found.empty is not None:
        before = f"{found.empty_before.value:.1%} before" if found.empty_before is not None else ""
        yield "queries without anything kept", *_rate(found.empty), before
    if found.abstained is not None:
        told = "taken for granted that it abstains when nothing is kept" if found.abstained.assumed else ""
        if found.abstained.modelled:
            told = f"{found.abstained.modelled:.0%} of it from a model: nobody saw those queries answered"
        yield "abstentions", *_rate(found.abstained.share), told


def _rate(share: Share) -> tuple[str, str]:
    return f"{share.value:.1%}", f"{share.low:.1%} to {share.high:.1%}"


def _row(found: Recalibrated, name: str, each: InLanguage) -> tuple[str, ...]:
    sign, common, alone = found.sign, each.at_common, each.alone or each.matched
    return (
        name,
        str(each.queries),
        number(common.value) if common else "",
        f"{common.kept:.1%}" if common else "",
        number(_turned(sign, alone.value)) if alone else "",
        _span(_ends(sign, alone.interval)) if alone else "",
        f"{each.empty.value:.1%}" if each.empty else "",
        f"{each.abstained.share.value:.1%}" if each.abstained else "",
        "" if alone else each.why,
    )
