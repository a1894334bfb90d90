"""Fixed texts embedded anew at every run: an embedder that has not been touched gives the same vectors."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.types import Embedder, Look

TEXTS = (
    "How do I get my money back?",
    "The warranty covers two years from the day of purchase.",
    "error 0x80070057 while installing update",
    "iPhone 15 Pro 256 GB, price in EUR incl. VAT",
    "Wie kündige ich meinen Vertrag?",
    "Die Lieferung verzögert sich um drei Werktage.",
    "Où puis-je modifier mon adresse de livraison ?",
    "La pile se remplace sans outil.",
    "¿Cuánto tarda el envío a las islas?",
    "Come posso cambiare la password?",
    "Kan ik twee kortingscodes combineren?",
    "Как вернуть товар без чека?",
    "كيف أغير عنوان بريدي الإلكتروني؟",
    "退款需要几个工作日？",
    "パスワードを忘れました",
    "비밀번호를 재설정하는 방법",
    "Siparişim nerede?",
    "एक्सचेंज की अंतिम तिथि क्या है?",
    "def mean(values): return sum(values) / len(values)",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
)
KEPT_NUMBERS = 96
"""Of a longer vector so many random projections are kept, in which lengths are what they were within some percent."""
MOVED = 0.002
"""Displacement that float16 and the order of a batch do not explain."""
SETTLES_AFTER = timedelta(days=1)
"""When an embedder that says itself that it is another one counts as the new normal ..."""
STAYS_WRONG = timedelta(days=7)
"""... and when one does that says nothing."""


def look_at_strings(embedder: Embedder, kept: Mapping[str, Any], now: datetime) -> tuple[Look, dict[str, Any]]:
    """What the fixed texts' vectors are against those ``kept`` at the first run, and what is to be kept now.

    Raises:
        EmbedError: the model cannot be asked.
    """
    vectors = _anew(embedder)
    fresh = _packed(vectors, embedder.fingerprint)
    former = _unpacked(kept)
    if former is None:
        return Look(n=len(vectors), values={"displacement p50": 0.0}), fresh
    words = {}
    if kept.get("fingerprint") != embedder.fingerprint:
        words["fingerprint"] = f"{kept.get('fingerprint')} -> {embedder.fingerprint}"
    if kept.get("dimension") != vectors.shape[1]:
        words["dimension"] = f"{kept.get('dimension')} -> {vectors.shape[1]}"
        moved = np.full(len(vectors), 2.0)
    else:
        moved = np.linalg.norm(_projected(vectors).astype(np.float16).astype(np.float32) - former, axis=1)
    bad = int((moved > MOVED).sum())
    values = {"displacement p50": float(np.median(moved)), "displacement p100": float(moved.max())}
    look = Look(len(vectors), bad, values=values, words=words, why=_why(moved, bad, words))
    return look, _next_kept(kept, fresh, bool(bad), "fingerprint" in words, now)


def _anew(embedder: Embedder) -> NDArray[np.float32]:
    """Each text as a query and as a document; shape (2 n, dimension)."""
    anew = getattr(embedder, "encode_anew", None)
    if anew is not None:
        return np.concatenate([anew("query", TEXTS), anew("document", TEXTS)])
    return np.concatenate([embedder.encode_queries(TEXTS), embedder.encode_documents(TEXTS)])


def _why(moved: NDArray[np.float32], bad: int, words: Mapping[str, str]) -> str:
    if not bad:
        return ""
    changed = "and it says so itself" if "fingerprint" in words else "while its name and version stayed the same"
    return (
        f"the embedder gives other vectors than at the first run for {bad} of {len(moved)} fixed texts "
        f"({100 * float(np.median(moved)):.2g}% apart), {changed}"
    )


def _next_kept(
    kept: Mapping[str, Any], fresh: dict[str, Any], is_bad: bool, said_so: bool, now: datetime
) -> dict[str, Any]:
    """The first vectors, until others have been given for so long that they are what is normal."""
    if not is_bad:
        return {**kept, "moved": None}
    since = datetime.fromisoformat(kept["moved"]) if kept.get("moved") else now
    if now - since >= (SETTLES_AFTER if said_so else STAYS_WRONG):
        return fresh
    return {**kept, "moved": since.isoformat()}


def _packed(vectors: NDArray[np.float32], fingerprint: str) -> dict[str, Any]:
    half = _projected(vectors).astype("<f2")
    return {
        "fingerprint": fingerprint,
        "dimension": int(vectors.shape[1]),
        "vectors": base64.b64encode(half.tobytes()).decode(),
        "moved": None,
    }


def _unpacked(kept: Mapping[str, Any]) -> NDArray[np.float32] | None:
    text = kept.get("vectors")
    if not isinstance(text, str):
        return None
    flat = np.frombuffer(base64.b64decode(text), "<f2")
    if not flat.size or flat.size % (2 * len(TEXTS)):
        return None
    return flat.reshape(2 * len(TEXTS), -1).astype(np.float32)


def _projected(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most ``KEPT_NUMBERS`` numbers a row; differences keep their length (Johnson and Lindenstrauss 1984)."""
    width = vectors.shape[1]
    if width <= KEPT_NUMBERS:
        return vectors
    # Raw bits, because only they are promised to stay the same in every version of numpy.
    raw = np.random.PCG64(7).random_raw(-(-width * KEPT_NUMBERS // 64)).astype("<u8")
    bits = np.unpackbits(raw.view(np.uint8))[: width * KEPT_NUMBERS].reshape(width, KEPT_NUMBERS)
    signs = (2.0 * bits - 1.0) / np.sqrt(KEPT_NUMBERS)
    return np.asarray(vectors @ signs, dtype=np.float32)
