#!/bin/bash
# Installs what the build and the tests need (Debian 12 or newer, Ubuntu 22.04 or newer). Run by `make run` and
# `make test`; takes no time when all is there. Without root it prints the one line to run.
set -euo pipefail
[ "${1:-}" != -h ] || { sed -n 's/^# \{0,1\}//p' "$0"; exit; }

build=(gcc binutils make nasm mawk cpio libxen-dev busybox-static xz-utils lz4 zstd)
image=(grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools ovmf)
root=(debootstrap debian-archive-keyring e2fsprogs fdisk)
tests=(qemu-system-x86 bochs bochsbios vgabios python3 python3-pytest python3-pytest-xdist python3-pexpect libcmocka-dev iperf3)

installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${build[@]}" "${image[@]}" "${root[@]}" "${tests[@]}" 2>/dev/null \
    | sed -n 's/^ii *//p') || true
missing=()
for package in "${build[@]}" "${image[@]}" "${root[@]}" "${tests[@]}"; do
    grep -qxF "$package" <<< "$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "Some packages are missing. Run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install_missing() {
    apt-get install -y -q --no-install-recommends "${missing[@]}" < /dev/null > "$log" 2>&1
}
# The package lists may never have been fetched, or be too old.
install_missing || { apt-get update -q < /dev/null > /dev/null && install_missing; } || { cat "$log" >&2; exit 1; }
