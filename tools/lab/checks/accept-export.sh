#!/bin/bash
# Disk to disk to tape: a vtl in the guest exports a cartridge to a "physical" drive of the kernel's, is thrown away, and the tape is read
# with mt, dd and tar alone. The physical library is that of the target: one of vtl's, or Debian's tgt (tools/lab/peer/tgt).
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

# Tape files of several block sizes: tar, random bytes, an odd block, one block of a megabyte, and an empty file.
vtl_here load VTL001L9 0 >/dev/null
wait_ready "$virtual"
mt -f "$virtual" setblk 0
mkdir -p /scratch/files
head -c 3000000 /dev/urandom >/scratch/files/0
head -c "${EXPORT_BYTES:-67108864}" /dev/urandom >/scratch/files/1
head -c 777 /dev/urandom >/scratch/files/2
head -c 1048576 /dev/urandom >/scratch/files/3
tar -b 20 -cf "$virtual" -C /scratch/files 0
dd if=/scratch/files/1 of="$virtual" bs=256k 2>/dev/null
dd if=/scratch/files/2 of="$virtual" bs=777 2>/dev/null
mt -f "$virtual" weof
dd if=/scratch/files/3 of="$virtual" bs=1M 2>/dev/null
# Where the kernel does not take such a block, it is left out on both sides.
# What the backup software writes into the cartridge's memory: application vendor, and the media pool, which is text.
virtual_sg=$(tape_sg "$drives")
printf '\0\0\0\x0d\x08\0\x01\0\x08lab     ' | sg_raw -s 17 "$virtual_sg" 8d 00 00 00 00 00 00 00 00 00 00 00 00 11 00 00
printf '\0\0\0\xa5\x08\x08\x02\0\xa0%-160s' 'weekly off-site' | sg_raw -s 169 "$virtual_sg" 8d 00 00 00 00 00 00 00 00 00 00 00 00 a9 00 00
vtl_here unload 0 >/dev/null

refused 4 'is not there' export VTL001L9 --to /dev/nst99
refused 3 'nothing on VTL002L9' export VTL002L9 --to "$physical"
# Somebody has the drive.
exec 7<"$physical"
refused 3 'in use by another program' export VTL001L9 --to "$physical"
exec 7<&-

vtl_here --format json export VTL001L9 --to "$physical" | tee /results/export.json
says '"state": "receipted"' "$(cat /results/export.json)"
refused 3 'is there already' export VTL001L9 --to "$physical"
serial=$(sed -n 's/.*"medium_serial": "\(.*\)".*/\1/p' /results/export.json)
if [[ -n $serial ]]; then
	refused 3 'which counts' export VTL001L9 --copy 2 --to "$physical" --overwrite
else
	refused 3 'something on the tape' export VTL001L9 --copy 2 --to "$physical"
fi
vtl_here audit list --barcode VTL001L9 | grep copy_
vtl_here receipt list
receipt=$(vtl_here --format json receipt list | grep -o '[0-9a-f]\{8\}-[0-9a-f-]\{27\}' | head -n 1)
vtl_here receipt verify "$library/receipts/$receipt.json"

# The cartridge's memory is in that of the tape, or it is said that it is not.
sheet=$(vtl_here receipt show VTL001L9 --sheet)
if grep -q '"0800h"' /results/export.json; then
	says '"0808h"' "$(cat /results/export.json)"
	says '0808h: weekly off-site' "$sheet"
	sg_read_attr "$(tape_sg 0)" | tee /results/attributes.txt
	says 'Application vendor: lab' "$(cat /results/attributes.txt)"
	says 'weekly off-site' "$(cat /results/attributes.txt)"
else
	says '0800h: the drive says' "$(cat /results/export.json)"
	says 'NOT ON THE TAPE' "$sheet"
fi

# The tape comes back as a cartridge.
if [[ -n $serial ]]; then refused 3 'there is a cartridge VTL001L9 already' import --from "$physical"; fi
vtl_here --format json import --from "$physical" --barcode IMP001L9 | tee /results/import.json
root() { sed -n 's/.*"root": "\(.*\)".*/\1/p' "$1"; }
equal "$(root /results/import.json)" "$(root /results/export.json)" "what was imported"
if [[ -n $serial ]]; then says '"is_what_receipt_says": true' "$(cat /results/import.json)"; fi
vtl_here verify IMP001L9
if [[ -s /results/attributes.txt ]]; then says '"0808h"' "$(cat /results/import.json)"; fi

# Another copy, stopped midway and taken up again.
mtx -f "$changer" load "$(full_slot)" 1
second=$(tape_dev 1)
wait_ready "$second"
code=0
"$program" --data "$library" export VTL001L9 --copy 2 --to "$second" &
stopped=$!
# As soon as the copy is asked for: a machine may write all of it within a second.
for ((tries = 0; tries < 500; tries++)); do
	vtl_here --format json vault list | grep -q '"copy": 2' && break
	kill -0 "$stopped" 2>/dev/null || break
done
# What runs behind a shell does not hear Ctrl-C.
kill -TERM "$stopped" 2>/dev/null || true
wait "$stopped" || code=$?
if ((code == 0)); then fail "the export was done before it could be stopped"; fi
vtl_here vault list || true
# A tape without a serial number cannot be known again by less than a section of it, so it needs the word.
again=()
[[ -n $serial ]] || again=(--overwrite)
for ((tries = 0; tries < 20; tries++)); do
	vtl_here --format json export VTL001L9 --copy 2 --to "$second" "${again[@]}" >/results/export2.json 2>/results/export2.err && break
	sleep 0.2
done
cat /results/export2.err
equal "$(root /results/export2.json)" "$(root /results/export.json)" "what was exported in two pieces"

# The library brings the tape with the barcode itself, and takes it back.
if [[ -n $serial ]]; then
	vtl_here load VTL005L9 1 >/dev/null
	third=$(tape_dev $((drives + 1)))
	wait_ready "$third"
	tar -b 20 -cf "$third" -C /scratch/files 0
	vtl_here unload 1 >/dev/null
	refused 4 'no tape IMP001L9' export IMP001L9 --library "$changer"
	vtl_here export VTL005L9 --library "$changer"
	says 'Storage Element 5:Full :VolumeTag=VTL005L9' "$(mtx -f "$changer" status)"
fi

# Everything of vtl is gone.
stop_inner
rm -rf "$library"
mt -f "$physical" rewind
mt -f "$physical" setblk 0
tar -b 20 -xf "$physical" -C /tmp
cmp /tmp/0 /scratch/files/0
# tar may leave the tape before or behind its filemark.
mt -f "$physical" rewind
mt -f "$physical" fsf 1
for file in 1 2; do
	dd if="$physical" bs=1M of=/scratch/back 2>/dev/null
	cmp /scratch/back /scratch/files/$file
done
equal "$(dd if="$physical" bs=1M 2>/dev/null | wc -c)" 0 "the length of the empty tape file"
dd if="$physical" bs=1M of=/scratch/back 2>/dev/null
cmp /scratch/back /scratch/files/3
# What dd does with the largest file on the same drive beside what the export did: with the file in memory, and from the disk, as the export reads.
for round in 1 2 3; do
	for flags in fullblock direct; do
		mt -f "$second" rewind
		mt -f "$second" setblk 0
		start=${EPOCHREALTIME/./}
		dd if=/scratch/files/1 of="$second" bs=256k iflag=$flags status=none
		mt -f "$second" rewind
		echo "dd iflag=$flags: $((${EXPORT_BYTES:-67108864} / (${EPOCHREALTIME/./} - start))) MB/s (round $round)"
	done
done
grep bytes_per_second /results/export.json
echo "export: a cartridge was written, proved, and read back without vtl"
