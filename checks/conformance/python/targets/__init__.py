"""How the exports to each target are run."""


class Cannot(Exception):
    """A program has not got a variant; the reason."""
