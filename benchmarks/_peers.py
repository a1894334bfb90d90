"""The detectors that ours is put beside, and how each sees a stream. What of a kind does best, in hindsight, counts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from _streams import BASELINE_DAYS, BLOCK, Scenario, Stream
from _traffic import Floats
from _tuned import Detector, Tuned, cusum, cutoff, increments, river, tune

Statistic = Callable[[Stream], Floats]

FAMILY_SHARE = {"scores": 0.30, "rates": 0.20, "canaries": 0.30, "query drift": 0.15}
"""Of the budget of false pages, as ours shares it out."""
PAGES_PER_YEAR = 365 / 90
"""The whole budget."""


@dataclass(frozen=True)
class Peer:
    """A detector and what it is fed with."""

    kind: str
    """What a column of a table is called; a kind may have several members (slacks, scales)."""
    detector: Detector
    statistic: Statistic
    streams: int = 1000
    """Tuned on so many streams at most: river's detectors are slow."""


def stacked(streams: Iterable[Stream]) -> Stream:
    """Many streams of one length as one whose arrays have a first axis more."""
    every = list(streams)
    return Stream(*(np.stack([getattr(stream, field.name) for stream in every]) for field in fields(Stream)))


def tuned(peers: Sequence[Peer], quiet: Stream, wanted: float) -> list[tuple[Peer, Tuned]]:
    """Each peer with the threshold that gives it ``wanted`` pages a year on the quiet streams."""
    found = []
    for peer in peers:
        start = time.perf_counter()
        found.append((peer, tune(peer.detector, peer.statistic(quiet)[: peer.streams], wanted, BASELINE_DAYS)))
        last = found[-1][1]
        note = f"{last.threshold:.4g}, {last.pages} pages in {last.years:.0f} years"
        sys.stderr.write(f"{peer.detector.name}: {note}, {time.perf_counter() - start:.0f} s\n")
    return found


def delays(
    peers: Sequence[tuple[Peer, Tuned]], scenario: Scenario, changed: Stream, starts: Floats
) -> dict[str, Floats]:
    """Name of a detector -> days to its page, one a stream."""
    segments = scenario.segments(changed.score.shape[2] - 1)
    return {peer.detector.name: found.delays(peer.statistic(changed), starts, segments) for peer, found in peers}


def score_peers() -> list[Peer]:
    """For the scores, either direction."""
    return [
        *(
            Peer("CUSUM", cusum(f"CUSUM, slack {slack}", BLOCK, slack), lambda s: s.score)
            for slack in (0.25, 0.5, 1.0, 1.5)
        ),
        *_river_peers(lambda s: s.score, "both"),
        Peer("KS", cutoff("KS, p", 24, 0.1, 300), lambda s: -np.log10(np.maximum(s.p, 1e-300))),
        Peer("KS", cutoff("KS, D", 24, 0.01, 1), lambda s: s.ks),
        Peer("KS", cutoff("KS, D by its own days", 24, 0.1, 100), lambda s: _by_own_days(s.ks)),
        Peer("Wasserstein", cutoff("Wasserstein", 24, 0.01, 5), lambda s: s.wasserstein),
        Peer("Wasserstein", cutoff("Wasserstein by its own days", 24, 0.1, 100), lambda s: _by_own_days(s.wasserstein)),
    ]


def rate_peers() -> list[Peer]:
    """For the rate of empty results, upwards."""
    return [
        *(
            Peer("CUSUM", cusum(f"CUSUM, slack {slack}", BLOCK, slack, (1,)), lambda s: s.empty)
            for slack in (0.5, 1.0, 1.5)
        ),
        *(_count_cusum(ratio) for ratio in (1.25, 1.5, 2.0)),
        *_river_peers(lambda s: s.empty, "up"),
        Peer("z test", cutoff("z test", BLOCK, 1, 50), lambda s: np.nan_to_num(s.empty)),
    ]


def _count_cusum(ratio: float) -> Peer:
    detector = cusum(f"Poisson CUSUM, {ratio} x", BLOCK, 0.0, (1,))
    return Peer("CUSUM", detector, lambda s: increments(s.hits, s.expected, ratio))


def _river_peers(statistic: Statistic, mode: str) -> list[Peer]:
    from river.drift import ADWIN, PageHinkley

    # What is fed has a mean of 0 and a deviation of 1: river's 50 and .005 are meant for raw values.
    return [
        *(
            Peer(
                "Page-Hinkley",
                river(
                    f"Page-Hinkley, delta {delta}",
                    BLOCK,
                    lambda t, delta=delta: PageHinkley(delta=delta, threshold=t, mode=mode),
                    2,
                    500,
                ),
                statistic,
                streams=20,
            )
            for delta in (0.3, 1.0)
        ),
        Peer(
            "ADWIN",
            river("ADWIN", BLOCK, lambda t: ADWIN(delta=float(np.exp(-t)), clock=1), 0.7, 200),
            statistic,
            streams=20,
        ),
    ]


def _by_own_days(distance: Floats) -> Floats:
    """A segment's distances as multiples of what the baseline's own days have on average."""
    return distance / distance[:, :BASELINE_DAYS].mean(axis=1, keepdims=True)
