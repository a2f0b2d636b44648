"""Instructions a request outside the kernel, by callgrind: slow, but the number repeats and can guard against growth."""

import re
import shutil
import subprocess
import sys
from collections import Counter as Tally

import contestants
from children import LOAD_CORE
from hot_spots import short

FEW, MANY = 1000, 4000
TOP = 40


def count(children, folder, field, backend, redis, scenario):
    """Runs the first contestant under callgrind, and prints its instructions a request and what they were spent in."""
    if not shutil.which("callgrind_control"):
        sys.exit("bench: valgrind is not installed")
    contestant = field[0]
    contestant.under = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out"]
    contestants.start(contestant, children, folder, backend, redis)
    contestants.log_in(contestant)
    contestants.check_session(contestant)
    request(children, scenario, contestant, FEW)
    few = cost(children, folder, scenario, contestant, FEW, 1)
    # Connections and handshakes are in both, and so in neither.
    many = cost(children, folder, scenario, contestant, MANY, 2)
    print(f"## {contestant.name}, {scenario.title}: {(many - few) / (MANY - FEW):,.0f} instructions a request\n")
    own, whole, calls = read((folder / "callgrind.out.2").read_text())
    print(f"{'own':>10}  {'with calls':>10}  {'calls':>8}  function; a request, of {MANY} and their connections")
    shown = {name for name, _ in own.most_common(TOP)} | {name for name, _ in whole.most_common(TOP)}
    for name in sorted(shown, key=lambda name: -own[name]):
        print(f"{own[name] / MANY:10,.0f}  {whole[name] / MANY:10,.0f}  {calls[name] / MANY:8.2f}  {short(name)}")
    return 0


def read(profile):
    """Callgrind's format: each function's own instructions, those with what it called, and how often it was called.

    callgrind_annotate is of no use here: after a reset it gives everything to the function that never returns.
    """
    names, own, whole, calls = {}, Tally(), Tally(), Tally()

    def named(text):
        number, _, name = text.partition(" ")
        return names.setdefault(number, name)

    current = callee = ""
    called = False
    for line in profile.splitlines():
        if line.startswith("fn="):
            current = named(line[3:])
        elif line.startswith("cfn="):
            callee = named(line[4:])
        elif line.startswith("calls="):
            calls[callee] += int(line[6:].split()[0])
            called = True
        elif re.match(r"[-+*\d]", line):
            instructions = int(line.split()[1])
            if not called:
                own[current] += instructions
            elif callee != current:
                whole[callee] += instructions
            called = False
    return own, whole, calls


def cost(children, folder, scenario, contestant, requests, dump):
    """Instructions of so many requests: zeroes callgrind's counters, asks, and has them dumped."""
    pid = str(contestant.process.pid)
    subprocess.run(["callgrind_control", "-z", pid], check=True, capture_output=True)
    request(children, scenario, contestant, requests)
    subprocess.run(["callgrind_control", "-d", pid], check=True, capture_output=True)
    written = (folder / f"callgrind.out.{dump}").read_text()
    return int(re.search(r"^(?:totals|summary): (\d+)", written, re.MULTILINE).group(1))


def request(children, scenario, contestant, requests):
    """Sends exactly so many requests; ends the program where one fails."""
    scheme, port = ("https", contestant.https) if scenario.tls else ("http", contestant.http)
    connections = ["-c", "8", "-m", "8"] if scenario.tool == "h2load" else ["--h1", "-c", "64"]
    header = ["-H", f"cookie: {contestant.cookie}"] if scenario.cookie else []
    command = ["h2load", "-t1", "-n", str(requests), *connections, *header,
               f"{scheme}://127.0.0.1:{port}{scenario.path}"]
    process = children.start(LOAD_CORE, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output, _ = process.communicate(timeout=300)
    children.end(process)
    if f"status codes: {requests} 2xx" not in output:
        raise SystemExit(f"bench: not every request succeeded:\n{output}")
