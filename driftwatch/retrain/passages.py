"""Documents as a model reads them: whole, or cut into passages of so many tokens that repeat a little of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from driftwatch.embed._weights import find_weights
from driftwatch.errors import EmbedError, MissingExtra, RetrainError
from driftwatch.retrain.settings import PairSettings
from driftwatch.retrained import Passage
from driftwatch.types import Document

ENDS = 2
"""Tokens that a model puts around a text ([CLS], [SEP]): they count among those that it reads."""
WITHIN = 16
"""Tokens by which a cut moves back so that it falls between two words."""

Offsets = Callable[[str], list[tuple[int, int]]]
"""Text -> where each of its tokens begins and ends, in characters."""


def passages_of(documents: Iterable[Document], settings: PairSettings, offsets: Offsets) -> Iterator[Passage]:
    """What is embedded, in the order of the documents; a document without a token has no passage.

    Each token of a document is in one of its passages, and each passage is a piece of the text as it stands there.

    Raises:
        RetrainError: a document is called as a passage of another one is.
    """
    names: set[str] = set()
    for document in documents:
        pieces = _pieces(document.text, offsets(document.text), settings)
        whole = len(pieces) == 1
        for number, text in enumerate(pieces, 1):
            name = document.doc_id if whole else f"{document.doc_id}#{number}"
            if name in names:
                raise RetrainError(
                    f"documents: two passages are called '{name}', one of them from '{document.doc_id}'.",
                    remedy="Let no doc_id end in '#' and a number that another document's passages may have.",
                )
            names.add(name)
            yield Passage(name, document.doc_id, text, document.lang)


def offsets_of(model: str, revision: str | None = None) -> Offsets:
    """How a model cuts texts into tokens; nothing but its tokenizer is loaded, and that at the first text.

    Raises:
        EmbedError: (at the first text) there is no such model, or it has no fast tokenizer.
        MissingExtra: (at the first text) the tokenizers are not installed.
    """
    tokenizer: Any = None

    def offsets(text: str) -> list[tuple[int, int]]:
        nonlocal tokenizer
        if tokenizer is None:
            tokenizer = _tokenizer(model, revision)
        return list(tokenizer.encode(text, add_special_tokens=False).offsets)

    return offsets


def _pieces(text: str, offsets: list[tuple[int, int]], settings: PairSettings) -> list[str]:
    """The text as it is, or its passages."""
    if not offsets or text.isspace():
        return []
    if len(offsets) <= settings.tokens - ENDS:
        return [text]
    pieces = (text[offsets[start][0] : offsets[end - 1][1]].strip() for start, end in _spans(text, offsets, settings))
    return [piece for piece in pieces if piece]


def _spans(text: str, offsets: list[tuple[int, int]], settings: PairSettings) -> Iterator[tuple[int, int]]:
    """First token and the one after the last of each passage."""
    room, start, end = settings.tokens - ENDS, 0, 0
    while start + room < len(offsets):
        end = _between_words(text, offsets, start + room, max(start, end) + 1)
        yield start, end
        start = _between_words(text, offsets, max(end - settings.overlap, start + 1), start + 1)
    yield start, len(offsets)


def _between_words(text: str, offsets: list[tuple[int, int]], cut: int, least: int) -> int:
    """The nearest place before ``cut`` where a word begins: half a word is other tokens than it was in the whole."""
    for place in range(cut, max(cut - WITHIN, least) - 1, -1):
        begins, before = offsets[place][0], offsets[place - 1][1]
        if begins > before or text[begins : begins + 1].isspace():
            return place
    return cut


def _tokenizer(model: str, revision: str | None) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtra("tokenizers", "retrain", "Cutting long documents") from None
    folder = find_weights(model, revision)
    file = next(
        (file for file in (folder / "tokenizer.json", *folder.glob("*/tokenizer.json")) if file.is_file()), None
    )
    if file is None:
        raise EmbedError(
            f"the model '{model}' has no tokenizer.json, and without it long documents cannot be cut.",
            remedy="Save its tokenizer once with `AutoTokenizer.from_pretrained(...).save_pretrained(...)`.",
        )
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower; it becomes a sentence
        raise EmbedError(f"{file}: is no tokenizer: {str(error)[:200]}.", remedy="Download the model again.") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
