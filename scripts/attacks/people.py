"""Attacks by keys, headers, browsers and names: callers who are not who they claim, and text that is not only text."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time

import httpx
from loadgen import environment, free_port, pictures, started

from attacks.bench import Bench


async def wrong_keys(bench: Bench) -> str:
    """Wrong keys are throttled, and valid ones from the same address still work."""
    async with bench.client() as client:
        answers: list[int] = []
        while answers.count(429) < 30 and len(answers) < 1000:  # slow ones earn an answer a second
            token = f"zt_{len(answers):012x}_{'a' * 43}"
            answers.append((await client.get("/v1/records/x", headers={"X-API-Key": token})).status_code)
        right = await client.get("/v1/records/x", headers=bench.headers("reviewer"))
    assert answers.count(429) >= 30, answers
    assert right.status_code == 404, right.text
    return f"{answers.count(401)} times 401, {answers.count(429)} times 429; a right key is answered"


async def batch_larger_than_the_bucket(bench: Bench) -> str:
    """A batch of any size passes when the bucket is full, and is paid off afterwards."""
    files = [("picture", (f"{n}.jpg", payload)) for n, payload in enumerate(pictures(3, 200, 8))]
    async with bench.client("slow") as client:
        first = await client.post("/v1/screen/batch", files=files)
        second = await client.post("/v1/screen/batch", files=files)
    assert (first.status_code, second.status_code) == (200, 429), (first.text[:200], second.status_code)
    return "200, and 429 for the next one"


async def spoofed_proxy(bench: Bench) -> str:
    """Headers do not prove where a request comes from: a proxy's sign-in cannot be spoofed."""
    lies = {"X-Forwarded-For": "203.0.113.5", "Forwarded": "for=203.0.113.5", "X-Real-IP": "203.0.113.5"}
    async with bench.client() as client:
        answer = await client.get("/review", headers=lies | {"X-Signed-In": "anna"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/sign-in"), answer.text[:100]
    return "asked to sign in"


async def keys_and_controls_in_the_log(bench: Bench) -> str:
    """Neither keys in paths nor escape sequences reach the log."""
    token, asked_before = bench.keys["honest"], bench.log.read_bytes().count(b"/v1/records/")
    async with bench.client() as client:
        await client.get(f"/v1/records/{token}")
        await client.get("/v1/records/%1b%5d0;owned%07%c2%9b31m%0d%0aforged")
    written, began = b"", time.monotonic()
    while written.count(b"/v1/records/") < asked_before + 2 and time.monotonic() - began < 20:  # its lines of both
        await asyncio.sleep(0.1)
        written = bench.log.read_bytes()
    assert token.split("_", 2)[2].encode() not in written, "the key is in the log"
    assert not any(each in written for each in (b"\x1b", b"\x07", "\x9b".encode(), b"\nforged")), "escapes in the log"
    return "neither is there"


async def nul_in_text(bench: Bench) -> str:
    """NUL characters are refused with 400 in every text."""
    async with bench.client("reviewer") as client:
        picture = {"picture": ("a.jpg", pictures(1, 200, 9)[0])}
        made = (await client.post("/v1/screen", files=picture)).json()
        answers = [
            await client.post("/v1/screen", files=picture, data={"title": "a\0b"}),
            await client.post("/v1/appeals", data={"record_id": made["record_id"], "reason": "a\0b"}),
            await client.post("/v1/banks/bad/entries", files=picture, data={"note": "a\0b"}),
            await client.get("/v1/records/a%00b"),
        ]
    assert all(each.status_code in (400, 404) for each in answers), [each.status_code for each in answers]
    return f"{[each.status_code for each in answers]}"


async def private_files(bench: Bench) -> str:
    """Only the gate's own user can read the store, the kept pictures and the spool."""
    names = [bench.folder / "records.db", *(bench.folder / "pictures").rglob("*"), *(bench.folder / "spool").rglob("*")]
    open_ones = [str(each) for each in names if each.stat().st_mode & 0o077]
    assert len(names) > 2, "nothing to look at"
    assert not open_ones, open_ones[:3]
    return f"{len(names)} files and folders"


async def foreign_scripts(bench: Bench) -> str:
    """The API documentation loads nothing from other hosts."""
    async with bench.client() as client:
        answer = await client.get("/docs")
    assert answer.status_code == 200, answer.status_code
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    return f"{len(answer.text) / 1e3:.0f} kB without a script"


async def audit_of_keys(bench: Bench) -> str:
    """Creating a key leaves an entry in the audit log."""
    from zhentu.record.audit import entries
    from zhentu.record.database import Database

    database = Database(f"sqlite:///{bench.folder}/records.db")
    acts = [each.act for each in entries(database)]
    database.close()
    assert acts.count("key.create") >= len(bench.keys), acts
    return f"{acts.count('key.create')} entries"


async def browsers_and_open_mode(bench: Bench) -> str:
    """Open mode answers only to this machine's own names, to no other site's pages, and reviews only with its token."""
    folder, port = bench.folder / "open", free_port()
    folder.mkdir(exist_ok=True)
    log, models = folder / "gate.log", bench.folder / "models"
    chosen: dict[str, object] = {"models_dir": models} if bench.short else {}
    command = [sys.executable, "-c", "from zhentu.cli import main; main()", "serve", "--open", "--on-error", "block"]
    with started([*command, "--port", str(port)], port, environment(folder, **chosen), log=log):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            evil = await client.get("/v1/in-force", headers={"Host": "evil.example"})
            form = {"picture": ("a.jpg", pictures(1, 200, 3)[0])}
            cross = [
                await client.post("/v1/banks/good/entries", files=form, headers=headers)
                for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"})
            ]
            page = await client.get("/review")
            guessed = await client.post("/review/undo", headers={"X-CSRF-Token": "open"})
            token = log.read_text(encoding="utf-8").partition("?token=")[2].split()[0]
            signed_in = await client.get(f"/review/sign-in?token={token}")
            honest = await client.post("/v1/screen", files=form)
    assert evil.status_code == 421, evil.status_code
    assert [each.status_code for each in cross] == [403] * 3, [each.status_code for each in cross]
    assert (page.status_code, page.headers["location"]) == (303, "/review/sign-in")
    assert guessed.status_code in (401, 403), guessed.status_code
    assert signed_in.headers["location"] == "/review"
    assert honest.status_code == 200, honest.text[:100]
    return "421 for another host, 403 for other sites, the token opens"


async def formulas_and_markup(bench: Bench) -> str:
    """File names from strangers are neither run by a spreadsheet nor interpreted by a terminal."""
    folder = bench.folder / "shop"
    folder.mkdir(exist_ok=True)
    names = (folder / "x[" / "red].jpg", folder / "\x1b[31mowned.jpg")
    for seed, name in enumerate(names):
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(pictures(1, 200, seed + 4)[0])
    env = os.environ | {"XDG_DATA_HOME": str(bench.folder / "cli")}
    env |= {"ZHENTU_MODELS_DIR": str(bench.folder / "models")} if bench.short else {}
    for path in names:
        command = [sys.executable, "-c", "from zhentu.cli import main; main()", "inspect", str(path), "--heatmap"]
        made = await asyncio.to_thread(
            subprocess.run, [*command, str(folder / "h.png")], env=env, capture_output=True, check=False
        )
        assert made.returncode == 0, made.stderr[-300:]
        assert b"\x1b[31mowned" not in made.stdout
        assert b"[/red]" in made.stdout or b"owned" in made.stdout
    return "inspect shows both names as plain text"


async def password_in_an_error(bench: Bench) -> str:
    """A malformed store URL does not print its password."""
    env = os.environ | {"ZHENTU_STORE_URL": "postgresql+psycopg//zhentu:hunter2@postgres/zhentu"}
    command = [sys.executable, "-c", "from zhentu.cli import main; main()", "keys", "list"]
    made = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, check=False)
    assert made.returncode == 3, made
    assert b"hunter2" not in made.stdout + made.stderr
    return json.dumps(made.stderr.decode().strip()[:100])
