"""The ``retrain:`` section: when a better model is prepared, from what, how, and what it must show."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from driftwatch.plugins import Settings
from driftwatch.retrain.trainer_settings import Command, Webhook
from driftwatch.schedule import Duration, duration
from driftwatch.sizes import Size, size

_USER = re.compile(r"[UW][A-Z0-9]{5,30}")
"""Ids of users; those of a whole organisation begin with W."""


class Generate(Settings):
    """Questions that a language model writes for documents; sent to `url` are texts of documents, and nothing else."""

    url: str
    """An OpenAI-compatible endpoint (`https://api.openai.com/v1`), or Anthropic's (`https://api.anthropic.com`)."""
    api: Literal["openai", "anthropic"] = "openai"
    """Which protocol it speaks."""
    model: str = Field(min_length=1)
    """The name of the model."""
    key: SecretStr | None = None
    """The key of the endpoint, where it wants one."""
    per_document: int = Field(default=3, ge=1, le=20)
    """Questions for one document."""
    documents: int = Field(default=1000, ge=1, le=1_000_000)
    """Documents that questions are written for at most."""
    spend: float = Field(default=5.0, gt=0)
    """The most that one job may cost, in the currency of the two prices below."""
    input_price: float = Field(default=1.0, ge=0)
    """Of a million tokens that are sent."""
    output_price: float = Field(default=4.0, ge=0)
    """Of a million tokens that come back."""
    timeout: Duration = duration("60s")
    """How long to wait for one answer."""

    @field_validator("url")
    @classmethod
    def is_http(cls, url: str) -> str:
        """It holds no key: that is a setting of its own."""
        return _address(url).rstrip("/")


class PairSettings(Settings):
    """Where questions with known answers come from."""

    live: tuple[str, ...] = ()
    """Sources of live queries whose feedback counts; none are named: all of them."""
    days: int = Field(default=90, ge=1, le=366)
    """How far back feedback counts."""
    accepted: int = Field(default=1, ge=1)
    """Sessions that must have accepted an answer, before its document counts as one."""
    click: int = Field(default=3, ge=1)
    """Sessions that must have clicked a document."""
    up: int = Field(default=1, ge=1)
    """Sessions that must have liked an answer."""
    down: int = Field(default=1, ge=1)
    """Sessions that must have disliked one, before its document counts as none."""
    files: tuple[str, ...] = ()
    """Labelled pairs: `.jsonl` with `query` and `doc_id`, or folders as BEIR has them (`qrels/train.tsv`)."""
    generate: Generate | None = None
    """A language model that writes questions; without it, none does."""
    tokens: int = Field(default=256, ge=16, le=8192)
    """A document longer than this is cut into passages of this many tokens ..."""
    overlap: int = Field(default=32, ge=0)
    """... of which each repeats so many of the one before."""

    @model_validator(mode="after")
    def overlaps_less_than_it_is_long(self) -> PairSettings:
        """Else no passage would ever get further."""
        if self.overlap >= self.tokens:
            raise ValueError(f"'overlap: {self.overlap}' must be less than 'tokens: {self.tokens}'.")
        return self


class Leaks(Settings):
    """What keeps the gate honest: nothing that it judges by may train."""

    held_out: float = Field(default=0.2, gt=0, lt=1)
    """The share of the documents' groups whose pairs are kept for the gate."""
    cosine: float = Field(default=0.95, gt=0, le=1)
    """Questions that are nearer to one of the gate than this are not trained on."""
    same_answer: float = Field(default=0.8, gt=0, le=1)
    """Where they have an answer in common with it, this is near enough."""
    words: float = Field(default=0.8, gt=0, le=1)
    """Nor are those that share this much of their three-letter pieces (Jaccard)."""


class Mine(Settings):
    """What must not be taken for the answer: hard negatives."""

    negatives: int = Field(default=4, ge=1, le=32)
    """Of each question."""
    ranks: tuple[int, int] = (1, 100)
    """Between which places of the ranking they are looked for, both counted, 1 being the best."""
    margin: float = Field(default=0.05, ge=0, lt=1)
    """How much lower than the positive's a negative's score must be, as a share of the positive's."""
    near_duplicate: float = Field(default=0.97, gt=0, le=1)
    """A document whose vector is nearer than this to the answer's is another copy of it, and no negative."""
    bm25: float = Field(default=0.25, ge=0, le=1)
    """The share of negatives that is looked for by words."""
    random: float = Field(default=0.0, ge=0, le=1)
    """The share that is drawn at random, for a curriculum."""
    cross_encoder: str | None = None
    """A cross-encoder (a folder or an installed model) that says which candidates are answers after all."""
    judge_share: float = Field(default=0.9, gt=0, le=1)
    """What it scores above this share of the positive's score is no negative."""
    least_rows: int = Field(default=20, ge=1)
    """Fewer rows than this are an error, and not a small training set."""
    seed: int = 0


class Train(Settings):
    """How a model is trained, beyond what the number of pairs decides."""

    loss: Literal["mnrl", "gist"] = "gist"
    """`mnrl`: cached multiple-negatives ranking. `gist`: with false negatives left out that the model in use sees."""
    epochs: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = "auto"
    """`auto` is what the strategy says."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = "auto"
    batch_size: int = Field(default=64, ge=2, le=4096)
    """Questions whose answers are each other's negatives."""
    tokens: int = Field(default=8192, ge=256)
    """Tokens that go through the model at once: what bounds its memory."""
    max_length: int | None = Field(default=None, ge=16)
    """Tokens of a text that are read; without it, as in serving."""
    lora: int = Field(default=0, ge=0, le=256)
    """Rank of the adapters (PEFT); 0 trains every weight."""
    dimensions: tuple[int, ...] = ()
    """Matryoshka dimensions to keep good, for bases that were trained so."""
    device: str = "auto"
    """As in `embedder`."""
    seed: int = 0


class Gate(Settings):
    """What a new model must show before it is offered."""

    measure: str = "nDCG@10"
    """The measure of the held-out canaries."""
    gain: float = Field(default=0.01, ge=0, le=1)
    """The least gain over the model in use."""
    no_language_loses: float = Field(default=0.02, ge=0, le=1)
    """The most that any language may lose."""
    forgets: float = Field(default=0.02, ge=0, le=1)
    """The most that the forgetting set may lose."""
    confidence: float = Field(default=0.98, gt=0.5, lt=1)
    """Of every interval; a model that is no better gets through at most half as often as what this leaves of 1. Of each
    further candidate that is judged against the same model in use, more is asked."""
    least: int = Field(default=50, ge=10)
    """Questions that neither model has seen, at least."""
    least_in_language: int = Field(default=20, ge=5)
    """A language with fewer cannot be shown not to lose; it is said, and where it has a canary, it is refused. Nor can
    a gain be seen by fewer."""
    forgetting: str = ""
    """Canaries of the old distribution (`forgetting/*.jsonl`); without it, the canaries that are watched."""
    memory: float = Field(default=1.5, gt=0)
    """How many times the memory of the old model the new one may take."""
    latency: float = Field(default=1.5, gt=0)
    """How many times its time for one query."""

    @field_validator("measure")
    @classmethod
    def is_a_measure(cls, measure: str) -> str:
        """Read by the same parser as the canary check's."""
        from driftwatch.stats.ir import Measure

        return str(Measure.parse(measure))


class Approve(Settings):
    """Who may switch a new model on, from Slack."""

    users: tuple[str, ...] = Field(min_length=1)
    """Ids of users (U…)."""
    channel: str = Field(min_length=1)
    token: SecretStr
    """The app's bot token (`xoxb-…`)."""
    app_token: SecretStr
    """The app-level token of Socket Mode (`xapp-…`, scope connections:write)."""
    expires: Duration = duration("7 days")
    """A question that nobody answered for so long is answered with no."""
    base_url: str = "https://slack.com/api/"
    """Slack's Web API, or a proxy in front of it."""

    @field_validator("users")
    @classmethod
    def are_ids(cls, users: tuple[str, ...]) -> tuple[str, ...]:
        """Somebody may call himself by any name; only an id cannot be taken by another."""
        for who in users:
            if not _USER.fullmatch(who):
                raise ValueError(
                    f"{who!r} is no id of a user in Slack. Write ids like U024BE7LH; yours is in the menu of your"
                    " profile under 'Copy member ID'."
                )
        return users

    @field_validator("base_url")
    @classmethod
    def is_http(cls, base_url: str) -> str:
        """The tokens are sent there, and not in the address."""
        return _address(base_url)


class Promote(Settings):
    """How a new model is switched on."""

    keep: int = Field(default=3, ge=2, le=100)
    """Releases that are kept for a rollback."""
    rate: float = Field(default=0.0, ge=0)
    """Documents a second that are embedded anew at most; 0 is as fast as it goes."""
    shard: int = Field(default=2000, ge=10, le=1_000_000)
    """Documents of one piece of that work: what is lost at most when it is killed."""
    dual_run: Duration | None = None
    """How long the new index stands beside the old one before the switch; then both answer the canaries, and one that
    does worse is not switched on. Without it, the switch comes at once."""
    run: tuple[str, ...] = ()
    """A program that tells the service about the switch (`[systemctl, reload, search]`), no shell."""
    mlflow: str = ""
    """Address of an MLflow registry that learns of releases by their aliases; without it, none does."""
    disk: Size = size("20 GB")
    """The most that releases and jobs may take; the oldest that are not in use go first."""


class Retrain(Settings):
    """When a better model is prepared; what it takes to switch it on."""

    when: tuple[str, ...] = Field(min_length=1)
    """The checks whose lasting failure asks for it."""
    folder: Path | None = None
    """Jobs and releases; without it, `retrain` beside the database."""
    windows: int = Field(default=3, ge=1, le=12)
    """In so many stretches of time, one after the other, the drift must show itself anew ..."""
    window: Duration = duration("7 days")
    """... each of them so long."""
    least_pairs: int = Field(default=50, ge=10)
    """Pairs that must be there before a job begins."""
    cool_down: Duration = duration("30 days")
    """After one job ended, until the next may begin."""
    jobs_a_month: int = Field(default=2, ge=1, le=31)
    """In any thirty days."""
    pairs: PairSettings = PairSettings()
    leaks: Leaks = Leaks()
    mine: Mine = Mine()
    train: Train = Train()
    gate: Gate = Gate()
    trainer: Literal["local"] | Command | Webhook = "local"
    """`local` trains on this machine; or a `run:` or a `url:` that starts it elsewhere."""
    serving: dict[str, str] = Field(default_factory=dict)
    """What the service runs: `{sentence-transformers: 5.2.0}`. A model that it could not load is not offered."""
    approve: Approve | None = None
    """Slack's buttons; without it, `driftwatch retrain promote`."""
    promote: Promote = Promote()
    threshold: float | None = None
    """The cosine similarity below which the service drops documents, with the model in use; a new model comes with a
    cut-off of its own that keeps as much, and both are judged behind theirs. None: the service has none."""
    scale: Literal["local", "ray"] = "local"
    """`ray` runs embedding, mining and training on a Ray cluster."""
    ray: str = Field(default="auto", min_length=1)
    """Address of that cluster."""

    @property
    def cluster(self) -> str:
        """Address of the Ray cluster that does the heavy work; empty: this machine does it."""
        return self.ray if self.scale == "ray" else ""

    @field_validator("window")
    @classmethod
    def is_a_day_at_least(cls, window: timedelta) -> timedelta:
        """A window of hours repeats the accidents of one day."""
        if window < timedelta(days=1):
            raise ValueError("it must be at least 1 day.")
        return window


def _address(url: str) -> str:
    """``url``, if it is one without anything secret in it.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise ValueError("it must begin with http:// or https:// and hold no password, '?' or '#'.")
    return url
