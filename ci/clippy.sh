#!/bin/sh
# clippy on everything, tests included; a warning is an error here.
set -eu
cd "$(dirname "$0")/.."
cargo clippy --workspace --all-targets --locked -- -D warnings
