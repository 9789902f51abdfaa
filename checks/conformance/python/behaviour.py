"""What the scripts that check the behaviour of exported files have in common."""


def refused(kind, call):
    """The message with which a call is refused; it is a fault if it is not."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


def failures(paths, checks, arguments_of):
    """Runs all checks on all files and says which fail: the status with which the script ends. `arguments_of` gives what the checks take of a file."""
    failed = 0
    for path in paths:
        arguments = arguments_of(path)
        for check in checks:
            try:
                check(*arguments)
            except Exception as error:
                failed += 1
                print(f"{path}: {check.__name__}: {type(error).__name__}: {error}")
    print(f"{len(paths)} files, {len(checks)} checks each, {failed} failed")
    return 1 if failed or not paths else 0
