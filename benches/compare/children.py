"""Child processes: pinned to a core, and gone when this one is, however it ends."""

import signal
import socket
import subprocess
import sys
import time

PROXY_CORE = 0
LOAD_CORE = 1


class Children:
    """The processes started here. Leaving the `with` block ends them, and only them."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, lambda number, _frame: sys.exit(128 + number))
        return self

    def __exit__(self, *_exc):
        for child in reversed(self.running):
            self.end(child)

    def start(self, core, command, **options):
        """Starts a command on one core. It is sent SIGTERM even if this process is killed."""
        pinned = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *command]
        child = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, **options)
        self.running.append(child)
        return child

    def end(self, child):
        """Asks a child to end, and insists after two seconds."""
        if child in self.running:
            self.running.remove(child)
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=2)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def free_port():
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, child, what, log):
    """Returns once `port` accepts; ends the program, with the child's log, when the child ends or takes ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise SystemExit(f"bench: {what} did not start\n{said}")
