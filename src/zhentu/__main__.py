"""`python -m zhentu` is the `zhentu` command."""

from zhentu.cli import main

if __name__ == "__main__":
    main()
