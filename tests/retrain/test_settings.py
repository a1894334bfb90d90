"""Settings of retraining that could not work are errors that name file, line, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.config import read_watch
from driftwatch.errors import ConfigErrors
from driftwatch.retrain.settings import Approve

CONFIG = """service: shop
database: sqlite:///state.db
retrain:
  when: [recall]
  approve:
    channel: "#search"
    token: xoxb-1
    app_token: xapp-1
    {line}
"""
USERS = "users: [U024BE7LH]"


def said(folder: Path, line: str) -> list[str]:
    path = folder / "driftwatch.yaml"
    path.write_text(CONFIG.format(line=line))
    with pytest.raises(ConfigErrors) as caught:
        read_watch(path, {})
    return [str(error).replace(f"{folder}/", "") for error in caught.value.errors]


@pytest.mark.parametrize(
    "who", ["ada", "@ada", "u024be7lh", "U", "U1", "S024BE7LH", "C024BE7LH", "U024BE7LH ", "<@U024BE7LH>", "U024-BE7LH"]
)
def test_who_may_approve_is_named_by_an_id_that_nobody_else_can_take(tmp_path: Path, who: str) -> None:
    (error,) = said(tmp_path, f"users: [U024BE7LH, {who!r}]")
    assert error.startswith("driftwatch.yaml:9: ")
    assert "users" in error
    assert f"{who!r} is no id of a user in Slack" in error
    assert "'Copy member ID'" in error


@pytest.mark.parametrize("nobody", ["users: []", "users: ''"])
def test_somebody_must_be_able_to_approve(tmp_path: Path, nobody: str) -> None:
    (error,) = said(tmp_path, nobody)
    assert error.startswith("driftwatch.yaml:9: ")
    assert "users" in error


def test_without_users_nobody_could_approve(tmp_path: Path) -> None:
    (error,) = said(tmp_path, "expires: 2 days")
    assert "driftwatch.yaml" in error
    assert "'users'" in error


@pytest.mark.parametrize(
    "base_url",
    ["slack.com/api", "ftp://slack.com/api/", "https://u:p@slack.com/api/", "https://slack.com/api/?x=1", "https://"],
)
def test_slack_is_reached_by_an_address_without_anything_secret_in_it(tmp_path: Path, base_url: str) -> None:
    (error,) = said(tmp_path, f"base_url: '{base_url}'\n    {USERS}")
    assert error.startswith("driftwatch.yaml:9: ")
    assert "base_url" in error
    assert "http://" in error


@pytest.mark.parametrize("base_url", ["https://slack.com/api/", "http://127.0.0.1:8080/api/", "https://proxy.internal"])
def test_a_proxy_and_ids_of_users_and_of_an_organisation_are_taken(base_url: str) -> None:
    known = {"channel": "#search", "token": "xoxb-1", "app_token": "xapp-1", "base_url": base_url}
    approve = Approve.model_validate({**known, "users": ["U024BE7LH", "W012A3CDE"]})
    assert approve.users == ("U024BE7LH", "W012A3CDE")
    assert approve.base_url == base_url
