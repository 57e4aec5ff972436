#!/bin/bash
# A user's first hour: attach, look, load, write three archives, find them again, restore, exchange, unload. Fails with the
# first thing that is not as it should be.
# shellcheck disable=SC2119 # detach from all
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
attach "$1"
drive=$(tape_dev 0) sg=$(tape_sg 0) changer=$(changer_dev 0)

say() { echo "-- $*"; }

say "devices"
lsscsi -g
equal "$(lsscsi | grep -c mediumx)" 1 "changers"
equal "$(lsscsi | grep -c tape)" 4 "drives"
equal "$(sg_luns "$sg" | grep -c '^ *[0-9a-f]\{16\}')" 5 "logical units"
for unit in "$sg" "$changer"; do
	sg_inq "$unit" >/dev/null
	sg_vpd -p 0x80 "$unit" >/dev/null
	sg_vpd -p 0x83 "$unit" >/dev/null
done

say "inventory"
mtx -f "$changer" status | tee /results/mtx-status.txt
grep -q 'Storage Changer .*:4 Drives, 28 Slots ( 4 Import/Export )' /results/mtx-status.txt || fail "elements"
equal "$(grep -c 'VolumeTag=VTL0' /results/mtx-status.txt)" 20 "cartridges"
grep -q 'Storage Element 21:Full :VolumeTag=CLN001L9' /results/mtx-status.txt || fail "the cleaning cartridge"
serial=$(sg_vpd -p 0x80 "$sg" | sed -n 's/.*serial number: *//p' | tr -d ' ')
sg_raw -b -r 64k "$changer" b8 14 00 00 ff ff 01 01 00 00 00 00 2>/dev/null | grep -a -q "$serial" ||
	fail "the drive's serial $serial is not in READ ELEMENT STATUS"

say "moves"
mtx -f "$changer" load 1 0
wait_ready "$drive"
mtx -f "$changer" status | grep -q 'Data Transfer Element 0:Full (Storage Element 1 Loaded):VolumeTag = VTL001L9' || fail "load"
! mtx -f "$changer" load 2 0 2>/dev/null || fail "a full drive took another cartridge"
mtx -f "$changer" transfer 2 24
mtx -f "$changer" transfer 24 2
mtx -f "$changer" transfer 3 25
mtx -f "$changer" transfer 25 3

say "three archives in 64 KiB and 512 KiB blocks"
mkdir -p /scratch/tree
cp -r /usr/sbin /usr/lib/udev /scratch/tree/
head -c 60000000 /dev/urandom >/scratch/tree/random
truncate -s 20000000 /scratch/tree/sparse
mt -f "$drive" setblk 0
tar -C /scratch -b 128 -cf "$drive" tree
tar -C /scratch -b 1024 -cf "$drive" tree/sbin
tar -C /scratch -b 128 -cf "$drive" tree/random
at() { mt -f "$drive" status | sed -n 's/^File number=\([^,]*\), block number=\([^,]*\),.*/\1 \2/p'; }
equal "$(at)" "3 0" "position after three archives"
mt -f "$drive" rewind
equal "$(at)" "0 0" "rewind"
mt -f "$drive" fsf 1
equal "$(at)" "1 0" "fsf"
mt -f "$drive" eod
[[ $(at) == 3\ * ]] || fail "eod: at $(at)"
mt -f "$drive" bsfm 2
tell=$(mt -f "$drive" tell)
mt -f "$drive" rewind
mt -f "$drive" fsf 2
equal "$(mt -f "$drive" tell)" "$tell" "bsfm and fsf meet"
mt -f "$drive" rewind
mt -f "$drive" seek "${tell//[!0-9]/}"
tar -C /scratch -b 128 -df "$drive" || fail "the third archive after seek"
mt -f "$drive" asf 1
tar -C /scratch -b 1024 -df "$drive" || fail "the second archive"
mt -f "$drive" rewind
mkdir /scratch/restored
tar -C /scratch/restored -b 128 -xf "$drive"
diff -r --no-dereference /scratch/tree /scratch/restored/tree || fail "restored files differ"

say "exchange, unload, prevent"
mt -f "$drive" rewind
mt -f "$drive" lock
! mtx -f "$changer" unload 1 0 2>/dev/null || fail "a locked cartridge was taken out"
mt -f "$drive" unlock
mt -f "$drive" offline
mtx -f "$changer" unload 1 0
mtx -f "$changer" exchange 1 2 22
mtx -f "$changer" status | tee /results/mtx-status-end.txt
grep -q 'Storage Element 2:Full :VolumeTag=VTL001L9' /results/mtx-status-end.txt || fail "exchange: source"
grep -q 'Storage Element 22:Full :VolumeTag=VTL002L9' /results/mtx-status-end.txt || fail "exchange: second"
detach >/dev/null
echo "all as it should be"
