#!/bin/bash
# archive.sh OUT FILE|NAME=FILE...: packs files into an uncompressed newc cpio archive, which dom0 reads as its
# file system. Each file goes in under its base name, or under NAME. A folder goes in with what is in it; the name
# `.` puts that at the top.
set -euo pipefail
[ $# -ge 2 ] && [ "$1" != -h ] || { sed -n '2,4s/^# \{0,1\}//p' "$0"; exit; }

out=$(realpath "$1")
shift
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
for file in "$@"; do
    case $file in
    *=*) name=${file%%=*} file=${file#*=} ;;
    *) name=$(basename "$file") ;;
    esac
    mkdir -p "$(dirname "$stage/$name")"
    cp -RT --preserve=mode "$file" "$stage/$name"
done
find "$stage" -exec touch -h -d @0 {} +
(cd "$stage" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort \
    | cpio --quiet --create --format=newc --owner=0:0 --reproducible) > "$out.tmp"
mv "$out.tmp" "$out"
