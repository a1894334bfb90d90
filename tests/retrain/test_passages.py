"""Long documents become passages, and nothing of them is lost or changed on the way."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.errors import EmbedError, RetrainError
from driftwatch.retrain.passages import ENDS, WITHIN, offsets_of, passages_of
from driftwatch.retrain.settings import PairSettings
from driftwatch.retrained import Passage
from driftwatch.types import Document

tokenizers = pytest.importorskip("tokenizers")

TWENTY = PairSettings(tokens=20, overlap=4)


def words(text: str) -> list[tuple[int, int]]:
    """Words and signs."""
    return [each.span() for each in re.finditer(r"\w+|[^\w\s]", text)]


def letters(text: str) -> list[tuple[int, int]]:
    """Each sign by itself, as scripts without spaces are cut."""
    return [(place, place + 1) for place, sign in enumerate(text) if not sign.isspace()]


def with_spaces(text: str) -> list[tuple[int, int]]:
    """Words with the space before them, as some tokenizers count it in."""
    return [each.span() for each in re.finditer(r"\s?\w+|[^\w\s]", text)]


def pieces(text: str) -> list[tuple[int, int]]:
    """Three letters at most."""
    return [each.span() for each in re.finditer(r"\w{1,3}|[^\w\s]", text)]


def cut(text: str, settings: PairSettings = TWENTY, offsets=words) -> list[Passage]:
    return list(passages_of([Document("doc", text, "en")], settings, offsets))


def numbered(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))


def test_a_short_document_is_its_own_passage():
    text = "  " + numbered(18) + "\n"
    assert cut(text) == [Passage("doc", "doc", text, "en")]


def test_the_tokens_that_a_model_adds_count():
    assert len(cut(numbered(18))) == 1
    assert len(cut(numbered(19))) == 2


def test_a_long_document_becomes_passages_that_know_their_parent():
    passages = cut(numbered(40))
    assert [each.passage_id for each in passages] == ["doc#1", "doc#2", "doc#3"]
    assert {(each.parent, each.lang) for each in passages} == {("doc", "en")}


def test_a_passage_repeats_the_end_of_the_one_before():
    first, second = (each.text.split() for each in cut(numbered(32)))
    assert first[-4:] == second[:4] == ["w14", "w15", "w16", "w17"]
    assert (len(first), len(second)) == (18, 18)


def test_a_document_without_a_word_has_no_passage():
    assert cut("") == cut(" \n ") == cut(" \n ", offsets=lambda text: [(0, 1), (1, 3)]) == []


def test_a_cut_falls_between_two_words():
    text = " ".join(["antidisestablishment"] * 12)  # seven pieces each
    for passage in cut(text, offsets=pieces):
        assert set(passage.text.split()) == {"antidisestablishment"}


def test_a_word_longer_than_a_passage_is_cut_all_the_same():
    text = "x" * 300
    passages = cut(text, offsets=pieces)
    assert max(len(pieces(each.text)) for each in passages) <= 18
    assert sum(len(each.text) for each in passages) >= len(text)


SETTINGS = st.integers(16, 40).flatmap(
    lambda tokens: st.builds(PairSettings, tokens=st.just(tokens), overlap=st.integers(0, tokens - 1))
)
TEXTS = st.text(st.sampled_from("ab \n.,äß漢字🙈é\u200d"), max_size=400)


@given(TEXTS, SETTINGS, st.sampled_from([words, letters, with_spaces, pieces]))
def test_every_token_is_in_a_passage_and_every_passage_in_the_text(text, settings, offsets):
    seen = [sign.isspace() for sign in text]
    for passage in cut(text, settings, offsets):
        starts = [at for at in range(len(text)) if text.startswith(passage.text, at)]
        assert starts
        for start in starts:
            seen[start : start + len(passage.text)] = [True] * len(passage.text)
    assert all(all(seen[begin:end]) for begin, end in offsets(text))


@given(st.integers(0, 400), SETTINGS, st.sampled_from([words, letters, with_spaces, pieces]))
def test_passages_follow_each_other_without_a_gap(count, settings, offsets):
    """Every word is another, so that each passage has one place only."""
    text = numbered(count)
    end = 0
    for passage in cut(text, settings, offsets):
        start = text.index(passage.text) if passage.text == text else text.index(passage.text, max(0, end - 400))
        assert not text[end:start].strip()
        assert len(offsets(passage.text)) <= settings.tokens - ENDS
        assert start + len(passage.text) > end
        end = start + len(passage.text)
    assert end == len(text)


@given(st.integers(19, 200), st.integers(0, 10))
def test_neighbours_share_the_overlap_and_little_more(count, overlap):
    passages = [each.text.split() for each in cut(numbered(count), PairSettings(tokens=20, overlap=overlap))]
    for before, after in pairwise(passages):
        assert before[len(before) - overlap :] == after[:overlap]
        assert len(set(before) & set(after)) <= overlap + WITHIN


def test_names_that_two_passages_would_share_are_an_error():
    long = Document("a", numbered(40))
    for documents in ([long, Document("a#2", "short")], [Document("a#2", "short"), long]):
        with pytest.raises(RetrainError, match=r"two passages are called 'a#2'.*Let no doc_id end in '#'"):
            list(passages_of(documents, TWENTY, words))


def test_documents_are_read_as_they_are_asked_for():
    def endless():
        while True:
            yield Document("a", "short")

    assert next(passages_of(endless(), TWENTY, words)).text == "short"


# --- a real tokenizer ----------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that holds a WordPiece tokenizer which cuts every text to four tokens, as models are saved."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    vocabulary = {"[UNK]": 0, "pass": 1, "##word": 2, "cafe": 3, "##s": 4, "the": 5}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_offsets_are_those_of_the_text_as_it_stands(model):
    text = "The PASSWORD\u0301s  Cafés 漢字"
    offsets = offsets_of(str(model))(text)
    assert [text[begin:end] for begin, end in offsets][:2] == ["The", "PASS"]
    assert [text[begin:end] for begin, end in offsets][-4:] == ["Café", "s", "漢", "字"]


def test_a_document_is_cut_by_what_its_model_reads(model):
    text = "The Password  Cafés " * 20
    passages = cut(text, offsets=offsets_of(str(model)))
    assert len(passages) > 5
    assert all(each.text in text and each.text.startswith(("The", "Password", "Cafés")) for each in passages)


def test_a_tokenizer_in_a_folder_of_its_own_is_found(model):
    (model / "0_Transformer").mkdir()
    (model / "tokenizer.json").rename(model / "0_Transformer" / "tokenizer.json")
    assert offsets_of(str(model))("the") == [(0, 3)]


def test_a_model_without_a_fast_tokenizer_says_so_at_the_first_text(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    offsets = offsets_of(str(tmp_path))
    with pytest.raises(EmbedError, match=r"no tokenizer.json, and without it long documents cannot be cut"):
        offsets("text")


def test_a_damaged_tokenizer_is_named(model):
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(EmbedError, match=r"tokenizer.json: is no tokenizer: .*Download the model again"):
        offsets_of(str(model))("text")


@pytest.mark.process
def test_cutting_loads_neither_torch_nor_transformers(model):
    code = (
        "import sys; from driftwatch.retrain.passages import offsets_of;"
        f"assert 'tokenizers' not in sys.modules; offsets_of({str(model)!r})('the');"
        "sys.exit(bool({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
