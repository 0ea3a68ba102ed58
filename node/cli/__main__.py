"""Entry point of `python -m node.cli`, the same as `segnode`."""

from node.cli.main import main

if __name__ == "__main__":
    main()
