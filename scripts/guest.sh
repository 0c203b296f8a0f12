#!/bin/bash
# guest.sh [CACHE]: puts an unmodified Debian guest into CACHE (build/cache/guest): `vmlinux`, the kernel of
# Debian's linux-image-amd64 (Ubuntu: linux-image-virtual), `kernel.deb`, the package it is from, and `ramdisk`, a
# busybox that ends in a shell on hvc0. Does nothing when all are there.
set -euo pipefail
[ "${1:-}" != -h ] || { sed -n '2,4s/^# \{0,1\}//p' "$0"; exit; }

here=$(dirname "$(realpath "$0")")
cache=${1:-build/cache/guest}
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The package that a meta package stands for, e.g. linux-image-6.1.0-44-amd64.
kernel_package() {
    apt-cache depends --no-recommends --no-suggests linux-image-amd64 linux-image-virtual 2> /dev/null \
        | sed -n '/^ *Depends: \(linux-image-[0-9][^ ]*\)$/{s//\1/p;q}'
}

# A bzImage's setup header says where the compressed vmlinux lies (Documentation/arch/x86/boot.rst): bytes
# 0x1f1 setup sectors, 0x248 payload_offset, 0x24c payload_length. The last 4 bytes are the unpacked size,
# which every packer but gzip would take for rubbish.
number() { od -An -v -j "$2" -N "$3" -t "u$3" "$1" | tr -d ' '; }
unpack_bzimage() {
    local image=$1 sectors start length
    sectors=$(number "$image" $((0x1f1)) 1)
    start=$(((${sectors/#0/4} + 1) * 512 + $(number "$image" $((0x248)) 4)))
    length=$(number "$image" $((0x24c)) 4)
    tail -c +$((start + 1)) "$image" | head -c "$length" > "$work/payload" || true
    case $(od -An -v -N 4 -t x1 "$work/payload" | tr -d ' ') in
    1f8b*) gzip -dc "$work/payload" ;;
    fd377a58) head -c -4 "$work/payload" | xz -dc ;;
    28b52ffd) head -c -4 "$work/payload" | zstd -dcq ;;
    02214c18) head -c -4 "$work/payload" | lz4 -dcq ;;
    5d0000*) head -c -4 "$work/payload" | xz --format=lzma -dc ;;
    *) echo "guest.sh: $image is packed in a way that is not known here" >&2; return 1 ;;
    esac
}

make_kernel() {
    local package
    package=$(kernel_package)
    if [ -z "$package" ] && [ "$(id -u)" = 0 ]; then
        apt-get update -q < /dev/null > /dev/null
        package=$(kernel_package)
    fi
    [ -n "$package" ] || { echo "guest.sh: apt knows no kernel. Run: sudo apt-get update" >&2; exit 1; }
    echo "Fetching $package" >&2
    # The list of packages may be older than the mirror.
    (cd "$work" && { apt-get download -q -o APT::Sandbox::User=root "$package" ||
        { apt-get update -q && apt-get download -q -o APT::Sandbox::User=root "$package"; }; } > log 2>&1 < /dev/null) ||
        { cat "$work/log" >&2; exit 1; }
    dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb | tar -x -C "$work" --wildcards './boot/vmlinuz-*'
    unpack_bzimage "$work"/boot/vmlinuz-* > "$work/unpacked"
    "$here/trim-elf.py" "$work/unpacked" "$work/vmlinux"
    mv "$work"/linux-image-*.deb "$cache/kernel.deb"
    mv "$work/vmlinux" "$cache/vmlinux"
}

make_ramdisk() {
    local root=$work/root busybox applet
    busybox=$(command -v busybox) || { echo "guest.sh: install busybox-static" >&2; exit 1; }
    mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp}
    cp "$busybox" "$root/bin/busybox"
    for applet in $("$busybox" --list | grep -vx busybox); do
        ln -s busybox "$root/bin/$applet"
    done
    ln -sf bin/busybox "$root/init"
    ln -sf bin "$root/sbin"
    cat > "$root/etc/inittab" <<'END'
::sysinit:/etc/rc
hvc0::respawn:-/bin/sh
::ctrlaltdel:/bin/reboot
END
    cat > "$root/etc/rc" <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo "$(uname -sr) is up with $(nproc) CPUs"
END
    cat > "$root/etc/profile" <<'END'
export HOME=/root PATH=/bin:/sbin PS1='\h# '
cd
END
    chmod 755 "$root/etc/rc"
    "$here/archive.sh" "$work/ramdisk" .="$root"
    gzip -9n < "$work/ramdisk" > "$work/ramdisk.gz"
    mv "$work/ramdisk.gz" "$cache/ramdisk"
}

[ -e "$cache/kernel.deb" ] && [ -e "$cache/vmlinux" ] || make_kernel
[ "$cache/ramdisk" -nt "$0" ] || make_ramdisk
