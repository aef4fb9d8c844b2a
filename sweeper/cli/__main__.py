"""`python -m sweeper.cli` is `sweeper`."""

from sweeper.cli.program import main

if __name__ == "__main__":
    main()
