"""A known-bad bank, a brand's originals and allowed pictures, as most tests of banks begin with."""

from __future__ import annotations

from zhentu.banks.bank import Banks
from zhentu.banks.entries import Bank
from zhentu.banks.store import BankStore
from zhentu.record.database import Database
from zhentu.types import BankKind

BAD = Bank("bad", BankKind.KNOWN_BAD)
BRAND = Bank("acme", BankKind.BRAND_ORIGINAL, brand="Acme", owners=("acme-shop",))


def three_banks(database: Database) -> Banks:
    made = Banks(BankStore(database))
    for bank in (BAD, BRAND, Bank("fine", BankKind.ALLOWED)):
        made.put_bank(bank, "ann")
    return made
