"""Where a contestant's processor time goes: symbols, crates, and our own lines by perf; system calls by strace."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter as Tally
from pathlib import Path

import load
from children import LOAD_CORE
from measure import family, reading

TOP = 40


def profile(children, folder, field, counter, scenario, options):
    """Loads the first contestant for the whole time, watches it with perf, then with strace, and prints both."""
    contestant = field[0]
    seconds = max(options.seconds, 4)
    worker = family(contestant.process.pid)[-1]
    process = load.start(children, scenario, contestant, 3 * seconds + 3, folder)
    time.sleep(1)
    print(f"## {contestant.name}, {scenario.title}\n")
    if shutil.which("perf"):
        base = load_address(worker)
        cost, samples = perf(children, folder, worker, contestant, counter, seconds)
        print_symbols(cost, samples)
        if contestant.kind == "gateway":
            print_sources(cost, samples, contestant.binary, base)
    else:
        print("bench: perf is not installed (Debian: linux-perf)", file=sys.stderr)
    if shutil.which("strace"):
        print_system_calls(children, folder, worker, contestant, counter, seconds)
    else:
        print("bench: strace is not installed", file=sys.stderr)
    latency = load.finish(children, process, scenario, contestant, folder)
    if latency.errors:
        print(f"bench: INVALID: {latency.errors}", file=sys.stderr)
    return 1 if latency.errors else 0


def perf(children, folder, worker, contestant, counter, seconds):
    """Samples the worker. Returns its µs a request, and a list of (address, symbol, object)."""
    data = folder / "perf.data"
    # The clock works in virtual machines too, where there are no hardware counters.
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-p", str(worker), "-o", str(data),
               "--", "sleep", str(seconds)]
    before = reading(contestant, counter)
    recorder = children.start(LOAD_CORE, command, stderr=subprocess.DEVNULL)
    recorder.wait(timeout=seconds + 20)
    after = reading(contestant, counter)
    cost = (after["cpu"] - before["cpu"]) * 1e6 / (after["requests"] - before["requests"])
    script = subprocess.run(["perf", "script", "-i", str(data), "-F", "ip,sym,dso"], check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    samples = [match.groups() for match in re.finditer(r"^\s*([0-9a-f]+) (.*) \((.*)\)$", script, re.MULTILINE)]
    return cost, [(int(address, 16), symbol, where) for address, symbol, where in samples]


def print_symbols(cost, samples):
    """The costliest symbols outside the kernel; the kernel as one line."""
    tally = Tally((Path(where).name, symbol) for _, symbol, where in samples)
    kernel = sum(n for (where, _), n in tally.items() if where.startswith("[k"))
    print(f"{cost:.2f} µs/request under perf, {len(samples)} samples; kernel {kernel / len(samples):.0%} "
          f"({cost * kernel / len(samples):.2f} µs), user {cost * (1 - kernel / len(samples)):.2f} µs\n")
    user = Tally({key: n for key, n in tally.items() if not key[0].startswith("[k")})
    heading("symbol", user, cost / len(samples))
    for (where, symbol), n in user.most_common(TOP):
        print(f"{n * cost / len(samples):6.3f}  {n / len(samples):5.1%}  {where:18.18} {short(symbol)}")
    print()


def print_sources(cost, samples, binary, base):
    """The same time by crate, and by the function it was inlined from."""
    addresses = Tally(address - base for address, _, where in samples if where.endswith(Path(binary).name))
    frames = inlined(binary, addresses)
    crates, functions = Tally(), Tally()
    for address, n in addresses.items():
        owner, function = own(frames.get(address, []))
        crates[owner] += n
        functions[owner, function] += n
    scale = cost / len(samples)
    heading("crate", crates, scale)
    for owner, n in crates.most_common(TOP // 2):
        print(f"{n * scale:6.3f}  {n / len(samples):5.1%}  {owner}")
    print()
    heading("function, as written (inlined ones apart; std counts for its caller)", functions, scale)
    for (owner, function), n in functions.most_common(TOP):
        print(f"{n * scale:6.3f}  {n / len(samples):5.1%}  {owner:18.18} {short(function)}")
    print()


def heading(what, tally, scale):
    """The line above a list."""
    print(f"{'µs':>6}  share   by {what}; {sum(tally.values()) * scale:.2f} µs in all")


def load_address(pid):
    """Where the process's own program begins in memory."""
    binary = str(Path(f"/proc/{pid}/exe").readlink())
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(int(line.split("-")[0], 16) for line in lines if line.endswith(binary))


def inlined(binary, addresses):
    """The frames at each address, innermost first, as (function, file)."""
    asked = "\n".join(f"{address:#x}" for address in addresses)
    answer = subprocess.run(["addr2line", "-a", "-f", "-i", "-C", "-e", binary], input=asked, check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    frames, current = {}, []
    lines = iter(answer.splitlines())
    for line in lines:
        if re.fullmatch(r"0x[0-9a-f]{8,}", line):
            current = frames.setdefault(int(line, 16), [])
        else:
            current.append((line, next(lines)))
    return frames


def own(frames):
    """The innermost frame that is not the standard library's, as (crate, function)."""
    for function, file in frames:
        found = re.search(r"/registry/src/[^/]+/([^/]+?)-\d[^/]*/", file)
        if found:
            return found.group(1), function
        if "/library/" not in file and "/src/" in file:
            return "session-gateway", f"{function}  {file.rpartition('/src/')[2]}"
    return ("std", frames[0][0]) if frames and "/library/" in frames[0][1] else ("?", frames[0][0] if frames else "?")


def short(symbol):
    """A symbol without the hash at its end, cut to a line."""
    return re.sub(r"::h[0-9a-f]{16}$", "", symbol)[:140]


def print_system_calls(children, folder, worker, contestant, counter, seconds):
    """System calls a request. strace slows the worker down, which leaves their number nearly as it is."""
    summary = folder / "strace.txt"
    tracer = children.start(LOAD_CORE, ["strace", "-c", "-f", "-qq", "-o", str(summary), "-p", str(worker)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while tracer.poll() is None and "TracerPid:\t0" in Path(f"/proc/{worker}/status").read_text():
        time.sleep(0.001)
    before = counter.read()
    time.sleep(min(seconds, 3))
    requests = counter.read() - before - 1
    tracer.send_signal(signal.SIGINT)
    tracer.wait(timeout=10)
    print(f"{'calls/request':>13}  system call, {requests} requests")
    for line in summary.read_text().splitlines():
        found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?(\w+)$", line)
        if found and int(found.group(1)) / requests >= 0.001:
            failed = f", {int(found.group(2)) / requests:.3f} of them failed" if found.group(2) else ""
            print(f"{int(found.group(1)) / requests:13.3f}  {found.group(3)}{failed}")
    print()
