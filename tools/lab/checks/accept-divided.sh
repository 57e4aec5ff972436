#!/bin/bash
# A cartridge with two partitions on its way to tape and back: exported to a drive of another vtl with checksums behind each block, read there
# with mt and dd as its sheet says, imported again, and taken up again after it was stopped.
#   accept-divided.sh IQN
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program

attach "$1"
drives=$(units 1 | wc -l)
changer=$(changer_dev 0)
free_drives
mtx -f "$changer" load 1 0 >/dev/null 2>&1 || mtx -f "$changer" load "$(full_slot)" 0
physical=$(tape_dev 0)
wait_ready "$physical"

start_inner
virtual=$(tape_dev "$drives")
vtl_here load VTL001L9 0 >/dev/null
wait_ready "$virtual"
mkdir -p /scratch/files
head -c 3000000 /dev/urandom >/scratch/files/0
head -c 777 /dev/urandom >/scratch/files/1
head -c "${EXPORT_BYTES:-67108864}" /dev/urandom >/scratch/files/2
mt -f "$virtual" stsetoptions can-partitions
mt -f "$virtual" rewind
mt -f "$virtual" mkpartition 1000
mt -f "$virtual" setblk 0
mt -f "$virtual" rewind
dd if=/scratch/files/0 of="$virtual" bs=64k iflag=fullblock status=none
dd if=/scratch/files/1 of="$virtual" bs=777 status=none
mt -f "$virtual" setpartition 1
dd if=/scratch/files/2 of="$virtual" bs=256k iflag=fullblock status=none
mt -f "$virtual" weof
mt -f "$virtual" setpartition 0
vtl_here unload 0 >/dev/null

vtl_here --format json export VTL001L9 --to "$physical" | tee /results/divided.json
says '"state": "receipted"' "$(cat /results/divided.json)"
says '"partitions": 2' "$(cat /results/divided.json)"
says '"protection": "crc32c"' "$(cat /results/divided.json)"
vtl_here receipt show VTL001L9 --output /results/divided-receipt.json
vtl_here receipt verify /results/divided-receipt.json | tee /results/divided-verify.txt
says '2 partition' "$(cat /results/divided-verify.txt)"

# The drive protects nothing any more: others would find each block four bytes too long.
sg_modes -p 0x0a,0xf0 "$(tape_sg 0)" | tee /results/protection.txt

# The sheet is a script: each hash has to be that which stands below its line.
vtl_here receipt show VTL001L9 --sheet >/results/divided-sheet.txt
says 'setpartition 1' "$(cat /results/divided-sheet.txt)"
sed "s|/dev/nst0|$physical|g" /results/divided-sheet.txt | grep -v '^#' >/scratch/sheet
bash -e /scratch/sheet 2>/results/divided-sheet.err >/scratch/read || fail "the sheet's commands fail: $(cat /results/divided-sheet.err)"
equal "$(cut -d' ' -f1 /scratch/read)" "$(sed -n 's/^#   \([0-9a-f]\{64\}\)  -$/\1/p' /results/divided-sheet.txt)" "what the sheet's commands print"
# The kernel goes to where it has been in a partition.
mt -f "$physical" setpartition 1
mt -f "$physical" rewind
dd if="$physical" bs=256k status=none | cmp - /scratch/files/2
mt -f "$physical" setpartition 0
mt -f "$physical" rewind
dd if="$physical" bs=64k status=none | cmp - /scratch/files/0
dd if="$physical" bs=64k status=none | cmp - /scratch/files/1

# Back into the library.
root() { sed -n 's/.*"root": "\(.*\)".*/\1/p' "$1"; }
vtl_here --format json import --from "$physical" --barcode IMP001L9 | tee /results/divided-import.json
says '"is_what_receipt_says": true' "$(cat /results/divided-import.json)"
says '"partitions": 2' "$(cat /results/divided-import.json)"
equal "$(root /results/divided-import.json)" "$(root /results/divided.json)" "what was imported"
vtl_here tape insert IMP001L9 >/dev/null
vtl_here load IMP001L9 0 >/dev/null
wait_ready "$virtual"
mt -f "$virtual" stsetoptions can-partitions
mt -f "$virtual" setblk 0
mt -f "$virtual" setpartition 1
mt -f "$virtual" rewind
dd if="$virtual" bs=256k status=none | cmp - /scratch/files/2
mt -f "$virtual" setpartition 0
vtl_here unload 0 >/dev/null

# Another copy, stopped in the middle and taken up again.
mtx -f "$changer" load "$(full_slot)" 1
second=$(tape_dev 1)
wait_ready "$second"
"$program" --data "$library" export VTL001L9 --copy 2 --to "$second" >/dev/null 2>&1 &
stopped=$!
for ((tries = 0; tries < 500; tries++)); do
	vtl_here --format json vault list | grep -q '"copy": 2' && break
	kill -0 "$stopped" 2>/dev/null || break
done
kill -TERM "$stopped" 2>/dev/null || true
wait "$stopped" && fail "the export was done before it could be stopped"
for ((tries = 0; tries < 20; tries++)); do
	vtl_here --format json export VTL001L9 --copy 2 --to "$second" >/results/divided2.json 2>/results/divided2.err && break
	sleep 0.2
done
cat /results/divided2.err
equal "$(root /results/divided2.json)" "$(root /results/divided.json)" "what was exported in two pieces"

# A cartridge with one partition does not take a divided tape by itself.
vtl_here load VTL002L9 0 >/dev/null
wait_ready "$virtual"
mt -f "$virtual" setblk 0
dd if=/scratch/files/1 of="$virtual" bs=777 status=none
vtl_here unload 0 >/dev/null
mtx -f "$changer" unload "$(empty_slot)" 1
mtx -f "$changer" load 7 1
wait_ready "$second"
mt -f "$second" stsetoptions can-partitions
mt -f "$second" rewind
mt -f "$second" mkpartition 1000
mt -f "$second" rewind
refused 3 'has 2 partitions, and a copy of it takes 1' export VTL002L9 --to "$second"
vtl_here --format json export VTL002L9 --to "$second" --overwrite >/results/undivided.json
says '"partitions": 1' "$(cat /results/undivided.json)"
stop_inner
echo "divided: a cartridge with two partitions went to tape with checksums, was proved, read without vtl, and came back"
