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

# Two copies of each in one command, the second ones on tapes that are nobody's; then two that a rule asks for, by a vault run.
free_drives
vtl tape create --count 3 --prefix SCR --type "$LAB_MEDIA" >/dev/null
for number in 4 5 6; do
	cp /scratch/files/1 /scratch/files/$number
	vtl_here load VTL00${number}L9 0 >/dev/null
	wait_ready "$virtual"
	mt -f "$virtual" setblk 0
	tar -b 20 -cf "$virtual" -C /scratch/files $number
	vtl_here unload 0 >/dev/null
done
vtl_here --format json export VTL004L9 VTL005L9 --copies 2 --library "$changer" --scratch 'SCR*' >/results/copies.json
equal "$(grep -c '"state": "receipted"' /results/copies.json)" 4 "the number of receipts of two copies each"
equal "$(sed -n 's/.*"volume": "\(.*\)".*/\1/p' /results/copies.json | sort | tr '\n' ' ')" 'SCR001L9 SCR002L9 VTL004L9 VTL005L9 ' "the tapes of two copies each"
cat >/tmp/rules.toml <<'RULES'
[group.mail]
members = ["VTL006L9"]

[policy.offsite]
group = "mail"
when = "unloaded"
copies = 2
RULES
vtl_here policy apply /tmp/rules.toml >/dev/null
vtl_here policy run >/dev/null
vtl_here vault run --library "$changer" --scratch 'SCR*' | tee /results/vault-run.txt
says 'Copy 1 of VTL006L9 is receipted now' "$(cat /results/vault-run.txt)"
says 'Copy 2 of VTL006L9 is receipted now' "$(cat /results/vault-run.txt)"
refused 3 'no copy is to be written to a tape of its own' vault run --library "$changer"

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
mtx -f "$changer" load 7 0
mtx -f "$changer" load 8 1
check 0 1
check 1 2
free_drives
for number in 1 2 3; do
	mtx -f "$changer" load $number 0
	check 0 $number
	mtx -f "$changer" unload $number 0
done
echo "drives: several drives exported at once, and the tapes were read without vtl"
