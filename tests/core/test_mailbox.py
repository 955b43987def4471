"""One slot, latest wins."""

from __future__ import annotations

import threading

from tpos_live.core.mailbox import Mailbox


def test_latest_wins_and_losses_are_counted() -> None:
    box: Mailbox[int] = Mailbox()
    assert box.take() is None and box.latest() is None
    box.put(1)
    box.put(2)
    assert box.replaced == 1
    assert box.take() == 2
    assert box.take() is None
    assert box.latest() == 2


def test_waiting_ends_when_an_item_comes() -> None:
    box: Mailbox[int] = Mailbox()
    assert not box.wait(0.0)
    threading.Timer(0.02, box.put, [5]).start()
    assert box.wait(5.0)
    assert box.take() == 5


def test_nobody_waits_for_one_that_has_ended_and_nothing_in_it_is_lost() -> None:
    box: Mailbox[int] = Mailbox()
    threading.Timer(0.02, box.end).start()
    assert not box.wait(60.0)
    box.put(5)
    assert box.wait(60.0) and box.take() == 5 and not box.wait(60.0)


def test_between_threads_nothing_is_torn_or_reordered() -> None:
    box: Mailbox[int] = Mailbox()
    seen: list[int] = []

    def read() -> None:
        while not seen or seen[-1] < 4999:
            box.wait(1.0)
            item = box.take()
            if item is not None:
                seen.append(item)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(5000):
        box.put(i)
    reader.join(10)
    assert seen == sorted(set(seen)) and seen[-1] == 4999
    assert len(seen) + box.replaced == 5000
