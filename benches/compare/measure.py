"""What is read before and after a contestant's turn: its processor time, and how many requests the backend has had."""

import http.client
import os
import re
import time
from pathlib import Path

from children import PROXY_CORE

TICK = os.sysconf("SC_CLK_TCK")


class Counter:
    """The backend's own count of requests. Every contestant sends it one for each that its client sends."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def read(self):
        """Requests so far, this one left out."""
        self.connection.request("GET", "/counter")
        body = self.connection.getresponse().read().decode()
        return int(re.search(r"requests\n \d+ \d+ (\d+)", body).group(1))


def reading(contestant, counter):
    """What a turn is the difference of two of."""
    requests = counter.read()
    return {"requests": requests, "time": time.monotonic(), **process_time(contestant.process.pid)}


def process_time(root):
    """Processor time of a process and its children, in seconds. `cpu` is exact; the kernel splits it by sampling."""
    cpu = user = system = 0
    for pid in family(root):
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                cpu += int((task / "schedstat").read_text().split()[0])
                fields = (task / "stat").read_text().rpartition(")")[2].split()
            except FileNotFoundError:
                continue
            user += int(fields[11])
            system += int(fields[12])
    return {"cpu": cpu / 1e9, "user": user / TICK, "system": system / TICK}


def family(root):
    """A process and its descendants: nginx works in a child."""
    pids = [root]
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            pids.extend(int(child) for child in (task / "children").read_text().split())
    return pids


def core_time():
    """Time that the proxy's core was not idle, in seconds, whoever used it."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{PROXY_CORE} "))
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK
