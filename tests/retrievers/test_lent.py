from __future__ import annotations

from contextlib import ExitStack

import pytest

from driftwatch.retrievers._lent import Lent


class Client:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_all_use_one_client_and_it_outlives_its_uses():
    lent: Lent[Client] = Lent()
    with lent.use(Client) as one, lent.use(Client) as other:
        assert one is other
    with lent.use(Client) as again:
        assert again is one
    assert one.closed == 0


def test_an_idle_client_is_closed_at_once_and_once():
    lent: Lent[Client] = Lent()
    with lent.use(Client) as client:
        pass
    lent.close()
    lent.close()
    assert client.closed == 1


def test_a_client_in_use_is_closed_by_the_last_who_uses_it():
    lent: Lent[Client] = Lent()
    with ExitStack() as first, ExitStack() as last:
        client = first.enter_context(lent.use(Client))
        last.enter_context(lent.use(Client))
        lent.close()
        first.close()
        assert client.closed == 0
        last.close()
        assert client.closed == 1


def test_who_comes_after_the_close_gets_a_new_client_that_is_closed_by_itself():
    lent: Lent[Client] = Lent()
    with lent.use(Client) as old:
        lent.close()
        with lent.use(Client) as new:
            assert new is not old
    assert (old.closed, new.closed) == (1, 0)
    lent.close()
    assert (old.closed, new.closed) == (1, 1)


def test_what_breaks_while_it_is_used_leaves_it_to_the_others():
    lent: Lent[Client] = Lent()
    client = Client()

    def broken() -> None:
        with lent.use(lambda: client):
            lent.close()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    assert client.closed == 1
