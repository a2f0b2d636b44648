#!/usr/bin/env bash
# Fuzzes each target for so many seconds (60), beginning with its committed corpus; SECONDS_EACH and TARGETS say otherwise.
# What is found anew goes into target/fuzz, what fails into fuzz/artifacts. Any toolchain will do: no sanitizer is asked
# for, as there is no unsafe code here.
set -euo pipefail
cd "$(dirname "$0")"

cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked
seconds=${SECONDS_EACH:-60}
targets=${TARGETS:-$(cd targets && ls -- *.rs | sed 's/\.rs$//')}

cd ..
failed=()
for target in $targets; do
  found=target/fuzz/$target
  mkdir -p "$found"
  printf 'fuzz: %s, %s s\n' "$target" "$seconds"
  # ASCII of any length that a header may have; a slow input is a finding, too.
  cargo fuzz run --sanitizer none "$target" "$found" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 || failed+=("$target")
done
if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'fuzz: failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
printf 'fuzz: no finding\n'
