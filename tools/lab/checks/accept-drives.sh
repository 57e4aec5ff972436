#!/bin/bash
# Several drives at once: a vtl in the guest exports three cartridges with all idle drives of a "physical" library of the kernel's, and two more
# copies to two drives by name; the tapes are read with mt and tar alone.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program

attach "$1"
drives=$(units 1 | wc -l)
changer=$(changer_dev 0)
free_drives
start_inner

mkdir -p /scratch/files
cartridges="VTL001L9 VTL002L9 VTL003L9"
virtual=$(tape_dev "$drives")
for number in 1 2 3; do
	head -c 16000000 /dev/urandom >/scratch/files/$number
	vtl_here load VTL00${number}L9 0 >/dev/null
	wait_ready "$virtual"
	mt -f "$virtual" setblk 0
	tar -b 20 -cf "$virtual" -C /scratch/files $number
	vtl_here unload 0 >/dev/null
done

refused 2 'takes one cartridge' export VTL001L9 VTL002L9 --to "$(tape_dev 0)"
refused 2 'is named twice' export VTL001L9 VTL002L9 --to "$(tape_dev 0)" --to "$(tape_dev 0)"

# shellcheck disable=SC2086
vtl_here --format json export $cartridges --library "$changer" --drives 2 >/results/drives.json
equal "$(grep -c '"state": "receipted"' /results/drives.json)" 3 "the number of receipts"
used=$(sed -n 's/.*"serial": "\(.*\)".*/\1/p' /results/drives.json | sort -u | wc -l)
equal "$used" 2 "the number of drives that were used"
for number in 1 2 3; do
	says "Storage Element $number:Full :VolumeTag=VTL00${number}L9" "$(mtx -f "$changer" status)"
done

# Two drives by name, a tape in each.
mtx -f "$changer" load 7 0
mtx -f "$changer" load 8 1
wait_ready "$(tape_dev 0)"
wait_ready "$(tape_dev 1)"
vtl_here export VTL001L9 VTL002L9 --copy 2 --to "$(tape_dev 0)" --to "$(tape_dev 1)"
# Each drive is told of: one has a tape that counts, and the other one goes on.
refused 3 '1 of 2 cartridges were not exported' export VTL003L9 VTL002L9 --copy 2 --to "$(tape_dev 0)" --to "$(tape_dev 1)"

stop_inner
rm -rf "$library"
check() {
	wait_ready "$(tape_dev "$1")"
	mt -f "$(tape_dev "$1")" rewind
	mt -f "$(tape_dev "$1")" setblk 0
	rm -rf /tmp/back
	mkdir /tmp/back
	tar -b 20 -xf "$(tape_dev "$1")" -C /tmp/back
	cmp "/tmp/back/$2" "/scratch/files/$2"
}
check 0 1
check 1 2
free_drives
for number in 1 2 3; do
	mtx -f "$changer" load $number 0
	check 0 $number
	mtx -f "$changer" unload $number 0
done
echo "drives: several drives exported at once, and the tapes were read without vtl"
