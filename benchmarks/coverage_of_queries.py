"""Is a canary nearby? The radius of `canaries coverage` against the intents of CLINC150, and what `propose` picks.

    python benchmarks/coverage_of_queries.py   # a minute, and one more to embed the first time

Real questions of 150 intents (Larson and others 2019). Canaries are questions of the validation part, some of each of
half of the intents; live queries are drawn from the test part, with questions out of every scope among them. A canary
of the query's own intent should count as nearby, one of another should not: of the queries that are called covered,
"precision" is the share whose nearest canary has their intent; of the queries whose intent has a canary, "recall" is
the share that is called covered. "Best" is the radius with the highest F1 that the labels allow: nobody has it. The
radius that driftwatch learns sees no label and no canary. "Covered" is the share that is said to be covered, "truly"
the share of live queries whose intent has a canary.

"Proposed" is the share of the traffic of intents without a canary whose intent is among 50 proposals; "at random" is
that of 50 queries drawn at random from what is not covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from _corpora import data, embedder, rows
from _report import show_and_keep
from numpy.typing import NDArray

from driftwatch.coverage import Points, coverage, propose

SEEDS = range(5)
CANARIES_AN_INTENT = (1, 3, 10)
LIVE = (300, 1000, 3000)
OUT_OF_SCOPE = 0.06
PROPOSED = 50
GRID = np.arange(0.3, 0.9, 0.01)


@dataclass(frozen=True)
class Questions:
    """Questions of the validation and test parts, a row each."""

    vectors: NDArray[np.float32]
    intent: NDArray[np.str_]
    part: NDArray[np.str_]

    @staticmethod
    def read() -> Questions:
        kept = [row for row in rows(data("clinc150") / "queries.jsonl.gz") if row["split"] in ("val", "test")]
        kept = [row for row in kept if row["in_scope"] or row["split"] == "test"]
        names = (np.array([row[key] for row in kept]) for key in ("label", "split"))
        return Questions(embedder().encode_queries([row["text"] for row in kept]), *names)


def points(questions: Questions, chosen: NDArray[np.intp]) -> Points:
    return Points(questions.vectors[chosen], np.full(len(chosen), "en"), np.ones(len(chosen)))


def measured(questions: Questions, an_intent: int, popular: str, n: int, seed: int) -> dict[str, float]:
    random = np.random.default_rng(seed)
    intents = np.setdiff1d(np.unique(questions.intent), ["oos"])
    covered = random.permutation(intents)[: len(intents) // 2]
    asked = np.concatenate(
        [
            random.choice(np.flatnonzero((questions.part == "val") & (questions.intent == intent)), an_intent, False)
            for intent in covered
        ]
    )
    test = np.flatnonzero(questions.part == "test")
    share = dict(
        zip(random.permutation(intents), 1 / np.arange(1, 151) if popular == "Zipf" else np.ones(150), strict=True)
    )
    in_scope = sum(share.values())
    share["oos"] = OUT_OF_SCOPE * in_scope
    counts = dict(zip(*np.unique(questions.intent[test], return_counts=True), strict=True))
    weight = np.array([share[intent] / counts[intent] for intent in questions.intent[test]])
    live = random.choice(test, n, p=weight / weight.sum())
    found = coverage(points(questions, live), points(questions, asked))
    nearest = asked[(questions.vectors[live] @ questions.vectors[asked].T).argmax(axis=1)]
    right = questions.intent[nearest] == questions.intent[live]
    has = np.isin(questions.intent[live], covered)
    precision, recall, f1 = _f1(found.similarity, found.radius["en"], right, has)
    best = max((_f1(found.similarity, radius, right, has)[2], radius) for radius in GRID)
    return {
        "radius": found.radius["en"],
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "best_radius": float(best[1]),
        "best_f1": best[0],
        "covered": found.covered,
        "truly": float(has.mean()),
        **_proposed(questions, live, asked, has, found, random),
    }


def _f1(similarity, radius, right, has):
    near = similarity >= radius
    precision = float((near & right).sum() / max(near.sum(), 1))
    recall = float((near & has).sum() / max(has.sum(), 1))
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def _proposed(questions, live, asked, has, found, random):
    intent = questions.intent[live]
    wanted = ~has & (intent != "oos")
    picks = propose(points(questions, live), np.zeros(len(live), bool), found, points(questions, asked), PROPOSED)
    drawn = random.choice(np.flatnonzero(~found.nearby), PROPOSED, replace=False)

    def share(rows):
        return float(np.isin(intent[wanted], intent[rows]).mean())

    return {"proposed": share([pick.row for pick in picks]), "at_random": share(drawn)}


def main() -> None:
    questions = Questions.read()
    raw, table = [], []
    for popular, an_intent, n in product(("even", "Zipf"), CANARIES_AN_INTENT, LIVE):
        each = [measured(questions, an_intent, popular, n, seed) for seed in SEEDS]
        mean = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        raw.append({"intents": popular, "canaries_an_intent": an_intent, "live": n, "runs": each, "mean": mean})
        table.append(
            {"intents": popular, "canaries an intent": an_intent, "live queries": n}
            | {name.replace("_", " "): f"{value:.2f}" for name, value in mean.items()}
        )
    overall = {name: float(np.mean([row["mean"][name] for row in raw])) for name in raw[0]["mean"]}
    table.append(
        {"intents": "all", "canaries an intent": "", "live queries": ""}
        | {name.replace("_", " "): f"{value:.2f}" for name, value in overall.items()}
    )
    show_and_keep("coverage_of_queries", "Is a canary nearby? CLINC150", table, {"settings": raw, "mean": overall})


if __name__ == "__main__":
    main()
