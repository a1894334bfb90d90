"""What the users of the simulated service ask, and what it answers."""

from __future__ import annotations

import numpy as np

ANSWERS = {
    "en": ("You can change that in your account settings.", "I could not find any information about that."),
    "de": ("Das ändern Sie in den Einstellungen.", "Dazu liegen mir leider keine Informationen vor."),
    "fr": ("Vous pouvez le modifier dans les paramètres.", "Je ne dispose d'aucune information à ce sujet."),
    "es": ("Puede cambiarlo en la configuración.", "No tengo información sobre eso."),
}
"""Language -> what the assistant says, and what it says when it does not know."""

TOPICS = tuple(
    tuple(words.split())
    for words in (
        "password reset account login forgotten email",
        "refund order returned money days receipt",
        "delivery parcel late tracking courier address",
        "invoice tax company billing download month",
        "card payment declined bank charge twice",
        "cancel subscription plan renewal yearly trial",
        "app crash update phone android screen",
        "language settings profile photo name change",
        "size exchange colour shoes wrong fit",
        "voucher code discount expired checkout basket",
        "warranty broken repair part replacement device",
        "privacy data delete export consent cookies",
    )
)
"""What people always ask about, the words of a topic each."""

NEW_TOPIC = ("recall", "battery", "fire", "hazard", "overheating", "swollen", "serial", "collection")
"""What nobody asked about before."""

WORDS = 4
"""In a question."""


def question(topic: int, chance: np.random.Generator) -> str:
    """A question about a usual topic, whatever number ``topic`` is."""
    return _of(TOPICS[topic % len(TOPICS)], chance)


def new_question(topic: int, chance: np.random.Generator) -> str:
    """A question about what is new; ``topic`` makes no difference."""
    del topic
    return _of(NEW_TOPIC, chance)


def _of(words: tuple[str, ...], chance: np.random.Generator) -> str:
    return " ".join(words[place] for place in chance.permutation(len(words))[:WORDS])
