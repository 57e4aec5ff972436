#!/bin/bash
# An LTFS volume on its way to tape and back: made and filled on a cartridge of a vtl in the guest, exported to a drive of the target, checked
# and mounted there once that vtl is gone, and compared.
#   full-ltfs-export.sh IQN DIR
# DIR is an LTFS as full-ltfs.sh wants it. Without it the check is skipped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program
directory=${2:-}
if [[ -z $directory ]]; then
	echo "skipped: no LTFS is given: tools/lab-run full-ltfs-export DIR"
	exit 77
fi
mkdir -p /opt/ltfs /tree/deep /mnt/tape
mount -t hostfs none /opt/ltfs -o "ro,$directory"
modprobe fuse || {
	echo "skipped: this kernel has no FUSE"
	exit 77
}
[[ -e /dev/fuse ]] || mknod /dev/fuse c 10 229
export LD_LIBRARY_PATH=/opt/ltfs/lib PATH=/opt/ltfs/bin:$PATH

# mounted SG: mounts the volume in a drive; 60 s at most.
mounted() {
	local deadline=$((SECONDS + 60))
	ltfs -f -o "devname=$1" /mnt/tape >/results/ltfs-mount.txt 2>&1 &
	ltfs_process=$!
	until mountpoint -q /mnt/tape; do
		if ! kill -0 "$ltfs_process" 2>/dev/null || ((SECONDS > deadline)); then
			fail "the volume is not mounted: $(tail -n 20 /results/ltfs-mount.txt)"
		fi
		sleep 0.2
	done
}

unmounted() {
	umount /mnt/tape
	wait "$ltfs_process"
}

attach "$1"
drives=$(units 1 | wc -l)
changer=$(changer_dev 0)
free_drives
mtx -f "$changer" load "$(full_slot)" 0
physical=$(tape_dev 0)
wait_ready "$physical"

start_inner
virtual=$(tape_sg "$drives")
vtl_here load VTL001L9 0 >/dev/null
wait_ready "$(tape_dev "$drives")"
cp -a /usr/bin/[a-b]* /tree/deep/
head -c 3000000 /dev/urandom >/tree/random
seq 100000 >/tree/text
mkltfs -d "$virtual" -f -n exported >/results/mkltfs.txt 2>&1 || fail "mkltfs: $(tail -n 20 /results/mkltfs.txt)"
mounted "$virtual"
cp -a /tree /mnt/tape/
unmounted
vtl_here unload 0 >/dev/null

vtl_here --format json export VTL001L9 --to "$physical" | tee /results/ltfs-export.json
says '"state": "receipted"' "$(cat /results/ltfs-export.json)"
says '"partitions": 2' "$(cat /results/ltfs-export.json)"
stop_inner
rm -rf "$library"

sg=$(tape_sg 0)
# 1 says of a volume that it was looked at, and is as it should be.
code=0
ltfsck "$sg" >/results/ltfsck.txt 2>&1 || code=$?
tail -n 5 /results/ltfsck.txt
((code <= 1)) || fail "ltfsck ended with $code"
mounted "$sg"
diff -r --no-dereference /tree /mnt/tape/tree || fail "the tree is another one"
unmounted
echo "ltfs: a volume was exported, and LTFS itself checked and mounted the tape"
