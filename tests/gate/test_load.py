"""What a caller sees while the gate is full, slow, or left alone."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.testclient import TestClient
from served import listening, picture, slow_app, until

from zhentu.errors import DeadlineExceeded, Overloaded
from zhentu.gate.capacity import Capacity, Ticket
from zhentu.gate.flights import Flights
from zhentu.settings import Settings


def test_a_full_queue_is_refused_at_once_and_the_process_still_answers(settings: Settings) -> None:
    client, slow = slow_app(settings.changed({"workers": 1, "gate.queue_size": 1}))
    with client, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.post, "/v1/screen", files=picture(seed)) for seed in range(2)]
        until(lambda: client.app.state.gate.capacity.under_way == 2)
        refused = client.post("/v1/screen", files=picture(9))
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/livez").status_code == 200
        assert not any(future.done() for future in waiting), "it was refused at once: nobody had got ready meanwhile"
        slow.go_on.set()
        assert [future.result().status_code for future in waiting] == [200, 200]
        assert client.post("/v1/screen", files=picture(9)).status_code == 200


def test_a_deadline_is_answered_leaves_no_record_and_the_slot_comes_back(settings: Settings) -> None:
    client, slow = slow_app(settings.changed({"workers": 1, "gate.queue_size": 1, "gate.deadline_s": 0.5}))
    with client:
        late = client.post("/v1/screen", files=picture())
        assert (late.status_code, late.json()["code"]) == (503, "deadline_exceeded")
        slow.go_on.set()
        gate = client.app.state.gate
        until(lambda: gate.capacity.under_way == 0)
        assert sum(gate.store.counts_by_action().values()) == 0
        assert client.get("/readyz").status_code == 200, "slow is not broken"
        # A busy machine may be late once more.
        until(lambda: client.post("/v1/screen", files=picture()).status_code == 200)


def test_duplicates_at_the_same_moment_share_one_screening_and_one_record(settings: Settings) -> None:
    client, slow = slow_app(settings)
    with client, ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(client.post, "/v1/screen", files=picture()) for _ in range(6)]
        until(lambda: _waiting_together(client) == [6])
        slow.go_on.set()
        ids = {future.result().json()["record_id"] for future in waiting}
        assert (len(ids), slow.asked) == (1, 1)


def _waiting_together(client: TestClient) -> list[int]:
    return [each.waiting for each in list(client.app.state.gate.service.flights._by_key.values())]


def test_work_whose_client_has_gone_is_dropped(settings: Settings) -> None:
    client, slow = slow_app(settings.changed({"workers": 1}))
    payload = picture()["picture"][1]
    head = f"POST /v1/screen HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: {len(payload)}\r\n\r\n"
    with listening(client.app) as port:
        gate = client.app.state.gate
        with socket.create_connection(("127.0.0.1", port)) as caller:
            caller.sendall(head.encode() + payload)
            until(lambda: gate.capacity.under_way == 1)
        until(lambda: not gate.service.flights._by_key)  # the gate has noticed that nobody waits any more
        slow.go_on.set()
        until(lambda: gate.capacity.under_way == 0)
        assert sum(gate.store.counts_by_action().values()) == 0


def test_a_shutdown_finishes_what_was_accepted(settings: Settings) -> None:
    client, slow = slow_app(settings)
    with ThreadPoolExecutor(1) as pool:
        with listening(client.app) as port:
            url = f"http://127.0.0.1:{port}/v1/screen"
            waiting = pool.submit(httpx.post, url, files=picture(), timeout=120)
            until(lambda: client.app.state.gate.capacity.under_way == 1)
            threading.Timer(0.3, slow.go_on.set).start()
        assert waiting.result().status_code == 200


def test_work_that_would_outlast_its_deadline_is_not_accepted() -> None:
    async def run() -> None:
        capacity, go_on = Capacity(1, 100, 20.0, first_guess_s=10.0), threading.Event()
        first = asyncio.create_task(capacity.run(lambda _: go_on.wait(120)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match=r"would take 20\.0 s") as refused:
            capacity.admit()
        assert refused.value.retry_after_s == 20.0
        go_on.set()
        await first
        capacity.close()
        with pytest.raises(Overloaded, match="shutting down"):
            capacity.admit()

    asyncio.run(run())


def test_cancelled_work_that_waits_never_begins() -> None:
    async def run() -> list[str]:
        done: list[str] = []
        capacity, go_on = Capacity(1, 5, 120.0), threading.Event()
        first = asyncio.create_task(capacity.run(lambda _: go_on.wait(120)))
        second = asyncio.create_task(capacity.run(lambda _: done.append("second")))
        await asyncio.sleep(0)
        assert capacity.under_way == 2
        second.cancel()
        await asyncio.wait([second])
        go_on.set()
        await first
        await asyncio.gather(second, return_exceptions=True)
        capacity.close()
        return done

    assert asyncio.run(run()) == []


def test_a_ticket_nobody_waits_for_stops_the_work() -> None:
    ticket = Ticket()
    ticket.check()
    ticket.dropped = True
    with pytest.raises(DeadlineExceeded):
        ticket.check()


def test_a_flight_ends_when_its_last_passenger_leaves_and_not_before() -> None:
    async def run() -> tuple[str, list[str]]:
        flights: Flights[str] = Flights()
        seen, begun, land = [], [], asyncio.Event()

        async def work() -> str:
            begun.append(1)
            try:
                await land.wait()
                return "done"
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        two = [asyncio.create_task(flights.join("a", work)) for _ in range(2)]
        alone = asyncio.create_task(flights.join("b", work))
        while len(begun) < 2:
            await asyncio.sleep(0)
        two[0].cancel()
        alone.cancel()
        await asyncio.wait([two[0], alone])
        while not seen:  # the work hears of it in the loop's next turns
            await asyncio.sleep(0)
        land.set()
        return await two[1], seen

    assert asyncio.run(run()) == ("done", ["cancelled"])
