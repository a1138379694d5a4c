"""Whoever names a slow host waits for it alone."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from zhentu.errors import FetchError
from zhentu.intake.fetch import FetchLimits, Outbound
from zhentu.intake.lanes import Breakers, LaneLimits, Lanes


def test_one_owners_calls_to_one_host_leave_places_for_others() -> None:
    lanes = Lanes(LaneLimits(total=4, per_host=2, per_owner=3))

    async def hold(owner: str, host: str, entered: list[str]) -> None:
        async with lanes.place(owner, host):
            entered.append(f"{owner}@{host}")
            await asyncio.Event().wait()

    async def run() -> list[str]:
        entered: list[str] = []
        names = [("a", "x")] * 5 + [("a", "y")] * 5 + [("b", "x")]
        tasks = [asyncio.create_task(hold(*name, entered)) for name in names]
        for _ in range(20):  # whoever finds a place takes it at once; turns of the loop, not seconds
            await asyncio.sleep(0)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return sorted(entered)

    assert asyncio.run(run()) == ["a@x", "a@x", "a@y", "b@x"]
    assert lanes._named == {}, "names are forgotten again"


def test_a_host_that_fails_is_given_a_rest_that_grows_and_ends() -> None:
    now = [0.0]
    breakers = Breakers(after=2, first_s=5.0, most_s=20.0, clock=lambda: now[0])
    breakers.failed("a", "x")
    assert breakers.rests_s("a", "x") == 0
    rests = []
    for _ in range(4):
        breakers.failed("a", "x")
        rests.append(breakers.rests_s("a", "x"))
    assert rests == [5.0, 10.0, 20.0, 20.0]
    assert breakers.rests_s("b", "x") == 0, "another owner's calls go on"
    now[0] = 20.0
    assert breakers.resting() == []
    breakers.succeeded("a", "x")
    breakers.failed("a", "x")
    assert breakers.rests_s("a", "x") == 0


def test_waiting_for_a_place_counts_into_the_time_and_a_dead_host_is_not_tried_for_ever() -> None:
    async def run() -> tuple[int, list[object]]:
        connections = 0

        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            try:
                await asyncio.Event().wait()
            finally:
                writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        own = (ipaddress.ip_network("127.0.0.0/8"),)
        limits = FetchLimits((port,), own, 0.1, lanes=LaneLimits(total=4, per_host=2, per_owner=2))
        outbound, url = Outbound(limits), f"http://127.0.0.1:{port}/"
        outbound._breakers = Breakers(after=5, clock=lambda: 0.0)  # its rest does not end on a slow machine either
        async with outbound._lanes.place("a", f"127.0.0.1:{port}"), outbound._lanes.place("a", f"127.0.0.1:{port}"):
            ends = await asyncio.gather(*(outbound.get_picture(url, "a") for _ in range(4)), return_exceptions=True)
        waiting = connections
        ends += await asyncio.gather(outbound.get_picture(url, "a"), return_exceptions=True)
        with pytest.raises(FetchError, match="recently"):
            await outbound.get_picture(url, "a")
        server.close()
        return waiting, ends

    connections, ends = asyncio.run(run())
    assert connections == 0, "those who only waited for a place were given up, too"
    assert {type(each).__name__ for each in ends} == {"NoAnswer"}
