"""Who trains, where this machine does not: a program, or something that is asked over HTTP."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from driftwatch.plugins import Settings
from driftwatch.schedule import Duration, duration
from driftwatch.signing import signing_key

COMMAND_PLACES = ("job_file", "job_id", "folder", "dataset", "output")
SHORTEST_TOKEN = 16
"""Bytes."""
REQUEST_PLACES = (*COMMAND_PLACES, "job", "service", "callback")


class Command(Settings):
    """A program that trains. In `run`, `{job_file}`, `{job_id}`, `{folder}`, `{dataset}` and `{output}` are filled in;
    there is no shell.
    """

    run: tuple[str, ...] = Field(min_length=1)
    """The program and its arguments."""
    env: tuple[str, ...] = ()
    """Variables of the environment that it is given, beside PATH, HOME and the locale."""
    timeout: Duration = duration("12h")
    """After so long it is ended, with everything it started."""

    @field_validator("run")
    @classmethod
    def places_are_known(cls, run: tuple[str, ...]) -> tuple[str, ...]:
        """A brace too many would reach the program as it is."""
        _check_places(list(run), COMMAND_PLACES)
        return run


class Webhook(Settings):
    """A request that starts training elsewhere."""

    url: SecretStr
    """Called with POST and the job as JSON; the `Idempotency-Key` is the job's id."""
    secret: SecretStr | None = None
    """Signs the request (Standard Webhooks, `whsec_…`)."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """More headers to send, such as `Authorization`; to `status_url` too, where it is on the same host."""
    body: dict[str, Any] | None = None
    """The JSON to send instead of the job. `"{job_id}"`, `"{job_file}"`, `"{folder}"`, `"{dataset}"`, `"{output}"`,
    `"{service}"`, `"{callback}"` and `"{job}"`, the whole of it, are filled in."""
    token: SecretStr | None = None
    """What a callback to `/v1/jobs/<id>/result` must carry as bearer, 16 bytes at least; without it callbacks are
    refused."""
    status_url: SecretStr | None = None
    """Asked with GET for how far it is; `{job_id}` in it is filled in."""
    status_path: str = "status"
    """JMESPath of the status in that answer; `{job_id}` in it is filled in."""
    statuses: dict[str, Literal["running", "done", "failed"]] = Field(default_factory=dict)
    """What its words mean; `running`, `done` and `failed` need not be said."""
    every: Duration = duration("60s")
    """How often it is asked."""
    timeout: Duration = duration("24h")
    """After so long without an outcome the job has failed."""

    @field_validator("url", "status_url")
    @classmethod
    def is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        """It may hold a password, and is never shown."""
        if url and not re.fullmatch(r"https?://[^\s/?#]+([/?][^\s#]*)?", url.get_secret_value()):
            raise ValueError("it is not an address. Write it like https://host/path.")
        return url

    @field_validator("secret")
    @classmethod
    def can_sign(cls, secret: SecretStr | None) -> SecretStr | None:
        """Not only when the first job begins."""
        if secret is not None:
            signing_key(secret.get_secret_value())
        return secret

    @field_validator("token")
    @classmethod
    def is_long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        """Whoever guesses it says what becomes of jobs; an empty one would be nobody's secret."""
        if token is not None and len(token.get_secret_value().encode()) < SHORTEST_TOKEN:
            raise ValueError(f"it is shorter than {SHORTEST_TOKEN} bytes. Make one with `openssl rand -hex 32`.")
        return token

    @field_validator("headers")
    @classmethod
    def can_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        """Names of one word, values of one line of ASCII."""
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r"[\x20-\x7e]*", value.get_secret_value()):
                raise ValueError(f"the header {name!r} cannot be sent. Use ASCII, without line breaks.")
            if (
                name.lower() in ("content-type", "content-length", "host", "idempotency-key")
                or "webhook-" in name.lower()
            ):
                raise ValueError(f"the header {name!r} is driftwatch's own. Leave it out.")
        return headers

    @field_validator("body")
    @classmethod
    def body_is_known(cls, body: dict[str, Any] | None) -> dict[str, Any] | None:
        """A place that is no place would reach the other side as it is."""
        _check_places(body, REQUEST_PLACES)
        return body

    @field_validator("status_path")
    @classmethod
    def is_jmespath(cls, path: str) -> str:
        """With any id in its place."""
        import jmespath

        try:
            jmespath.compile(path.replace("{job_id}", "20260101-00000000"))
        except (jmespath.exceptions.JMESPathError, ValueError) as error:
            raise ValueError(f"{path!r} is not a JMESPath expression: {str(error).splitlines()[0]}") from None
        return path


def _check_places(template: Any, known: tuple[str, ...]) -> None:
    """Every ``{place}`` is one that there is.

    Raises:
        ValueError: the first that is not.
    """
    from driftwatch.retrievers._template import placeholders

    for name in placeholders(template):
        if name not in known:
            raise ValueError(
                f"there is no place '{{{name}}}'. There are: {', '.join(known)}. For the text itself, write"
                f" '{{{{{name}}}}}'."
            )
