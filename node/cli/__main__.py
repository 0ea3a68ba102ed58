"""`python -m node.cli` is `segnode`."""

from node.cli.main import main

if __name__ == "__main__":
    main()
