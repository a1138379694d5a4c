"""Banks of known pictures over HTTP."""

from __future__ import annotations

import asyncio
import io
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Path, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from zhentu import errors
from zhentu.banks.bank import HOW
from zhentu.banks.entries import COLOUR_LIMIT, Bank, NewEntry
from zhentu.banks.exchange import read_entries, write_entries
from zhentu.banks.hashing import MATCH_DISTANCE, fingerprint_of
from zhentu.banks.originals import add_picture
from zhentu.gate.capacity import Ticket
from zhentu.gate.context import Administers, Reviews, TheGate
from zhentu.gate.forms import FormRoute
from zhentu.gate.problems import documented
from zhentu.review.web.desk import Desk, desk_of
from zhentu.types import BankKind, Fingerprint

router = APIRouter(tags=["banks"], route_class=FormRoute)
TheDesk = Annotated[Desk, Depends(desk_of)]
EntryId = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what the store's integers hold
Picture = Annotated[UploadFile, File(description="The picture's bytes.")]


class BankSettings(BaseModel):
    """A bank's settings."""

    model_config = ConfigDict(extra="forbid")

    kind: BankKind
    threshold: int = Field(MATCH_DISTANCE, strict=True, description="At most this many PDQ bits may differ, 0 to 31.")
    colour_limit: float = Field(
        COLOUR_LIMIT, strict=True, description="At most this colour distance for a copy, 0 to 1."
    )
    enabled_ratio: float = Field(
        1.0, strict=True, description="Share of pictures that are looked up in the bank, stable per picture."
    )
    brand: str = ""
    owners: list[str] = Field([], description="Sellers who may use a brand's originals.")
    note: str = ""


class BankAnswer(BankSettings):
    """A bank and how many entries are in force."""

    name: str
    entries: int


class MatchAnswer(BaseModel):
    """One entry that a picture matches."""

    bank: str
    kind: BankKind
    brand: str
    entry_id: int
    how: str = Field(description="exact, near (plain copy), altered (altered copy) or unconfirmed (shape alone).")
    what: str
    distance: int
    colour_distance: float | None


class AddedAnswer(BaseModel):
    """What was added; entries that the bank already holds are passed over."""

    entry_ids: list[int]
    problems: list[str] = []


class DryRunAnswer(BaseModel):
    """What an entry would have matched among the pictures seen."""

    looked_at: int
    exact: int
    near: int
    altered: int
    unconfirmed: int
    examples: list[str]


@router.get("/v1/banks", responses=documented())
async def banks(desk: TheDesk, caller: Reviews) -> list[BankAnswer]:
    """All banks."""
    found = await asyncio.to_thread(desk.banks.store.banks)
    counts = await asyncio.to_thread(desk.banks.store.counts)
    return [_answer(bank, counts.get(bank.name, 0)) for bank in found.values()]


@router.put("/v1/banks/{name}", responses=documented())
async def put_bank(name: str, settings: BankSettings, desk: TheDesk, caller: Administers) -> BankAnswer:
    """Make a bank or change its settings; every process follows within a minute."""
    bank = Bank(name, **settings.model_dump(exclude={"owners"}), owners=tuple(settings.owners))
    await asyncio.to_thread(desk.banks.put_bank, bank, caller.name)
    counts = await asyncio.to_thread(desk.banks.store.counts)
    return _answer(bank, counts.get(name, 0))


@router.post("/v1/banks/{name}/entries", responses=documented(errors.UnsupportedFormat, errors.PictureTruncated))
async def add(
    name: str,
    picture: Picture,
    gate: TheGate,
    desk: TheDesk,
    caller: Reviews,
    source: Annotated[str, Form(max_length=300)] = "",
    seller_id: Annotated[str, Form(max_length=300)] = "",
    note: Annotated[str, Form(max_length=300)] = "",
    expires_at: Annotated[datetime | None, Form()] = None,
) -> AddedAnswer:
    """Add a picture to a bank. For a brand's originals a re-encoded picture is kept, otherwise only the fingerprint."""
    payload, screener = await picture.read(), gate.active.screener

    def work(ticket: Ticket) -> tuple[int, ...]:
        added: list[int] = []
        for frame in screener.decoder.frames(payload, screener.limits):  # every frame that screening would look at
            ticket.check()
            entry = NewEntry.of(fingerprint_of(frame), source or caller.name, seller_id, note, expires_at)
            added += add_picture(desk.banks, name, frame, caller.name, entry)
        return tuple(added)

    return AddedAnswer(entry_ids=list(await gate.capacity.run(work, caller.key_id)))


@router.post("/v1/banks/{name}/import", responses=documented())
async def import_csv(name: str, file: Annotated[UploadFile, File()], desk: TheDesk, caller: Administers) -> AddedAnswer:
    """Add hashes of a CSV (signal_type, signal_str, ...); lines that cannot be taken are named."""
    try:
        text = (await file.read()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.UsageError(f"file: must be UTF-8 text: {error}") from error
    entries, problems = await asyncio.to_thread(read_entries, io.StringIO(text), file.filename or "import")
    added = await asyncio.to_thread(desk.banks.add, name, entries, caller.name)
    return AddedAnswer(entry_ids=list(added), problems=[f"line {each.line}: {each.what}" for each in problems])


@router.get("/v1/banks/{name}/export", responses=documented(), response_class=Response)
async def export_csv(name: str, desk: TheDesk, caller: Administers) -> Response:
    """A bank as CSV, in the form hash-sharing tools use."""
    stream, store = io.StringIO(), desk.banks.store
    bank = await asyncio.to_thread(store.bank, name)
    await asyncio.to_thread(lambda: write_entries(stream, bank, store.every_entry(name)))
    return Response(stream.getvalue(), media_type="text/csv; charset=utf-8")


@router.delete("/v1/banks/entries/{entry_id}", responses=documented(), status_code=204)
async def remove(entry_id: EntryId, desk: TheDesk, caller: Reviews) -> None:
    """Take an entry out of force."""
    await asyncio.to_thread(desk.banks.remove, entry_id, caller.name)


@router.post("/v1/banks/lookup", responses=documented(errors.UnsupportedFormat, errors.PictureTruncated))
async def lookup(
    picture: Picture, gate: TheGate, desk: TheDesk, caller: Reviews, seller_id: Annotated[str, Form()] = ""
) -> list[MatchAnswer]:
    """What a picture matches."""
    found = desk.banks.match(await _print(gate, picture), seller_id)
    return [
        MatchAnswer(
            bank=each.bank.name,
            kind=each.bank.kind,
            brand=each.bank.brand,
            entry_id=each.entry_id,
            how=each.how.value,
            what=HOW[each.how],
            distance=each.distance,
            colour_distance=each.colour_distance,
        )
        for each in found
    ]


@router.post("/v1/banks/{name}/dry-run", responses=documented(errors.UnsupportedFormat, errors.PictureTruncated))
async def dry_run(name: str, picture: Picture, gate: TheGate, desk: TheDesk, caller: Reviews) -> DryRunAnswer:
    """What an entry would have matched among the pictures seen; nothing is added."""
    entry = NewEntry.of(await _print(gate, picture), "dry run")
    bank = await asyncio.to_thread(desk.banks.store.bank, name)
    run = await asyncio.to_thread(desk.banks.dry_run, entry, bank)
    return DryRunAnswer(
        looked_at=run.looked_at,
        exact=run.exact,
        near=run.near,
        altered=run.altered,
        unconfirmed=run.unconfirmed,
        examples=[sha256 for sha256, _ in run.examples],
    )


async def _print(gate: TheGate, picture: UploadFile) -> Fingerprint:
    payload, screener = await picture.read(), gate.active.screener
    return await gate.capacity.run(lambda _: fingerprint_of(screener.decoder.decode(payload, screener.limits)))


def _answer(bank: Bank, entries: int) -> BankAnswer:
    return BankAnswer(
        name=bank.name,
        kind=bank.kind,
        threshold=bank.threshold,
        colour_limit=bank.colour_limit,
        enabled_ratio=bank.enabled_ratio,
        brand=bank.brand,
        owners=list(bank.owners),
        note=bank.note,
        entries=entries,
    )
