"""The machine: the programs a comparison needs, and what the report says about where it ran."""

import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Program → Debian's package.
NEEDED = {
    "nginx": "nginx",
    "haproxy": "haproxy",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "redis-server": "redis-server",
    "openssl": "openssl",
    "taskset": "util-linux",
    "setpriv": "util-linux",
}
POLICY = Path("/usr/sbin/policy-rc.d")


def install_missing():
    """Installs what is missing with apt. Services that come with a package are neither started nor enabled."""
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        sys.exit(f"bench: please install {', '.join(missing)}: apt-get is not here to do it")
    if os.geteuid() != 0 and not shutil.which("sudo"):
        sys.exit(f"bench: please install {', '.join(missing)}: neither root nor sudo")
    print(f"bench: installing {', '.join(missing)}", file=sys.stderr)
    # A policy of 101 forbids package scripts to start services (invoke-rc.d(8)); an operator's own policy stays.
    own_policy = not POLICY.exists()
    if own_policy:
        as_root("sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}")
    try:
        as_root("apt-get", "update", "-qq")
        as_root("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)
    finally:
        if own_policy:
            as_root("rm", "-f", str(POLICY))
    for service in {"nginx", "haproxy", "redis-server"} & set(missing):
        if shutil.which("systemctl"):
            as_root("systemctl", "disable", "--quiet", service, check=False)


def as_root(*command, check=True):
    """Runs one command as root. What it prints goes to standard error."""
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if sudo:
        sudo.append("DEBIAN_FRONTEND=noninteractive")
    subprocess.run([*sudo, *command], check=check, env=env, stdout=sys.stderr)


def description():
    """What the report says about the machine and the programs, as (name, value) pairs."""
    cpu = first_match(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return [
        ("machine", f"{cpu}, {os.cpu_count()} cores, Linux {os.uname().release}"),
        ("date", datetime.date.today().isoformat()),
        ("nginx", first_match(r"nginx/(\S+)", said("nginx", "-v"))),
        ("HAProxy", first_match(r"version (\S+)", said("haproxy", "-v"))),
        ("Redis", first_match(r"v=(\S+)", said("redis-server", "--version"))),
        ("OpenSSL", first_match(r"OpenSSL (\S+)", said("openssl", "version"))),
        ("rustc", first_match(r"rustc (\S+)", said("rustc", "--version"))),
        ("wrk", first_match(r"wrk (?:debian/)?(\S+)", said("wrk", "-v"))),
        ("h2load", first_match(r"nghttp2/(\S+)", said("h2load", "--version"))),
    ]


def said(*command):
    """What a program printed, on either stream; nothing, where there is no such program."""
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except FileNotFoundError:
        return ""
    return run.stdout


def first_match(pattern, text):
    """The first group of the first match, or `unknown`."""
    found = re.search(pattern, text)
    return found.group(1).strip() if found else "unknown"
