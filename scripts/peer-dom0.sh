#!/bin/bash
# peer-dom0.sh DISK-ARGUMENTS...: boots Debian's Xen with Debian's kernel as PV dom0 and its own tools in QEMU, and creates the guest
# of the files GUEST (a kernel, "/run/guest" there) and CONFIG (its xl configuration) with its console on the terminal. More QEMU
# arguments name the devices for it. In the environment: CACHE (build/cache), MEM (1024 MiB), CPU (QEMU's -cpu).
# `peer-dom0.sh --fetch` only makes the root file system, once, as root.
set -euo pipefail
[ "${1:-}" != -h ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit; }

here=$(dirname "$(realpath "$0")") cache=${CACHE:-build/cache}
"$here/guest.sh" "$cache/guest"
PACKAGES=,xen-utils-4.17,xenstore-utils MODULES='virtio_blk virtio_pci' "$here/rootfs.sh" "$cache/peer" "$cache/guest"
xen=$(CACHE=$cache/xen "$here/peer-xen.sh" --fetch)
[ "${1:-}" != --fetch ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
package=$work/package.tar
dpkg-deb --fsys-tarfile "$cache/guest/kernel.deb" > "$package"
tar -xOf "$package" --wildcards './boot/vmlinuz-*' > "$work/vmlinuz"
tar -xOf "$package" --wildcards './lib/modules/*/e1000e.ko' > "$work/e1000e.ko" # not in the root file system
rm "$package"
cp "$GUEST" "$work/guest"
cp "$CONFIG" "$work/guest.cfg"
tar -cf "$work/files" -C "$work" guest guest.cfg e1000e.ko
# Its first process reads this from a disk: what init would do, as far as xl needs it.
cat > "$work/init" <<'END'
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t tmpfs run /run
mount -t tmpfs log /var/log
mkdir -p /run/xen /run/lock /var/log/xen
tar -xf /dev/vdc -C /run
for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xen-blkback xen-netback bridge ptp; do
    modprobe $module
done
insmod /run/e1000e.ko
mount -t xenfs xenfs /proc/xen
/usr/lib/xen-4.17/bin/xenstored
/usr/lib/xen-4.17/bin/xen-init-dom0
/usr/lib/xen-4.17/bin/xenconsoled
number=0
for card in $(ls /sys/class/net | grep '^e'); do
    bridge=xenbr$number number=$((number + 1))
    ip link add $bridge type bridge forward_delay 0
    ip link set $card master $bridge
    ip link set $card up
    until [ "$(cat /sys/class/net/$card/carrier)" = 1 ]; do sleep 0.1; done
    ip link set $bridge up
done
xl create -c /run/guest.cfg
poweroff -f
exit
END
truncate -s 4096 "$work/init"

drive() { echo "-drive if=none,id=$1,format=raw,file=$2,snapshot=on -device virtio-blk-pci,drive=$1,addr=$3"; }
qemu-system-x86_64 -machine q35 -accel tcg -cpu "${CPU:-EPYC,-smap,-smep}" -m "${MEM:-1024}" -display none -nic none -no-reboot \
    -serial stdio -monitor none -kernel "$xen" -append "dom0_mem=512M console=com1 com1=115200,8n1" \
    -initrd "$work/vmlinuz root=LABEL=root rw console=hvc0 quiet init=/bin/sh -- /dev/vdb,$cache/peer/initrd" \
    $(drive root "$cache/peer/disk.img" 4) $(drive script "$work/init" 5) $(drive files "$work/files" 6) "$@"
