#!/bin/bash
# Several small cartridges on one physical tape: exported together by the arm of the "physical" library, proved, imported one by one; then
# everything of vtl is thrown away, and each is read with mt, dd and tar, by what the plain text at the beginning of the tape says.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program

attach "$1"
drives=$(units 1 | wc -l)
changer=$(changer_dev 0)
free_drives
# An empty tape with a barcode that no cartridge of the inner library has.
vtl tape create --count 1 --prefix SCR --type "$LAB_MEDIA"
scratch=$(mtx -f "$changer" status | sed -n 's/.*Storage Element \([0-9]*\):Full :VolumeTag=SCR001.*/\1/p')
start_inner
virtual=$(tape_dev "$drives")

mkdir -p /scratch/files
head -c 3000000 /dev/urandom >/scratch/files/0
head -c 8000000 /dev/urandom >/scratch/files/1
head -c 777 /dev/urandom >/scratch/files/2
head -c 500000 /dev/urandom >/scratch/files/3
put() { # BARCODE COMMAND...: runs the command with the cartridge in the drive
	vtl_here load "$1" 0 >/dev/null
	wait_ready "$virtual"
	mt -f "$virtual" setblk 0
	"${@:2}"
	vtl_here unload 0 >/dev/null
}
first() {
	tar -b 20 -cf "$virtual" -C /scratch/files 0
	dd if=/scratch/files/1 of="$virtual" bs=256k status=none
}
# Two filemarks in a row in the middle, and two at the end.
second() {
	dd if=/scratch/files/2 of="$virtual" bs=777 status=none
	mt -f "$virtual" weof
	dd if=/scratch/files/3 of="$virtual" bs=100k status=none
	mt -f "$virtual" weof
}
third() { tar -b 128 -cf "$virtual" -C /scratch/files 2 3; }
put VTL001L9 first
put VTL002L9 second
put VTL003L9 third

members=(VTL001L9 VTL002L9 VTL003L9)
refused 2 'wants --scratch' export "${members[@]}" --stack --library "$changer"
refused 3 'nothing on VTL004L9' export VTL001L9 VTL004L9 --stack --library "$changer" --scratch 'SCR*'
refused 3 '2 to 500' export VTL001L9 --stack --library "$changer" --scratch 'SCR*'
vtl_here --format json export "${members[@]}" --stack --library "$changer" --scratch 'SCR*' | tee /results/stack.json
says '"state": "receipted"' "$(cat /results/stack.json)"
vtl_here export "${members[@]}" --stack --library "$changer" --scratch 'SCR*'
says "Storage Element $scratch:Full :VolumeTag=SCR001" "$(mtx -f "$changer" status)"
vtl_here vault list
vtl_here tape show VTL002L9
says 'SCR001' "$(vtl_here vault list)"
for receipt in "$library"/receipts/*.json; do vtl_here receipt verify "$receipt" >/results/verified.txt; done
says 'SCR001' "$(cat /results/verified.txt)"
vtl_here receipt show VTL002L9 --sheet >/results/sheet.txt
says 'This one is number 2' "$(cat /results/sheet.txt)"

mtx -f "$changer" load "$scratch" 0 >/dev/null
physical=$(tape_dev 0)
wait_ready "$physical"
refused 3 'VTL002L9' import --from "$physical"
vtl_here --format json import --from "$physical" --member VTL002L9 --barcode IMP002L9 | tee /results/import.json
says '"is_what_receipt_says": true' "$(cat /results/import.json)"
vtl_here verify IMP002L9

# Everything of vtl is gone.
stop_inner
rm -rf "$library"
mt -f "$physical" rewind
mt -f "$physical" setblk 0
dd if="$physical" bs=64k of=/results/index.txt status=none
cat /results/index.txt
first_file() { sed -n "s/^member [0-9]* $1 first-file \([0-9]*\) .*/\1/p" /results/index.txt; }
to() { # FILE
	mt -f "$physical" rewind
	mt -f "$physical" fsf "$1"
}
# As the text on the tape says. `tar -b 2048` by itself fills its record of 1 MiB with blocks of 10 KiB, and cannot read the last one.
to "$(first_file VTL001L9)"
dd if="$physical" bs=2M status=none | tar -xf - -C /tmp
cmp /tmp/0 /scratch/files/0
to $(($(first_file VTL001L9) + 1))
dd if="$physical" bs=2M of=/scratch/back status=none
cmp /scratch/back /scratch/files/1
to "$(first_file VTL002L9)"
dd if="$physical" bs=2M of=/scratch/back status=none
cmp /scratch/back /scratch/files/2
equal "$(dd if="$physical" bs=2M status=none | wc -c)" 0 "the length of the empty tape file"
dd if="$physical" bs=2M of=/scratch/back status=none
cmp /scratch/back /scratch/files/3
to "$(first_file VTL003L9)"
dd if="$physical" bs=2M status=none | tar -xf - -C /tmp
cmp /tmp/2 /scratch/files/2
cmp /tmp/3 /scratch/files/3
# The hashes at the end of the tape are those of what dd reads.
mt -f "$physical" eod
mt -f "$physical" bsfm 2
dd if="$physical" bs=64k of=/results/last.txt status=none
says 'VTL STACK 1' "$(cat /results/last.txt)"
while read -r _ file _ _ _ _ _ longest _ hash; do
	to "$file"
	equal "$(dd if="$physical" bs="$((longest > 0 ? longest : 1))" status=none | sha256sum | cut -d ' ' -f 1)" "$hash" "tape file $file"
done < <(grep '^file ' /results/last.txt)
# The sheet of one member is a script.
sed "s|/dev/nst0|$physical|" /results/sheet.txt | grep -v '^#' | grep . >/tmp/sheet.sh
bash -e /tmp/sheet.sh | cut -d ' ' -f 1 >/tmp/found
grep -o '^#   [0-9a-f]\{64\}' /results/sheet.txt | cut -c 5- >/tmp/wanted
cmp /tmp/found /tmp/wanted
echo "stack: three cartridges on one tape were written, proved, and read without vtl"
