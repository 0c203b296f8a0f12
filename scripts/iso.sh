#!/bin/bash
# iso.sh OUT COMMAND-LINE HYPERVISOR DOM0 [MODULE...]: a hybrid ISO image that boots through GRUB on BIOS and on
# UEFI, from CD or, written as it is, from a USB stick. DOM0 and the modules may be followed by their arguments
# inside the same word, as in 'build/dom0 quiet'. GRUB's menu and the console are on the serial port and the screen.
set -euo pipefail
[ $# -ge 4 ] && [ "$1" != -h ] || { sed -n '2,4s/^# \{0,1\}//p' "$0"; exit; }

out=$1 command_line=$2 hypervisor=$3
shift 3
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/boot/grub"
cp "$hypervisor" "$stage/boot/hypervisor"
modules= count=0
for module in "$@"; do
    file=${module%% *} arguments=${module#"${module%% *}"}
    name=module$((++count))
    cp "$file" "$stage/boot/$name"
    modules+="    module2 /boot/$name $(basename "$file")$arguments"$'\n'
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
    multiboot2 /boot/hypervisor $command_line
$modules}
END
log=$(grub-mkrescue -o "$out.tmp" --compress=xz --fonts= --locales= --themes= "$stage" -volid HOSPES \
    --install-modules="normal configfile iso9660 part_gpt part_msdos fat multiboot2 serial terminal sleep echo test reboot halt" \
    2>&1) || { echo "$log" >&2; exit 1; }
mv "$out.tmp" "$out"
