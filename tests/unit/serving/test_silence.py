"""A model server that does not answer in time: nobody waits for it twice, and its first answer is seen."""

import asyncio

import pytest

from forecasting.errors import RetryableError
from serving.gateway.silence import ServerSilence


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def silence(clock):
    """Of a server that missed a deadline at 110."""
    found = ServerSilence(2, clock=clock)
    begun = found.begun()
    clock.now = 110
    found.missed("tiny", begun)
    return found


def _is_turned_away(silence, name="tiny"):
    try:
        with silence.turn(name):
            silence.answered(name)
    except RetryableError:
        return True
    return False


def test_until_the_pause_is_over_nobody_asks_but_other_models_are_asked(silence, clock):
    clock.now = 111.9
    assert (_is_turned_away(silence), _is_turned_away(silence, "tiny-candidate")) == (True, False)


def test_after_the_pause_one_asks_and_its_answer_lets_all_in(silence, clock):
    clock.now = 112
    with silence.turn("tiny"):
        assert _is_turned_away(silence)
        silence.answered("tiny")
        assert not _is_turned_away(silence)
    assert not _is_turned_away(silence)


def test_one_that_asks_in_vain_begins_another_pause(silence, clock):
    clock.now = 112
    with silence.turn("tiny"):
        begun, clock.now = silence.begun(), 122
        silence.missed("tiny", begun)
    clock.now = 123.9
    assert _is_turned_away(silence)
    clock.now = 124
    assert not _is_turned_away(silence)


def test_one_that_asks_and_is_given_up_leaves_it_to_the_next(silence, clock):
    clock.now = 112
    with pytest.raises(asyncio.CancelledError), silence.turn("tiny"):
        raise asyncio.CancelledError
    assert not _is_turned_away(silence)


def test_a_server_that_answered_others_meanwhile_is_slow_and_not_silent(clock):
    silence = ServerSilence(2, clock=clock)
    begun = silence.begun()
    clock.now = 105
    silence.answered("tiny")
    clock.now = 110
    silence.missed("tiny", begun)
    assert not _is_turned_away(silence)
