#!/bin/sh
# Run the whole test suite, live Postfix included, on a Debian or Ubuntu where nothing is prepared.
# Arguments go to pytest: sh tests/run.sh tests/live -k corpus
set -eu
cd "$(dirname "$0")/.."
. postfix/setup.sh

install_packages tests
make_venv test
python_as_root -m pytest "$@"
