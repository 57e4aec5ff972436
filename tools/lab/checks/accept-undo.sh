#!/bin/bash
# A bad day: a backup is overwritten. It is restored from a presented snapshot while the tape goes on being written, from a
# read-only twin, and from the cartridge itself, taken back. Fails with the first thing that is not as it should be.
# shellcheck disable=SC2119 # detach from all
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
attach "$1"
drive=$(tape_dev 0) changer=$(changer_dev 0)

say() { echo "-- $*"; }

say "a good backup"
mtx -f "$changer" load 1 0
wait_ready "$drive"
mt -f "$drive" setblk 0
tar -C / -b 512 -cf "$drive" usr/sbin
vtl tape history VTL001L9
vtl snapshot create before
vtl snapshot present before | tee /results/present.txt
target=$(sed -n 's/^target: //p' /results/present.txt)

say "the bad day: it is overwritten, and writing goes on"
mt -f "$drive" rewind
tar -C / -b 128 -cf "$drive" etc/hostname
mt -f "$drive" rewind
tar -b 128 -tf "$drive" | grep -q etc/hostname || fail "it was not overwritten"

say "the snapshot, as a second library"
attach "$target"
lsscsi -g
shown=$(changer_dev 1) second=$(tape_dev 4)
mtx -f "$shown" status | grep -q 'VolumeTag=VTL001L9' || fail "the snapshot shows no VTL001L9"
mtx -f "$shown" load 1 0
wait_ready "$second"
mt -f "$second" setblk 0
tar -C / -b 512 -df "$second" || fail "the snapshot differs"
mt -f "$second" rewind
! tar -C / -b 128 -cf "$second" etc/hostname 2>/dev/null || fail "the snapshot was written"
mt -f "$second" rewind
mt -f "$second" status
mt -f "$second" offline
mtx -f "$shown" unload 1 0
detach >/dev/null
vtl snapshot present before --hide
attach "$1"
drive=$(tape_dev 0) changer=$(changer_dev 0)

say "a twin, and the cartridge itself"
point=$(vtl tape history VTL001L9 --format csv | head -n 1 >/dev/null && vtl tape history VTL001L9 | sed -n 's/^ *\(p[0-9]*\) .*/\1/p' | head -n 1)
! vtl tape rewind VTL001L9 --to "$point" --in-place || fail "a loaded cartridge was taken back"
mt -f "$drive" offline || true
mtx -f "$changer" unload 1 0
vtl tape rewind VTL001L9 --to "$point" --as TWIN01L9
vtl tape rewind VTL001L9 --to "$point" --in-place
mtx -f "$changer" status | grep -q 'VolumeTag=TWIN01L9' || fail "the twin is not in the library"
slot=$(mtx -f "$changer" status | sed -n 's/.*Storage Element \([0-9]*\):Full :VolumeTag=TWIN01L9.*/\1/p')
for from in 1 "$slot"; do
	mtx -f "$changer" load "$from" 0
	wait_ready "$drive"
	mt -f "$drive" setblk 0
	tar -C / -b 512 -df "$drive" || fail "what is in element $from differs"
	mt -f "$drive" offline
	mtx -f "$changer" unload "$from" 0
done
vtl verify VTL001L9 TWIN01L9
vtl status
detach >/dev/null
echo "all as it should be"
