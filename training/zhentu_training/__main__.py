"""`python -m zhentu_training run`: the whole line by one command."""

from __future__ import annotations

import sys

from zhentu.errors import ZhentuError
from zhentu_training.commands import disk_errors_named
from zhentu_training.run import main

if __name__ == "__main__":
    try:
        with disk_errors_named():
            main()
    except ZhentuError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
