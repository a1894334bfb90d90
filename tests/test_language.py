"""Languages of queries: found among the configured ones, or said to be unknown."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from driftwatch import language
from driftwatch.errors import MissingExtra
from driftwatch.language import Detector, primary_subtag, words_of

DATA = Path(os.environ.get("DRIFTWATCH_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))

needs_model = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("py3langid") is None, reason="needs py3langid: the extra 'lang'"
)

QUESTIONS = {
    "en": "how do I reset my password",
    "de": "wie setze ich mein Passwort zurück",
    "fr": "comment réinitialiser mon mot de passe",
    "es": "cómo restablezco mi contraseña",
    "it": "come faccio a reimpostare la password",
    "pt": "como redefinir minha senha",
    "nl": "hoe stel ik mijn wachtwoord opnieuw in",
    "ja": "パスワードをリセットする方法",
    "zh": "如何重置密码",
    "ko": "비밀번호를 재설정하려면 어떻게 하나요",
    "ar": "كيف أعيد تعيين كلمة المرور",
    "el": "πώς επαναφέρω τον κωδικό μου",
    "th": "ฉันจะรีเซ็ตรหัสผ่านได้อย่างไร",
    "tr": "şifremi nasıl sıfırlarım",
}


@pytest.fixture(scope="module")
def detect() -> Detector:
    return Detector(QUESTIONS)


@needs_model
@pytest.mark.parametrize(("lang", "question"), QUESTIONS.items())
def test_a_question_is_in_its_language(detect: Detector, lang: str, question: str) -> None:
    assert detect(question) == lang
    if lang != "tr":  # its capital dotless I is the Latin one
        assert detect(question.upper()) == lang


@needs_model
@pytest.mark.parametrize(
    "text", ["", " ", "ok", "API", "SAP", "12345", "SKU-4432-B", "https://example.de/wie-geht-das", "a@b.de",
             "iPhone 15", "login", "wifi", "???", "SELECT 1", "\x00", "\ud800", "🙂🙂🙂🙂", "x" * 100_000],
)  # fmt: skip
def test_what_shows_no_language_is_unknown(detect: Detector, text: str) -> None:
    assert detect(text) == "und"


@needs_model
@pytest.mark.parametrize("lang", QUESTIONS)
def test_one_configured_language_is_not_the_answer_to_everything(lang: str) -> None:
    detect = Detector([lang])
    assert {tag for tag, question in QUESTIONS.items() if detect(question) == lang} == {lang}


@needs_model
def test_a_language_that_is_not_configured_is_unknown() -> None:
    detect = Detector(["en", "de"])
    assert detect("Jak mogę zresetować swoje hasło?") == "und"
    assert detect("hvordan nulstiller jeg min adgangskode") == "und"


@needs_model
def test_without_configured_languages_any_may_be_the_answer() -> None:
    assert Detector()("Jak mogę zresetować swoje hasło do konta?") == "pl"


@needs_model
def test_close_varieties_count_for_the_language_that_is_configured() -> None:
    assert Detector(["en", "nb"])("Hvordan får jeg tilbake pengene mine?") == "nb"
    assert Detector(["en", "no"])("Hvordan får jeg tilbake pengene mine?") == "no"
    assert Detector(["en", "zh-Hant-HK"])("如何重設密碼") == "zh"


@needs_model
def test_more_certainty_means_fewer_answers() -> None:
    texts = [" ".join(question.split()[:3]) for question in QUESTIONS.values()]
    known = [sum(Detector(QUESTIONS, least)(text) != "und" for text in texts) for least in (0.0, 0.6, 0.9, 1.01)]
    assert known == sorted(known, reverse=True)
    assert known[0] > 0 == known[-1]


@needs_model
def test_a_language_the_model_does_not_know_is_reported_and_never_found() -> None:
    detect = Detector(["en", "tlh"])
    assert detect.unsupported() == ("tlh",)
    assert detect(QUESTIONS["en"]) == "en"


@needs_model
def test_the_model_is_loaded_by_the_first_text_that_needs_it() -> None:
    detect = Detector(["en", "de"])
    detect("12345")
    assert detect.memory == 0
    detect(QUESTIONS["de"])
    assert detect._model is not None
    model = detect._model
    detect.load()
    assert detect._model is model


@needs_model
def test_remembered_texts_are_bounded_in_number_and_length() -> None:
    detect = Detector(["en"])
    for number in range(language.CACHED + 10):
        detect(f"{number}")
    assert detect._remembered.cache_info().currsize == language.CACHED
    detect("y" * 1000)
    detect("y" * 2000)
    assert detect._remembered.cache_info().hits == 1


@needs_model
def test_threads_share_one_model_and_agree() -> None:
    detect = Detector(QUESTIONS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(detect, list(QUESTIONS.values()) * 20))
    assert found == list(QUESTIONS) * 20


@needs_model
@pytest.mark.parametrize(("words", "right", "wrong"), [(None, 0.996, 0.001), (3, 0.94, 0.005)])
def test_real_questions_in_twelve_languages_are_told_apart(words: int | None, right: float, wrong: float) -> None:
    path = DATA / "xquad" / "queries.jsonl.gz"
    if not path.exists():
        pytest.skip("needs the data set xquad: set DRIFTWATCH_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][::7]
    detect = Detector({row["lang"] for row in rows})
    cut = {"zh": 6, "th": 6}
    texts = [
        (row["text"] if words is None else row["text"][: cut[row["lang"]]] if row["lang"] in cut
         else " ".join(row["text"].split()[:words]), row["lang"])
        for row in rows
    ]  # fmt: skip
    found = [(detect(text), lang) for text, lang in texts]
    assert sum(tag == lang for tag, lang in found) >= right * len(found)
    assert sum(tag not in (lang, "und") for tag, lang in found) <= wrong * len(found)


def test_a_missing_model_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    monkeypatch.setattr(language, "_model", language._model.__wrapped__)
    with pytest.raises(MissingExtra, match=r"pip install 'driftwatch-rag\[lang\]'"):
        Detector(["en"])(QUESTIONS["en"])


def test_importing_this_module_loads_no_model() -> None:
    code = "import sys, driftwatch.language; print(sorted({'py3langid', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "py3langid" not in done.stdout


@pytest.mark.parametrize(
    ("tag", "primary"),
    [("en", "en"), ("de-AT", "de"), ("zh_Hans_CN", "zh"), ("PT-br", "pt"), ("und", "und"), (" fr ", "fr")],
)
def test_a_tag_is_cut_to_its_language(tag: str, primary: str) -> None:
    assert primary_subtag(tag) == primary


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("jp", "Did you mean 'ja'?"),
        ("English", "Did you mean 'en'?"),
        ("deu", "Did you mean 'de'?"),
        ("xx", "Write it like"),
        ("", "Write it like"),
        ("e", "Write it like"),
        ("en--US", "Write it like"),
        ("de,en", "Write it like"),
        ("d€", "Write it like"),
    ],
)
def test_what_is_no_tag_is_an_error_with_the_nearest_one(tag: str, said: str) -> None:
    with pytest.raises(ValueError, match="is not a BCP 47 language") as raised:
        primary_subtag(tag)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wo ist Bestellung 88123 (A-7)?", "wo ist Bestellung (A- )?"),
        ("2019年の売上はいくら", "年の売上はいくら"),
        ("how to use the REST API", "how to use the"),
        ("HOW TO USE THE API", "how to use the api"),
        ("क्या", "क्या"),
        ("abc", ""),
    ],
)
def test_only_words_show_a_language(text: str, words: str) -> None:
    assert words_of(text) == words
