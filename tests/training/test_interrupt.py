"""Which signals stop a run, how often one must be sent, and which are left alone."""

import signal
from collections.abc import Iterator

import pytest

from src.training import interrupt
from src.training.interrupt import STOPPING, Interrupt


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As a process has them that a shell has started."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
def test_whatever_would_end_the_process_stops_it_politely(number: signal.Signals) -> None:
    said: list[str] = []
    with Interrupt(said.append) as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
    assert said == ["Stopping; what is there will be kept. Once more stops at once."]
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def test_what_is_ignored_stays_ignored_as_under_nohup_and_other_handlers_stay() -> None:
    noted: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, lambda number, frame: noted.append(number))
    interrupt.listen()
    with Interrupt(print) as stop:
        for number in (signal.SIGHUP, signal.SIGUSR2):
            signal.raise_signal(number)
        assert not stop()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert noted == [signal.SIGUSR2]


def test_a_second_request_stops_at_once_and_the_same_one_to_process_and_group_does_not() -> None:
    now = [10.0]
    with Interrupt(lambda line: None, clock=lambda: now[0]):
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        now[0] += 2
        signal.raise_signal(signal.SIGXCPU)  # comes every second by itself
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_before_there_is_something_to_keep_each_of_them_ends_the_command() -> None:
    interrupt.listen()
    for number in STOPPING:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    interrupt.begun()
    assert {signal.getsignal(number) for number in STOPPING} == {signal.default_int_handler}
