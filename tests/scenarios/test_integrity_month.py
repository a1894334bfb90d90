"""The check of the index through a month of hourly looks at a real index, in which it breaks and is mended twice."""

from datetime import timedelta

import pytest

from driftwatch.alerts import AlertPolicy, advance
from driftwatch.config import read_watch
from driftwatch.types import Alert, Window
from tests.fakes.indexed import HOUR, MONDAY, Indexed
from tests.scenarios.test_scenarios import HERE

DAYS = 30
pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def shipped(folder):
    """The check as it is shipped."""
    sources = "sources: {index: {kind: index}}\nretriever: {kind: http, url: http://x/y}\n"
    (folder / "driftwatch.yaml").write_text(f"service: x\n{sources}checks: {HERE.parents[1]}/checks/integrity.yaml\n")
    return read_watch(folder / "driftwatch.yaml").checks[0]


class Month:
    """Hour by hour: what happens, a look, a judgement, an alert."""

    def __init__(self, folder):
        self.check = shipped(folder)
        self.indexed = Indexed(folder, 400)
        self.alert = Alert(self.check.name, "all")
        self.told = []

    def hour(self):
        now = self.indexed.look().at
        probes = tuple(probe for probe in self.indexed.probes if probe.at > now - timedelta(days=1))
        finding = self.check.judge(Window(now - timedelta(days=1), now, probes=probes), None, None)
        policy = AlertPolicy().override(after=self.check.after, until=self.check.until)
        self.alert, transition = advance(self.alert, finding, policy, now, incident="1")
        if transition is not None:
            self.told.append((1 + (now - MONDAY) / timedelta(days=1), transition.event, finding.message))


def test_a_month_of_looks_at_an_index(tmp_path):
    month = Month(tmp_path)
    indexed = month.indexed
    for hour in range(24 * DAYS):
        if hour % 24 == 3:  # every night some documents change, some come and some go
            day = hour // 24
            indexed.texts[f"doc-{day:04}"] = f"topic5: said anew on {day}"
            indexed.texts[f"new-{day:04}"] = f"topic{day % 10}: news of {day}"
            indexed.texts.pop(f"doc-{200 + day:04}")
            indexed.held = dict(indexed.texts)
            indexed.write()
        if hour == 24 * 19:
            indexed.spoil(["doc-0101", "doc-0202", "doc-0303", "doc-0350"])
        if hour == 24 * 23:
            indexed.instead.clear()
            indexed.write()
        if hour == 24 * 26:
            kept = list(indexed.held.items())
            indexed.held = dict(kept[: int(0.9 * len(kept))])
            indexed.write()
        if hour == 24 * 26 + 2:
            indexed.held = dict(indexed.texts)
            indexed.write()
        month.hour()
    events = [(int(day), event) for day, event, _ in month.told]
    assert events == [(20, "firing"), (24, "resolved"), (27, "firing"), (27, "resolved")]
    assert "other model" in month.told[0][2]
    assert "lost entries" in month.told[2][2] or "not there" in month.told[2][2]
    assert month.indexed.probes[-1].at == MONDAY + (24 * DAYS - 1) * HOUR
