#!/bin/bash
# iso.sh OUT COMMAND-LINE HYPERVISOR DOM0 [MODULE...]: a hybrid ISO image that boots through GRUB on BIOS and on
# UEFI, from CD or, written as it is, from a USB stick. DOM0 and the modules may be followed by their arguments
# inside the same word, as in 'build/dom0 quiet'. GRUB's menu and the console are on the serial port and the screen.
# MULTIBOOT=1 in the environment: by the older protocol.
set -euo pipefail
[ $# -ge 4 ] && [ "$1" != -h ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit; }

out=$1 command_line=$2 hypervisor=$3
shift 3
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/boot/grub"
cp "$hypervisor" "$stage/boot/hypervisor"
number=2
[ "${MULTIBOOT:-2}" = 2 ] || number=
modules= count=0
for module in "$@"; do
    file=${module%% *} arguments=${module#"${module%% *}"}
    name=module$((++count))
    cp "$file" "$stage/boot/$name"
    modules+="    module$number /boot/$name $(basename "$file")$arguments"$'\n'
done
cat > "$stage/boot/grub/grub.cfg" <<END
# A UEFI firmware mirrors its console to the serial port by itself.
if [ "\$grub_platform" = pc ]; then
    if serial --unit=0 --speed=115200; then
        terminal_input serial console
        terminal_output serial console
    fi
fi
# No menu, but a second to ask for it with Escape.
set timeout_style=hidden
set timeout=1
menuentry "Hospes" {
    multiboot$number /boot/hypervisor $command_line
$modules}
END
# Not by grub-mkrescue: it takes in every GRUB that the machine has, and fails where one lacks a module.
modules="normal configfile iso9660 part_gpt part_msdos fat multiboot multiboot2 serial terminal sleep echo test reboot halt search"
grub=/usr/lib/grub image=$stage/boot/grub
grub-mkimage -O i386-pc-eltorito -p /boot/grub -o "$image/bios.img" biosdisk $modules
echo 'search --file --set=root /boot/hypervisor
configfile ($root)/boot/grub/grub.cfg' > "$stage/early.cfg"
grub-mkimage -O x86_64-efi -p /boot/grub -c "$stage/early.cfg" -o "$stage/BOOTX64.EFI" efi_gop all_video $modules
mformat -C -i "$image/efi.img" -T 2880 -h 2 -s 36 ::
mmd -i "$image/efi.img" ::EFI ::EFI/BOOT
mcopy -i "$image/efi.img" "$stage/BOOTX64.EFI" ::EFI/BOOT/
log=$(xorriso -as mkisofs -r -V HOSPES -o "$out.tmp" -graft-points -b boot/grub/bios.img -no-emul-boot -boot-load-size 4 \
    -boot-info-table --grub2-boot-info --grub2-mbr "$grub/i386-pc/boot_hybrid.img" --protective-msdos-label \
    --efi-boot boot/grub/efi.img -efi-boot-part --efi-boot-image boot="$stage/boot" 2>&1) || { echo "$log" >&2; exit 1; }
mv "$out.tmp" "$out"
