#!/bin/bash
# peer-xen.sh [QEMU ARGUMENT...]: boots the same dom0 and archive over Debian's Xen instead of Hospes, to compare
# the two. In the environment: CACHE (build/cache/xen, where Xen is kept), DOM0 (build/dom0, with arguments), ARCHIVE
# (build/archive.cpio, may be empty), MEM (1024 MiB), DOM0_MEM (256M), CMDLINE (more words for Xen).
# Console on the terminal; Ctrl-T x ends it. `peer-xen.sh --fetch` only fetches and prints the file's name.
set -euo pipefail
[ "${1:-}" != -h ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit; }

cache=${CACHE:-build/cache/xen} archive=${ARCHIVE-build/archive.cpio}
if [ ! -e "$cache/xen" ]; then
    package=$(apt-cache pkgnames xen-hypervisor-4 | grep -- '-amd64$' | sort -V | tail -n 1)
    [ -n "$package" ] || { echo "peer-xen.sh: apt knows no Xen. Run: sudo apt-get update" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$cache"
    (cd "$work" && apt-get download -q -o APT::Sandbox::User=root "$package" > log 2>&1) || { cat "$work/log" >&2; exit 1; }
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" --wildcards './boot/xen-*.gz'
    gzip -dc "$work"/boot/xen-*.gz > "$work/xen"
    mv "$work/xen" "$cache/xen"
    rm -rf "$work"
fi
[ "${1:-}" != --fetch ] || { echo "$cache/xen"; exit; }

# Xen starts a PVH dom0 only where there is an IOMMU.
exec qemu-system-x86_64 -machine q35 -device amd-iommu -accel tcg -cpu EPYC,+svm,+npt,-monitor,-rdtscp,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsavec \
    -m "${MEM:-1024}" -display none -nic none -chardev stdio,id=console,mux=on,signal=off -serial chardev:console \
    -mon chardev=console -echr 0x14 -kernel "$cache/xen" -initrd "${DOM0:-build/dom0}${archive:+,$archive}" \
    -append "dom0=pvh dom0_mem=${DOM0_MEM:-256M} console=com1 com1=115200,8n1 noreboot loglvl=all guest_loglvl=all ${CMDLINE:-}" "$@"
