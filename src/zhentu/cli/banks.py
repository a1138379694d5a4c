"""`zhentu bank`: known-bad pictures, allowed pictures, brand originals."""

from __future__ import annotations

import getpass
import io
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from zhentu.cli.terminal import console, say
from zhentu.errors import PictureError, UsageError
from zhentu.settings import load_settings
from zhentu.types import BankKind

if TYPE_CHECKING:
    from zhentu.banks.bank import Banks
    from zhentu.types import Fingerprint, Picture

_MOST_DAYS = 36_500  # a hundred years

bank_app = typer.Typer(help="Banks of known pictures: known-bad, allowed, brand originals.", no_args_is_help=True)

BankName = Annotated[str, typer.Argument(help="The bank's name.")]
Pictures = Annotated[list[Path], typer.Argument(help="Picture files.")]
Threshold = Annotated[int | None, typer.Option(help="At most this many PDQ bits may differ, 0 to 31 (default 31).")]
Colour = Annotated[float | None, typer.Option(help="At most this colour distance for a copy, 0 to 1 (default 0.15).")]
Ratio = Annotated[
    float | None, typer.Option(help="Share of pictures that are looked up in the bank, 0 to 1 (default 1).")
]
Owner = Annotated[list[str] | None, typer.Option(help="A seller who may use the originals; may be repeated.")]
Days = Annotated[float | None, typer.Option(help="Days until the entries expire; default: never.")]


@bank_app.command("list")
def list_banks() -> None:
    """List the banks with their settings and how many entries in force each holds.

    Example: zhentu bank list
    """
    banks = _open()
    counts = banks.store.counts()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("bank", "kind", "entries", "threshold", "colour", "enabled", "brand", "note"):
        table.add_column(name, overflow="fold")
    for bank in banks.store.banks().values():
        values = (bank.threshold, bank.colour_limit, f"{bank.enabled_ratio:.0%}", bank.brand, bank.note)
        table.add_row(bank.name, bank.kind.value, str(counts.get(bank.name, 0)), *map(str, values))
    console().print(table)


@bank_app.command("create")
def create(
    name: BankName,
    kind: Annotated[BankKind, typer.Option(help="What a match means.")],
    brand: Annotated[str, typer.Option(help="Whose originals it holds.")] = "",
    owner: Owner = None,
    threshold: Threshold = None,
    colour: Colour = None,
    ratio: Ratio = None,
    note: Annotated[str, typer.Option(help="Shown with every match.")] = "",
) -> None:
    """Make a bank.

    Example: zhentu bank create acme --kind brand_original --brand Acme --owner acme-flagship
    """
    from zhentu.banks.entries import Bank

    banks = _open()
    if name in banks.store.banks():
        raise UsageError(f"there is already a bank {name!r}; change it with `zhentu bank set`")
    bank = Bank(name, kind, brand=brand, owners=tuple(owner or ()), note=note)
    banks.put_bank(replace(bank, **_given(threshold, colour, ratio)), _who())  # type: ignore[arg-type]
    say(f"bank {name} was created")


@bank_app.command("set")
def change(
    name: BankName, threshold: Threshold = None, colour: Colour = None, ratio: Ratio = None, owner: Owner = None
) -> None:
    """Change a bank's settings; other processes follow within a minute.

    Example: zhentu bank set bad --ratio 0.1
    """
    banks = _open()
    changed = _given(threshold, colour, ratio) | ({"owners": tuple(owner)} if owner else {})
    banks.put_bank(replace(banks.store.bank(name), **changed), _who())  # type: ignore[arg-type]
    say(f"bank {name} was changed")


@bank_app.command("add")
def add(
    name: BankName,
    pictures: Pictures,
    source: Annotated[str, typer.Option(help="Who says so.")] = "cli",
    seller: Annotated[str, typer.Option(help="Whose picture it is.")] = "",
    note: Annotated[str, typer.Option(help="Why; shown with every match.")] = "",
    days: Days = None,
) -> None:
    """Add pictures to a bank.

    Example: zhentu bank add bad forged.jpg --source review
    """
    from zhentu.banks.entries import NewEntry
    from zhentu.banks.hashing import fingerprint_of
    from zhentu.banks.originals import add_picture

    banks, added = _open(), list[int]()
    expires = _expiry(days)
    frames = [_frames(path, "; nothing was added") for path in pictures]  # all are read before any is added
    for picture in chain.from_iterable(frames):  # of an animation every frame that screening would look at
        entry = NewEntry.of(fingerprint_of(picture), source, seller, note, expires)
        added += add_picture(banks, name, picture, _who(), entry)
    say(f"added {len(added)} of {sum(map(len, frames))} (the bank held the others): {' '.join(map(str, added))}")


@bank_app.command("remove")
def remove(entry_id: Annotated[int, typer.Argument(help="The entry's number.")]) -> None:
    """Take an entry out of force; who did so is recorded.

    Example: zhentu bank remove 17
    """
    _open().remove(entry_id, _who())
    say(f"entry {entry_id} is no longer in force")


@bank_app.command("lookup")
def lookup(
    pictures: Pictures, seller: Annotated[str, typer.Option(help="The seller who uses the picture.")] = ""
) -> None:
    """Show what pictures match in the banks.

    Example: zhentu bank lookup upload.jpg --seller shop-7
    """
    from zhentu.banks.bank import HOW

    banks = _open()
    for path in pictures:
        matches = banks.match(_print(path), seller)
        for each in matches:
            say(
                f"{path}: {each.bank.name} ({each.bank.kind.value}) entry {each.entry_id}, "
                f"{HOW[each.how]}, distance {each.distance}"
            )
        if not matches:
            say(f"{path}: in no bank")


@bank_app.command("dry-run")
def dry_run(name: BankName, pictures: Pictures) -> None:
    """Show what entries would have matched among the pictures seen so far; nothing is added.

    Example: zhentu bank dry-run bad forged.jpg
    """
    from zhentu.banks.entries import NewEntry

    banks = _open()
    bank = banks.store.bank(name)
    for path in pictures:
        run = banks.dry_run(NewEntry.of(_print(path), ""), bank)
        say(
            f"{path}: of {run.looked_at} pictures seen, {run.exact} the same file, {run.near} near, "
            f"{run.altered} altered, {run.unconfirmed} by shape alone"
        )
        for sha256, distance in run.examples:
            say(f"  {sha256} distance {distance}")


@bank_app.command("import")
def import_csv(
    name: BankName,
    file: Annotated[Path, typer.Argument(help="CSV with at least signal_type and signal_str.")],
    strict: Annotated[bool, typer.Option(help="Add nothing if a line is wrong.")] = False,
) -> None:
    """Add the hashes of a CSV, as `threatexchange dataset --csv` or `zhentu bank export` writes it.

    Lines that cannot be read are named on standard error; with --strict nothing is added then.

    Example: zhentu bank import bad partner.csv
    """
    from zhentu.banks.exchange import read_entries

    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        words = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise UsageError(f"{file}: {words}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is not UTF-8 text: {error}; save it as CSV UTF-8") from error
    entries, problems = read_entries(io.StringIO(text), file.name)
    for problem in problems:
        say(f"{file}:{problem.line}: {problem.what}", err=True)
    if problems and strict:
        raise UsageError(f"{file}: {len(problems)} lines are wrong; nothing was added")
    added = _open().add(name, entries, _who())
    say(f"added {len(added)} of {len(entries)} entries, {len(problems)} lines were not added")


@bank_app.command("export")
def export_csv(
    name: BankName,
    output: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that zhentu did not write.")] = False,
) -> None:
    """Write a bank as CSV, one signal per line: signal_type, signal_str, collab, category, tags, then zhentu's columns.

    Example: zhentu bank export bad --output bad.csv
    """
    from zhentu.banks.exchange import write_entries
    from zhentu.record.written import Written, WrittenFiles

    store = _open().store
    bank = store.bank(name)
    if output is None:
        write_entries(sys.stdout, bank, store.every_entry(name))
        return
    stream = io.StringIO(newline="")
    count = write_entries(stream, bank, store.every_entry(name))
    WrittenFiles(load_settings().data_dir).keep(output, stream.getvalue().encode(), Written.EXPORT, overwrite)
    say(f"{count} entries written to {output}")


def _open() -> Banks:
    from zhentu.bootstrap.stores import build_banks

    return build_banks(load_settings())


def _print(path: Path) -> Fingerprint:
    from zhentu.banks.hashing import fingerprint_of

    return fingerprint_of(_picture(path))


def _picture(path: Path) -> Picture:
    """The picture, of an animation the frame that is shown longest."""
    frames = _frames(path)
    return next((each for each in frames if each.frame and each.frame.main), frames[0])


def _frames(path: Path, then: str = "") -> tuple[Picture, ...]:
    """Raises PictureError that names the file. then: what else its sentence says."""
    from zhentu.bootstrap.screener import limits_of
    from zhentu.intake.decode import decode_frames, read_file

    limits = limits_of(load_settings())
    try:
        return decode_frames(read_file(path, limits), limits)
    except PictureError as error:
        words = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise type(error)(words + then) from error


def _expiry(days: float | None) -> datetime | None:
    """When entries added now expire. Raises UsageError for a time that has passed, or never comes."""
    if days is None:
        return None
    if not 0 < days <= _MOST_DAYS:
        raise UsageError(f"--days {days:g}: must be more than 0 and at most {_MOST_DAYS}; leave it out for never")
    return datetime.now(UTC) + timedelta(days=days)


def _given(threshold: int | None, colour: float | None, ratio: float | None) -> dict[str, object]:
    named = {"threshold": threshold, "colour_limit": colour, "enabled_ratio": ratio}
    return {name: value for name, value in named.items() if value is not None}


def _who() -> str:
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return "cli"
