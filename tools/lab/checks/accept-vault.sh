#!/bin/bash
# Disk to disk to tape to off-site, as an operator does it: rules, a plan in words, copies asked for and written to a kernel tape drive, taken out,
# packed, shipped, received, recalled, returned; then the receipts are checked without the library. The physical library is the target's.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program
shown() { # ARGUMENT...: as an operator sees it, and kept in $said
	local code=0
	said=$(vtl_here "$@" 2>&1) || code=$?
	echo "\$ vtl $*"
	echo "$said"
	if ((code != 0)); then fail "vtl $* ended with $code"; fi
}

attach "$1"
drives=$(units 1 | wc -l)
changer=$(changer_dev 0)
free_drives
start_inner
virtual=$(tape_dev "$drives")

cat >/tmp/rules.toml <<'RULES'
[group.mail]
members = ["VTL001L9", "VTL002L9"]

[policy.offsite]
group = "mail"
when = "unloaded"
copies = 1
eject = true
RULES
cat >/tmp/wrong.toml <<'RULES'
[policy.offsite]
group = "mail"
copies = 6
RULES
refused 2 'wrong.toml' policy apply /tmp/wrong.toml
shown policy apply /tmp/rules.toml

mkdir -p /scratch/files
for number in 1 2; do
	head -c $((number * 8000000)) /dev/urandom >"/scratch/files/$number"
	vtl_here load "VTL00${number}L9" 0 >/dev/null
	wait_ready "$virtual"
	tar -b 512 -cf "$virtual" -C /scratch/files "$number"
	vtl_here unload 0 >/dev/null
done
shown policy plan
says 'VTL001L9' "$said"
shown policy run
shown vault plan
says 'VTL002L9' "$said"
# Nothing leaves without a receipt.
refused 3 'VTL001L9' vault ship VTL001L9 --container C1 --seal S1 --to offsite:IRON --expect 2030-01-01
# The arm of the physical library brings the tapes, and puts them back.
refused 4 'VTL099L9' export VTL099L9 --library "$changer"
shown export VTL001L9 VTL002L9 --library "$changer"
for number in 1 2; do
	says "Storage Element $number:Full :VolumeTag=VTL00${number}L9" "$(mtx -f "$changer" status)"
done
# A cartridge whose barcode no tape has goes to an empty one, if it is said which may be taken.
vtl tape create --prefix SCR --count 1 >/dev/null
vtl_here tape create --prefix OWN --count 1 >/dev/null
vtl_here load OWN001L9 0 >/dev/null
wait_ready "$virtual"
tar -b 512 -cf "$virtual" -C /scratch/files 1
vtl_here unload 0 >/dev/null
refused 4 'OWN001L9' export OWN001L9 --library "$changer"
refused 4 'OWN001L9' export OWN001L9 --library "$changer" --scratch 'VTL*'
shown export OWN001L9 --library "$changer" --scratch 'SCR*'
says 'SCR001L9' "$said"
shown vault run
shown vault manifest
# What is printed before it is needed names the tapes, and how to read them without the program.
shown runbook mail
says 'HOW TO READ THIS TAPE' "$said"
says 'VTL001L9 ejected' "$said"
shown posture mail
says '2 media yes' "$said"
shown vault ship --container C1 --seal S-4711 --to offsite:IRON --expect 2030-01-01
shown vault manifest C1
says 'S-4711' "$said"
vtl_here vault manifest C1 --output /tmp/manifest.pdf >/dev/null
equal "$(head -c 5 /tmp/manifest.pdf)" '%PDF-' "the beginning of the manifest"
shown vault receive C1
shown vault list
says 'offsite' "$said"
shown inventory --group mail
shown tape show VTL001L9
says 'IRON' "$said"
# A group's tapes come together, and are missed together.
shown vault recall VTL001L9 --expect "$(date -u -d '+3 seconds' +%FT%TZ)"
for ((tries = 0; tries < 100; tries++)); do
	late=$(vtl_here vault overdue 2>&1) || true
	[[ $late == *VTL001L9* ]] && break
	sleep 0.1
done
says 'VTL002L9' "$late"
# One comes back, one does not, and one comes that nobody has sent.
code=0
said=$(vtl_here vault return --container C1 VTL001L9 XYZ123L9 2>&1) || code=$?
echo "$said"
equal "$code" 1 "the exit code for a container that is not complete"
says 'XYZ123L9' "$said"
shown vault list
says 'lost' "$said"
shown receipt list
stop_inner

# An auditor's machine: the receipts and the public key, no library.
mkdir -p /tmp/auditor
cp "$library"/receipts/* /tmp/auditor
vtl_here receipt key >/tmp/auditor.key
rm -rf "$library"
count=0
for receipt in /tmp/auditor/*; do
	"$program" receipt verify "$receipt" --key /tmp/auditor.key
	count=$((count + 1))
done
equal "$count" 3 "the number of receipts"
one=$(ls /tmp/auditor/* | head -n 1)
sed 's/VTL001L9/VTL003L9/; s/VTL002L9/VTL003L9/; s/OWN001L9/VTL003L9/' "$one" >/tmp/forged
code=0
"$program" receipt verify /tmp/forged || code=$?
equal "$code" 5 "the exit code for a forged receipt"
# And the tapes hold what they should.
for number in 1 2; do
	mtx -f "$changer" load "$number" 0 >/dev/null
	wait_ready "$(tape_dev 0)"
	mt -f "$(tape_dev 0)" setblk 0
	tar -b 512 -xf "$(tape_dev 0)" -C /tmp
	cmp "/tmp/$number" "/scratch/files/$number"
	mtx -f "$changer" unload "$number" 0 >/dev/null
done
echo "vault: two cartridges went to tape and off-site, with receipts that hold"
