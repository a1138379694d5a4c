"""The attacks of `attack_gate.py`. Each docstring starts with the promise under attack; each returns what happened.

An attack raises AssertionError if the promise does not hold. All of them stay on 127.0.0.1.
"""

from __future__ import annotations

from attacks.bench import Attack
from attacks.load import (
    appeals_with_many_photos,
    body_without_a_key,
    decompression_bombs,
    endless_headers,
    half_open_connections,
    slow_picture,
    tarpit_fetches,
    tarpit_webhooks,
    unknown_json_keys,
    uploads_that_drip,
)
from attacks.people import (
    audit_of_keys,
    batch_larger_than_the_bucket,
    browsers_and_open_mode,
    foreign_scripts,
    formulas_and_markup,
    keys_and_controls_in_the_log,
    nul_in_text,
    password_in_an_error,
    private_files,
    spoofed_proxy,
    wrong_keys,
)

ATTACKS: tuple[Attack, ...] = (
    body_without_a_key,
    endless_headers,
    half_open_connections,
    unknown_json_keys,
    uploads_that_drip,
    slow_picture,
    decompression_bombs,
    appeals_with_many_photos,
    tarpit_fetches,
    tarpit_webhooks,
    wrong_keys,
    batch_larger_than_the_bucket,
    spoofed_proxy,
    keys_and_controls_in_the_log,
    nul_in_text,
    private_files,
    foreign_scripts,
    audit_of_keys,
    browsers_and_open_mode,
    formulas_and_markup,
    password_in_an_error,
)
