#!/bin/sh
# The second command of the README: all tests, those in guests included. Builds three kernels the first time.
set -eu
cd "$(dirname "$0")/.."
cargo test --workspace --locked
