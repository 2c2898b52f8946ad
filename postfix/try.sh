#!/bin/sh
# Try penstock out: a private Postfix, penstock beside it, real messages through both, on loopback ports only.
# It stays up until Ctrl-C; with --once it ends after the show, with a non-zero status if anything came out wrong.
set -eu
cd "$(dirname "$0")/.."
. postfix/setup.sh

install_packages
make_venv
python_as_root -m penstock.filter.testing.tryout "$@"
