"""Circuits and shedding: when a task is worth sending."""

from __future__ import annotations

import asyncio
import time

import pytest

from connector.contract.errors import CircuitOpen, Shed
from connector.contract.heartbeats import Heartbeat
from connector.contract.wire import Reply
from connector.scoring.admission import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Admission, Circuit


def _worker(*, waiting_tokens: int, ms_per_1000_tokens: float) -> Heartbeat:
    return Heartbeat(
        id="w", kind="score", alias="a", fingerprint="f", model="m", backend="b", device="d", precision="p",
        max_length=256, host="h", pid=1, started=0.0,
        waiting_tokens=waiting_tokens, ms_per_1000_tokens=ms_per_1000_tokens,
    )  # fmt: skip


def test_a_circuit_opens_after_failures_in_a_row_and_lets_one_through_after_each_pause() -> None:
    circuit = Circuit()
    for _ in range(FAILURES):
        assert circuit.admit(0.0)
        circuit.failed(0.0)
    assert circuit.is_open(0.0)
    assert not circuit.admit(FIRST_PAUSE - 0.1)
    assert circuit.admit(FIRST_PAUSE)
    assert not circuit.admit(FIRST_PAUSE)
    circuit.failed(FIRST_PAUSE)
    assert not circuit.admit(2 * FIRST_PAUSE)
    assert circuit.admit(FIRST_PAUSE + LONGEST_PAUSE)


def test_any_answer_closes_a_circuit_and_forgets_what_failed() -> None:
    circuit = Circuit()
    for _ in range(FAILURES):
        circuit.failed(0.0)
    circuit.answered()
    assert circuit.admit(0.0)
    for _ in range(FAILURES - 1):
        circuit.failed(0.0)
    assert circuit.admit(0.0)


def test_a_queue_deeper_than_the_deadline_is_left_alone_unless_another_worker_is_free() -> None:
    admission, deadline = Admission(), time.monotonic() + 1.0
    busy = _worker(waiting_tokens=100_000, ms_per_1000_tokens=50.0)
    free = _worker(waiting_tokens=1_000, ms_per_1000_tokens=50.0)
    with pytest.raises(Shed, match="5000 ms"):
        admission.admit("f", [busy], deadline)
    admission.admit("f", [busy, free], deadline)


async def test_silence_until_the_deadline_opens_the_circuit_and_a_late_reply_closes_it() -> None:
    admission, loop = Admission(), asyncio.get_running_loop()
    replies: list[asyncio.Future[Reply]] = []
    for _ in range(FAILURES):
        reply: asyncio.Future[Reply] = loop.create_future()
        admission.watch("f", reply, time.monotonic())
        replies.append(reply)
    while not admission.open_circuits():
        await asyncio.sleep(0)
    with pytest.raises(CircuitOpen):
        admission.admit("f", [], time.monotonic() + 1)
    replies[0].set_result(Reply(id="1", values=(1.0,)))
    await asyncio.sleep(0)
    assert admission.open_circuits() == []
    admission.admit("f", [], time.monotonic() + 1)


async def test_a_model_that_fails_counts_and_a_worker_that_sheds_does_not() -> None:
    admission, loop = Admission(), asyncio.get_running_loop()
    for kind, fingerprint in (("ModelFailed", "fails"), ("Shed", "sheds")):
        for _ in range(FAILURES):
            reply: asyncio.Future[Reply] = loop.create_future()
            admission.watch(fingerprint, reply, time.monotonic() + 60)
            reply.set_result(Reply(id="1", error=(kind, "no")))
    await asyncio.sleep(0)
    assert admission.open_circuits() == ["fails"]
