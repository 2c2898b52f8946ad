# What postfix/try.sh and tests/run.sh need on a fresh Debian or Ubuntu. Sourced by both, from the project's root.
#
# Nothing that is there already is touched. Where a server is missing its package is installed, Postfix's without a
# configuration, and not started: we start private ones, from folders of their own.

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# Run a command as root, with sudo where we are not.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "This needs root: $*. Run the script as root, or install sudo."
    fi
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Print the first Python that is new enough and can make virtual environments.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return 0
        fi
    done
    return 1
}

# Whether there is what pymilter, a module in C, is built with.
can_build() {
    has cc && [ -e /usr/include/libmilter/mfapi.h ] &&
        "$(find_python)" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' 2>/dev/null
}

# Install the packages that are missing: Postfix (with smtp-source and smtp-sink), swaks, Python, what pymilter is
# built with; and where $1 is "tests" PostgreSQL, Debian's miltertest, systemd's own check of units, and openssl.
install_packages() {
    missing=
    if [ "${1:-}" = tests ]; then
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing=" postgresql"
        has systemd-analyze || missing="$missing systemd"
        has miltertest || missing="$missing miltertest"
        has openssl || missing="$missing openssl"
    fi
    has postconf || missing="$missing postfix"
    has swaks || missing="$missing swaks"
    find_python >/dev/null || missing="$missing python3 python3-venv"
    can_build || missing="$missing gcc libc6-dev libmilter-dev python3-dev"
    [ -z "$missing" ] && return 0
    has apt-get || die "Please install:$missing. (Only apt-get is known here.)"
    say "Installing:$missing"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update
    case $missing in *" post"*) without_services ;; esac
    # shellcheck disable=SC2086  # a list of words
    apt_install $missing || die "apt-get could not install$missing. If another mail server is in the way, it was left alone."
    allow_services
    find_python >/dev/null || install_newer_python
    can_build || apt_install "$(basename "$(find_python)")-dev" || die "No headers for $(find_python) among the packages."
}

# Older Ubuntus have a newer Python beside their own.
install_newer_python() {
    for version in 3.13 3.12 3.11; do
        if apt-cache show "python$version-venv" >/dev/null 2>&1 && apt_install "python$version-venv"; then
            find_python >/dev/null && return 0
        fi
    done
    die "No Python 3.11 or newer here, and none among the packages."
}

# --no-remove: a mail server that is there already wins, and we stop.
apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        --no-install-recommends --no-remove install "$@" >/dev/null
}

# Let servers come without being started, and the package postfix without a configuration.
without_services() {
    has postconf || echo 'postfix postfix/main_mailer_type select No configuration' | as_root debconf-set-selections
    [ -e /usr/sbin/policy-rc.d ] && return 0
    policy_is_ours=yes
    trap allow_services EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
}

# Take our policy-rc.d away again.
allow_services() {
    [ "${policy_is_ours:-no}" = yes ] || return 0
    policy_is_ours=no
    as_root rm -f /usr/sbin/policy-rc.d
}

# Make .venv with penstock (editable) and the extra $1 of pyproject.toml, if given; nothing to do while that file is
# the same.
make_venv() {
    .venv/bin/python -c '' 2>/dev/null || "$(find_python)" -m venv --clear .venv
    stamp="$(pwd) $(cksum <pyproject.toml)"
    if [ "$(cat ".venv/installed-${1:-plain}" 2>/dev/null)" != "$stamp" ]; then
        say "Installing penstock${1:+[$1]} and what it needs into .venv"
        PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet --no-input -e ".${1:+[$1]}"
        printf '%s\n' "$stamp" >".venv/installed-${1:-plain}"
    fi
}

# Run the environment's Python as root. Under sudo it leaves no files of root's behind, not even the caches of tests.
python_as_root() {
    if [ "$(id -u)" = 0 ]; then
        .venv/bin/python "$@"
        return
    fi
    caches=$(mktemp -d)
    status=0
    as_root env CI="${CI:-}" PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY="$caches/hypothesis" \
        PYTEST_ADDOPTS="-o cache_dir=$caches/pytest" "$(pwd)/.venv/bin/python" "$@" || status=$?
    as_root rm -rf "$caches"
    return "$status"
}
