"""Tells of each step of a client whether it came out as it does on the real service."""

import os
import sys


class Unexpected(Exception):
    """An answer other than the real service's."""


class Steps:
    """The steps of one client."""

    def __init__(self, client):
        self._client = client
        self._failed = False

    def step(self, name):
        """Runs the function below it, and prints one line."""

        def run(step):
            try:
                step()
            except Exception as error:  # whatever the client throws is what came
                self._failed = True
                said = str(error) if isinstance(error, Unexpected) else f"{type(error).__name__}: {error}"
                print(f"not ok {self._client} {name}: {said}".replace("\n", "; "), flush=True)
            else:
                print(f"ok {self._client} {name}", flush=True)
            return step

        return run

    def exit(self):
        """Ends the process: with 1 if a step failed."""
        sys.exit(1 if self._failed else 0)


def same(what, expected, came):
    """Raises unless both are the same."""
    if expected != came:
        raise Unexpected(f"expected {what} {expected!r}, came {came!r}")


def holds(what, condition):
    """Raises unless the condition holds."""
    if not condition:
        raise Unexpected(f"expected {what}")


def raises(kind, call):
    """The error of this kind that the call raises."""
    try:
        answer = call()
    except kind as error:
        return error
    except Exception as error:
        raise Unexpected(f"expected {kind.__name__}, came {type(error).__name__}: {error}") from error
    raise Unexpected(f"expected {kind.__name__}, came {answer!r}")


def setting(name):
    """An environment variable that the process cannot do without."""
    value = os.environ.get(name)
    if not value:
        print(f"set the environment variable {name}; tests/clients/README.md lists them", file=sys.stderr)
        sys.exit(2)
    return value
