#!/usr/bin/env bash
# Installs what the tests of real applications need: Flask, Django, grpcio and websockets in .tools/venv, Express, ws and
# playwright-core in .tools/node, and, where they are missing, Debian's or Ubuntu's packages of Python's venv, Node.js, PHP, Chromium, curl and
# Redis. The tests start Redis servers of their own; whether one runs as a service is none of their business.
# Nothing outside .tools is touched but those packages. Does nothing when nothing has changed since the last time.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# The same names in the same order as tests/apps/tools.rs.
have_chromium() {
  [[ -n "${CHROMIUM:-}" ]] || have chromium || have chromium-browser || have google-chrome
}
have_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }

# Ubuntu calls it chromium-browser, and that is a snap.
chromium_package() {
  if apt-cache show chromium >/dev/null 2>&1; then echo chromium; else echo chromium-browser; fi
}

install_packages() {
  local packages=()
  have curl || packages+=(curl ca-certificates)
  have_venv || packages+=(python3 python3-venv)
  have node || packages+=(nodejs)
  have npm || packages+=(npm)
  have php || packages+=(php-cli)
  have redis-server || packages+=(redis-server)
  local chromium=
  have_chromium || chromium=chromium
  [[ ${#packages[@]} -gt 0 || -n "$chromium" ]] || return 0

  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    have sudo || fail "missing: ${packages[*]} $chromium. There is no sudo here: install them as root, then try again"
    as_root=(sudo)
  fi
  have apt-get || fail "missing: ${packages[*]} $chromium. There is no apt-get here: install them your system's way, then try again"
  "${as_root[@]}" apt-get update -q
  [[ -z "$chromium" ]] || packages+=("$(chromium_package)")
  say "apt-get install ${packages[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
  have_venv || fail "python3 still has no venv module: $(command -v python3) is not Debian's; install its own"
  have_chromium || fail "Chromium is still not in PATH: install any Chromium or Chrome, and name it in CHROMIUM"
}

# The versions of Python and Node are part of the key: what is installed for one may not run on another.
stamp_key() {
  { cat "$0" tests/apps/requirements.txt tests/apps/package.json tests/apps/package-lock.json
    python3 --version
    node --version
    pwd # a venv cannot be moved
  } | sha256sum
}

install_packages
node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' ||
  fail "Node.js 18 or newer is needed, and $(command -v node) is $(node --version)"

key=$(stamp_key)
if [[ "$(cat .tools/apps.stamp 2>/dev/null || true)" == "$key" ]]; then
  exit 0
fi

mkdir -p .tools
rm -f .tools/apps.stamp

say "Flask, Django, grpcio and websockets into .tools/venv"
rm -rf .tools/venv
python3 -m venv .tools/venv
.tools/venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/apps/requirements.txt

say "Express, ws and playwright-core into .tools/node"
rm -rf .tools/node
mkdir -p .tools/node
cp tests/apps/package.json tests/apps/package-lock.json .tools/node/
npm ci --prefix .tools/node --ignore-scripts --no-audit --no-fund --loglevel=error

printf '%s\n' "$key" > .tools/apps.stamp
say "done"
