#!/bin/sh
# The fuzz targets, each for SECONDS_EACH seconds (default 30): not part of .ci/run, because cargo-fuzz needs a nightly
# compiler, which nobody else here does. Without it this check fails; it never passes unrun.
#
#   rustup toolchain install nightly && cargo install cargo-fuzz
#   SECONDS_EACH=300 ci/fuzz.sh
set -eu
cd "$(dirname "$0")/../fuzz"
: "${SECONDS_EACH:=30}"
cargo +nightly fuzz run counts -- -max_total_time="$SECONDS_EACH" -max_len=405 -timeout=20
# The logs of the parser's tests are what it starts from.
mkdir -p corpus/report
cargo +nightly fuzz run report corpus/report ../report/tests/data -- \
	-dict=report.dict -max_total_time="$SECONDS_EACH" -max_len=4000 -timeout=20
