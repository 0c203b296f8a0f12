#!/bin/bash
# rootfs.sh [CACHE [GUEST]]: puts a Debian for guests into CACHE (build/cache/rootfs): `disk.img`, a GPT disk with one
# ext4 partition, "root", made by debootstrap, and `initrd`, which fits the kernel that GUEST (build/cache/guest,
# see guest.sh) has; the same kernel is on the disk, too, with a grub.cfg for GRUB's PVH image, which comes as `grub`.
# Root has no password. Does nothing when all is there. Debian's mirror is that of this computer, or MIRROR. In the
# environment, too: PACKAGES more for it, with a comma before each, and MODULES more for the initrd.
set -euo pipefail
[ "${1:-}" != -h ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit; }

cache=${1:-build/cache/rootfs} guest=${2:-build/cache/guest}
suite=bookworm mirror=${MIRROR:-http://deb.debian.org/debian}
size=1024 # MiB; the file is sparse
packages=systemd-sysv,udev,kmod,initramfs-tools,zstd,iproute2,iputils-ping,fio,iperf3${PACKAGES:-}
start=2048 # of the partition, in sectors of 512 bytes

key=$({ cat "$0" "$guest/kernel.deb"; echo "${PACKAGES:-} ${MODULES:-}"; } | sha256sum) # what all that is made of
if [ -e "$cache/disk.img" ] && [ "$(cat "$cache/key" 2> /dev/null)" = "$key" ]; then
    touch "$cache"/{disk.img,initrd,grub}
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "The guest's root file system is made by root, once. Run: sudo $0 $cache $guest" >&2
    exit 1
fi
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

# What a guest has no use for is left out as packages are unpacked, and dpkg need not wait for this computer's disk.
prepare() {
    mkdir -p "$root"/etc/{dpkg/dpkg.cfg.d,initramfs-tools/conf.d}
    {
        echo force-unsafe-io
        for folder in doc man locale info lintian bug; do
            echo "path-exclude=/usr/share/$folder/*"
        done
        for folder in gpu media net/ethernet net/wireless infiniband staging scsi usb iio hwmon input; do
            echo "path-exclude=/lib/modules/*/kernel/drivers/$folder/*"
        done
        echo "path-exclude=/lib/modules/*/kernel/sound/*"
    } > "$root/etc/dpkg/dpkg.cfg.d/small"
    printf 'MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\nRESUME=none\n' > "$root/etc/initramfs-tools/conf.d/guest"
    printf '%s\n' xen-blkfront ext4 ${MODULES:-} > "$root/etc/initramfs-tools/modules"
}

quietly() { # COMMAND...: shows what it said only when it failed
    "$@" > "$work/log" 2>&1 < /dev/null || { tail -n 40 "$work/log" >&2; exit 1; }
}

install() {
    echo "Making a Debian root file system with debootstrap, which takes minutes once" >&2
    quietly debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror"
    cp "$guest/kernel.deb" "$root/kernel.deb"
    # Ubuntu's kernel has what a guest needs built in, and the package of modules that it asks for is not there.
    quietly chroot "$root" env DEBIAN_FRONTEND=noninteractive dpkg --install --force-depends /kernel.deb
    quietly chroot "$root" sh -c 'apt-get clean && rm -rf /kernel.deb /var/lib/apt/lists/* /var/cache/debconf/*-old'
}

configure() {
    echo debian > "$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 debian\n' > "$root/etc/hosts"
    echo 'LABEL=root / ext4 defaults 0 0' > "$root/etc/fstab" # mounting replays the journal, which is enough
    printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n[DHCPv4]\nClientIdentifier=mac\n' > "$root/etc/systemd/network/80-dhcp.network"
    printf '# The name server of the network that QEMU and Bochs offer\nnameserver 10.0.2.3\n' > "$root/etc/resolv.conf"
    mkdir -p "$root/etc/systemd/system.conf.d" # an emulated processor beside busy ones may be this slow
    printf '[Manager]\nDefaultTimeoutStartSec=10min\nDefaultDeviceTimeoutSec=10min\n' > "$root/etc/systemd/system.conf.d/patience.conf"
    : > "$root/etc/machine-id" # each copy finds its own
    chroot "$root" passwd -q -d root
    printf 'deb %s %s main\n' "$mirror" "$suite" > "$root/etc/apt/sources.list"
    # What a guest on an emulated processor has no time for: work at set times, and modules and file systems that it
    # has not. logind wants a D-Bus.
    quietly chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer systemd-logind.service systemd-pstore.service sys-fs-fuse-connections.mount \
        sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount \
        modprobe@{configfs,dm_mod,drm,efi_pstore,fuse,loop}.service
    quietly chroot "$root" systemctl enable systemd-networkd
    quietly chroot "$root" systemctl disable systemd-networkd-wait-online
    mkdir -p "$root/boot/grub"
    cat > "$root/boot/grub/grub.cfg" <<'END'
# Read by GRUB's PVH image from the first partition; the links are those that Debian's kernel packages keep.
set timeout=0
menuentry "Debian" {
    linux /vmlinuz root=LABEL=root console=hvc0 quiet
    initrd /initrd.img
}
END
}

# The file system is filled as it is made, so no loop device is needed.
make_image() {
    local image=$work/disk.img
    truncate -s "${size}M" "$image"
    printf 'label: gpt\nstart=%s, type=linux, name=root\n' "$start" | quietly_from_stdin sfdisk "$image"
    # Without the last MiB, where the second partition table is.
    quietly mkfs.ext4 -q -F -L root -m 1 -E "offset=$((start * 512)),lazy_itable_init=0,lazy_journal_init=0" -d "$root" \
        "$image" "$((size - 2))M"
    cp --sparse=always "$image" "$cache/disk.img.new"
}

quietly_from_stdin() { "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

fetch_grub() {
    (cd "$work" && { apt-get download -q -o APT::Sandbox::User=root grub-xen-host ||
        { apt-get update -q && apt-get download -q -o APT::Sandbox::User=root grub-xen-host; }; } > log 2>&1 < /dev/null) ||
        { cat "$work/log" >&2; exit 1; }
    dpkg-deb --fsys-tarfile "$work"/grub-xen-host_*.deb | tar -xO ./usr/lib/grub-xen/grub-i386-xen_pvh.bin > "$work/grub"
}

fetch_grub
prepare
install
configure
make_image
cp "$root"/boot/initrd.img-* "$cache/initrd"
cp "$work/grub" "$cache/grub"
mv "$cache/disk.img.new" "$cache/disk.img"
echo "$key" > "$cache/key"
chown -R --reference="$0" "$cache" # under sudo: the user's
