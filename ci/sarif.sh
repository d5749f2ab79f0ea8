#!/bin/sh
# The SARIF of all logs of the parser's tests, against the schema of the standard. Without a network the first run fails.
set -eu
cd "$(dirname "$0")/.."
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}" cargo run --quiet --manifest-path ci/sarif/Cargo.toml -- report/tests/data
