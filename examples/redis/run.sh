#!/usr/bin/env bash
# Two gateways, one Redis, one backend, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v redis-server >/dev/null || { echo "redis-server is not installed (Debian: apt-get install redis-server)" >&2; exit 1; }
cargo build --release --locked
gateway=target/release/session-gateway
"$gateway" dev-cert
[[ -e certs/session.key ]] || "$gateway" key certs/session.key

# Whatever ends first ends all of them.
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
# Its own, with nothing on the disk: as gone as this script is when it ends. In production it keeps what it is given.
redis-server --port 7379 --bind 127.0.0.1 --save '' --appendonly no --logfile /dev/null &
python3 examples/redis/backend.py 5000 &
"$gateway" --config examples/redis/gateway-1.toml &
"$gateway" --config examples/redis/gateway-2.toml &

cat <<'TEXT'

  https://localhost:8443   the first gateway
  https://localhost:9443   the second

  Log in at one of them, and go on at the other. Your browser does not know the certificate: go on all the same.
  Whose sessions there are, both know: curl 'http://127.0.0.1:9901/sessions?user=NAME'
  What stands in Redis: redis-cli -p 7379 --scan
  Ctrl-C ends all of it.

TEXT
wait -n
