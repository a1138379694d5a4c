"""Run schemathesis with every check against the gate's own OpenAPI document, with an admin key.

    python scripts/fuzz_gate.py --examples 100

Some errors are accepted for requests that match the schema: 413, 415 and 422, because no schema can tell whether bytes
are a picture or whether a URL leads to one; and 400, because form fields that must hold JSON (`listings`,
`declared_attributes`) are plain text to the schema.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from loadgen import drive, environment, form, free_port, gate_command, pictures, started

from zhentu.record.database import Database
from zhentu.record.keys import KeyStore
from zhentu.record.store import RecordStore
from zhentu.types import Role

_CONFIG = """
headers = {{ Authorization = "Bearer {token}" }}

[parameters]
record_id = "{record}"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "415", "422", "429", "503"]
"""


def main() -> None:
    """Run it and exit with schemathesis' own exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100)
    arguments = parser.parse_args()
    folder, port = Path(tempfile.mkdtemp(prefix="zhentu-fuzz-")), free_port()
    url = f"sqlite:///{folder}/records.db"
    database = Database(url)
    _, token = KeyStore(database).create("fuzz", Role.ADMIN, 0.0)
    RecordStore(database).close()
    command = [each for each in gate_command(port) if each != "--open"]
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    env = environment(
        folder, store_url=url, store_pictures=folder / "pictures", fetch_timeout_s=1, webhook_secret=secret
    )
    with started(command, port, env, log=folder / "gate.log"):
        bearer = f"Authorization: Bearer {token}\r\n"
        screened = asyncio.run(drive(port, [form(pictures(1)[0], "/v1/screen", headers=bearer)], 1))
        record = json.loads(screened.answers[0][2])["record_id"]
        config = _CONFIG.format(token=token, record=record)
        (folder / "schemathesis.toml").write_text(config, encoding="utf-8")
        run = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "schemathesis.toml")]
        options = ["--max-examples", str(arguments.examples), "--checks", "all", "--continue-on-failure"]
        target = f"http://127.0.0.1:{port}/openapi.json"
        done = subprocess.run([*run, "run", target, *options], cwd=folder, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
