"""Pairs that train and pairs that are kept for the gate, parted by document, by time, and alike in every language."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from driftwatch.retrain._alike import alike_among, key
from driftwatch.retrain._removed import TakenOut
from driftwatch.retrain.settings import Leaks
from driftwatch.retrained import Pair, Removed

SAYS_NOTHING = "a question without a letter or digit"
BETWEEN = "a question whose answers are on both sides"
WRITTEN = "a question of a language model about what is held out"
FEW = 20
"""Pairs below which a language has no share of its own: it shares one with the other small ones."""
WINDOW = 2
"""Of the newest pairs, so many times what is held out are drawn from."""


@dataclass(frozen=True, slots=True)
class Split:
    """Pairs in the order in which they were given."""

    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    removed: tuple[Removed, ...]


def split(pairs: Sequence[Pair], settings: Leaks, seed: int) -> Split:
    """Part ``pairs`` so that no document and no question, however it is spelt, is on both sides.

    A group is all documents and questions that hang together: by a pair, or by two questions whose letters are alike
    (``settings.words``). Groups are held out until ``settings.held_out`` of the pairs of each language are. Where pairs
    have times, they are drawn from the newest: from twice as many pairs as are held out, so that half of what is new
    still trains; groups without a time are drawn along with them. Older groups follow only where those are too few.

    A group that is too large to be on one side whole is cut: documents near to each other in it are held out, and
    questions between the two parts are left out of both. Pairs that are not ``relevant`` go with their question, and
    tie nothing together. The same pairs in another order give the same parts.

    What a language model wrote is never held out, and ties nothing together: it was kept since the model in use answers
    it, and to be good at such questions is not to be good at people's. It trains, but not about what is held out.
    """
    taken = TakenOut()
    said = [pair for pair in pairs if _says_something(pair, taken)]
    names = _one_name({pair.query for pair in said}, settings.words)
    answers = [(names[pair.query], pair) for pair in said if pair.relevant and pair.origin != "generated"]
    groups = _cut(_groups(answers), settings.held_out, len(answers), seed)
    held = _held_out(groups, settings.held_out, seed)
    side = {name: group in held for group, each in enumerate(groups) for name in each.questions}
    documents = {pair.doc_id for group in held for _, pair in groups[group].pairs}
    between = {pair for group in groups for _, pair in group.between}
    parts: dict[bool, list[Pair]] = {False: [], True: []}
    for pair in said:
        if pair in between:
            taken.add(BETWEEN, pair.query)
        elif pair.origin == "generated" and (side.get(names[pair.query], False) or pair.doc_id in documents):
            taken.add(WRITTEN, pair.query)
        else:
            parts[side.get(names[pair.query], False)].append(pair)
    return Split(tuple(parts[False]), tuple(parts[True]), taken.all())


def _says_something(pair: Pair, taken: TakenOut) -> bool:
    if any(map(str.isalnum, key(pair.query))):
        return True
    taken.add(SAYS_NOTHING, pair.query)
    return False


@dataclass(frozen=True, slots=True)
class _Group:
    """Questions and documents that hang together."""

    pairs: tuple[tuple[str, Pair], ...]
    """(name of the question, pair)."""
    between: tuple[tuple[str, Pair], ...] = ()
    """Left out, where a larger group was cut."""

    @property
    def questions(self) -> set[str]:
        return {name for name, _ in self.pairs}

    @property
    def newest(self) -> datetime | None:
        """The middle one of its times; None where no pair has one."""
        times = sorted(pair.at for _, pair in self.pairs if pair.at is not None)
        return times[len(times) // 2] if times else None

    def drawn(self, seed: int) -> bytes:
        """Its place in the draw: by the seed and what is in it, whatever else there is."""
        return _drawn(seed, min((pair.doc_id for _, pair in self.pairs), default=""))


def _one_name(texts: set[str], share: float) -> dict[str, str]:
    """text -> the name that all texts share which are alike, through any number of others."""
    keys = {text: key(text) for text in texts}
    different = sorted(set(keys.values()))
    spelt = {keys[text]: text for text in sorted(texts, reverse=True)}
    one = _Union(different)
    for here, there in alike_among([spelt[name] for name in different], share):
        one.join(different[here], different[there])
    return {text: one.find(name) for text, name in keys.items()}


class _Union:
    """Which names hang together (disjoint sets)."""

    def __init__(self, names: Iterable[str]) -> None:
        self.above = {name: name for name in names}

    def find(self, name: str) -> str:
        """The one that stands for all of them: the smallest."""
        root = name
        while self.above[root] != root:
            root = self.above[root]
        while self.above[name] != root:
            self.above[name], name = root, self.above[name]
        return root

    def join(self, one: str, other: str) -> None:
        """Put two together."""
        small, large = sorted((self.find(one), self.find(other)))
        self.above[large] = small


def _groups(answers: Sequence[tuple[str, Pair]]) -> list[_Group]:
    """What hangs together by pairs, in an order that does not depend on theirs."""
    one = _Union({name for each, pair in answers for name in (f"q {each}", f"d {pair.doc_id}")})
    for name, pair in answers:
        one.join(f"q {name}", f"d {pair.doc_id}")
    found: defaultdict[str, list[tuple[str, Pair]]] = defaultdict(list)
    for name, pair in answers:
        found[one.find(f"q {name}")].append((name, pair))
    return [_Group(tuple(found[root])) for root in sorted(found)]


def _cut(groups: Sequence[_Group], share: float, pairs: int, seed: int) -> list[_Group]:
    """The groups, of which one that leaves too few others to hold out is cut in two."""
    wanted = round(share * pairs)
    found: list[_Group] = []
    for group in groups:
        others = pairs - len(group.pairs)
        if 2 * others >= wanted or len({pair.doc_id for _, pair in group.pairs}) == 1:
            found.append(group)
        else:
            found.extend(_halves(group, wanted - others, seed))
    return found


def _halves(group: _Group, wanted: int, seed: int) -> Iterator[_Group]:
    """Documents that are neighbours, with ``wanted`` pairs, and the rest; what is between goes with the second."""
    near = _neighbours(group, wanted, seed)
    whole: defaultdict[str, set[bool]] = defaultdict(set)
    for name, pair in group.pairs:
        whole[name].add(pair.doc_id in near)
    parts = {inside: tuple(each for each in group.pairs if whole[each[0]] == {inside}) for inside in (True, False)}
    between = tuple(each for each in group.pairs if len(whole[each[0]]) == 2)
    yield from (_Group(part, () if inside else between) for inside, part in parts.items() if part or not inside)


def _neighbours(group: _Group, wanted: int, seed: int) -> set[str]:
    """Documents of about ``wanted`` pairs, found by going from question to question: few others touch them."""
    questions: defaultdict[str, set[str]] = defaultdict(set)
    documents: defaultdict[str, set[str]] = defaultdict(set)
    for name, pair in group.pairs:
        questions[pair.doc_id].add(name)
        documents[name].add(pair.doc_id)
    order = sorted(questions, key=lambda doc_id: _drawn(seed, doc_id))
    waiting, seen, near, have = deque(order[:1]), {order[0]}, set[str](), 0
    while waiting and have < wanted and len(near) + 1 < len(order):
        doc_id = waiting.popleft()
        near.add(doc_id)
        have += len(questions[doc_id])
        beside = {other for name in questions[doc_id] for other in documents[name]} - seen
        seen |= beside
        waiting.extend(sorted(beside, key=lambda doc_id: _drawn(seed, doc_id)))
    return near


def _held_out(groups: Sequence[_Group], share: float, seed: int) -> set[int]:
    """Places of the groups that are held out: first those that take no language above its share, then those that at
    least bring the languages, all together, nearer to it.
    """
    counts = _by_language(groups)
    left = {lang: share * pairs for lang, pairs in sum(counts, Counter[str]()).items()}
    held: set[int] = set()
    in_turn = _in_turn(groups, share, seed)
    for above in (False, True):
        for place in in_turn:
            after = {lang: left[lang] - pairs for lang, pairs in counts[place].items()}
            nearer = sum(abs(left[lang]) - abs(rest) for lang, rest in after.items()) > 0
            if place not in held and nearer and (above or min(after.values()) > -0.5):
                held.add(place)
                left |= after
    return held


def _in_turn(groups: Sequence[_Group], share: float, seed: int) -> list[int]:
    """Places of the groups, as they are drawn: the newest and those without a time by seed, then older and older."""
    times = {place: time for place, group in enumerate(groups) if (time := group.newest) is not None}
    by_time = sorted(times, key=lambda place: (-times[place].timestamp(), groups[place].drawn(seed)))
    left = WINDOW * share * sum(len(groups[place].pairs) for place in by_time)
    newest: set[int] = set()
    for place in by_time:
        if left <= 0:
            break
        newest.add(place)
        left -= len(groups[place].pairs)
    first = [place for place in range(len(groups)) if place in newest or place not in times]
    drawn = sorted(first, key=lambda place: groups[place].drawn(seed))
    return drawn + [place for place in by_time if place not in newest]


def _by_language(groups: Sequence[_Group]) -> list[Counter[str]]:
    """Pairs of each group by language; those of small languages are counted together."""
    every = Counter(pair.lang for group in groups for _, pair in group.pairs)
    return [Counter(pair.lang if every[pair.lang] >= FEW else "" for _, pair in group.pairs) for group in groups]


def _drawn(seed: int, name: str) -> bytes:
    return blake2b(f"{seed} {name}".encode("utf-8", "replace"), digest_size=8).digest()
