"""A slot that becomes free wakes the event loop, which would else sleep until something comes from the broker."""

import kombu.asynchronous

from workers import wake


def test_a_free_slot_is_an_event_of_the_loop_which_then_asks_the_broker_again() -> None:
    hub = kombu.asynchronous.Hub()
    wake.WakeStep(None).register_with_event_loop(None, hub)
    (listened,) = hub.readers
    assert hub.poller.poll(0) == []
    wake.slot_is_free()
    wake.slot_is_free()
    assert [fd for fd, _ in hub.poller.poll(0)] == [listened]
    callback, arguments = hub.readers[listened]
    callback(*arguments)
    assert hub.poller.poll(0) == []
    hub.close()
