"""A port that nobody listens on: python -m src.port PORT [HOST]

Prints PORT, or the next one after it that is free on HOST (127.0.0.1), for a server that is started with it.
Exit status: 0 done; 2 PORT is none, or no port from it on is free.
"""

import os
import socket
import sys

from src.commands.arguments import run_command
from src.config.error import UserError

PORTS_TRIED = 100


def free_port(host: str, wanted: int) -> int:
    """The port `wanted`, or the next one that is free on `host`. Raises UserError if the next PORTS_TRIED are taken."""
    if not 1 <= wanted <= 65535:
        raise UserError(f"--port {wanted}: must be a port number; accepted: 1 to 65535")
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if os.name == "posix":  # so that a port counts as free whose last connection has only just closed
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                failure = error
            else:
                return port
    raise UserError(f"--port {wanted}: no port from it on can be used on {host} ({failure}); name another one.")


def moved(wanted: int, port: int) -> str:
    """A sentence that says that `port` is used in place of `wanted`; empty where they are the same."""
    return "" if port == wanted else f"port {wanted} is taken, {port} is used\n"


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_print_free, arguments, __doc__, "No port")


def _print_free(arguments: list[str]) -> int:
    if not arguments or len(arguments) > 2 or not arguments[0].isdecimal():
        raise UserError(f"{' '.join(arguments) or 'nothing'!r}: must be a port number, such as 8080")
    wanted = int(arguments[0])
    port = free_port(arguments[1] if len(arguments) > 1 else "127.0.0.1", wanted)
    print(moved(wanted, port), end="", file=sys.stderr)
    print(port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
