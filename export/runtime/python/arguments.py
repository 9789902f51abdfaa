"""What constructors do with their arguments."""


def _either(name, value, default, alias, other):
    """A number that has two names, of which one at most is given."""
    if other is None:
        return value
    if isinstance(value, (int, float)) and value != default:
        raise TypeError(f"give `{name}` or `{alias}`, not both")
    return other


def _is_number(x):
    """Whether x is a number whose value is known: no schedule, and nothing traced."""
    try:
        float(x)
    except (AttributeError, NotImplementedError, TypeError):
        return False
    return True
