#!/usr/bin/env bash
# Attributes and partitions, as Linux sees them: sg_read_attr, mt mkpartition, mt partseek.
#   accept-partitions.sh IQN
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
attach "$1"

changer=$(changer_dev)
drive=$(tape_dev 0)
sg=$(tape_sg 0)
mtx -f "$changer" load "$(full_slot "$changer")" 0
wait_ready "$drive"

# every attribute, and no line that the tool does not understand
sg_read_attr "$sg" | tee /results/attributes.txt
grep -q 'Barcode: VTL' /results/attributes.txt
! grep -iE 'odd|unexpected|truncat|bad|invalid' /results/attributes.txt || fail "a line of sg_read_attr is not as it should be"
for list in 1 2 3 5; do
	sg_read_attr -s "$list" "$sg" | tee "/results/attribute-list-$list.txt"
done
printf '\0\0\0\x0d\x08\0\x01\0\x08lab     ' | sg_raw -s 17 "$sg" 8d 00 00 00 00 00 00 00 00 00 00 00 00 11 00 00
sg_read_attr "$sg" | grep 'Application vendor: lab'

# two partitions, with other data in each
head -c 3000000 /dev/urandom >/tmp/first
head -c 5000000 /dev/urandom >/tmp/second
mt -f "$drive" stsetoptions can-partitions
mt -f "$drive" rewind
mt -f "$drive" mkpartition 1000
sg_modes -p 0x11 "$sg" | tee /results/medium-partition.txt
mt -f "$drive" setblk 0
mt -f "$drive" rewind
dd if=/tmp/first of="$drive" bs=64k iflag=fullblock status=none
mt -f "$drive" setpartition 1
dd if=/tmp/second of="$drive" bs=64k iflag=fullblock status=none
mt -f "$drive" status | tee /results/status.txt
grep -q 'partition=1' /results/status.txt

# out of the drive and in again
slot=$(empty_slot "$changer")
mt -f "$drive" offline
mtx -f "$changer" unload "$slot" 0
mtx -f "$changer" load "$slot" 0
wait_ready "$drive"
mt -f "$drive" stsetoptions can-partitions
mt -f "$drive" setpartition 1
mt -f "$drive" rewind
dd if="$drive" bs=64k status=none | cmp - /tmp/second
mt -f "$drive" setpartition 0
mt -f "$drive" rewind
dd if="$drive" bs=64k status=none | cmp - /tmp/first
mt -f "$drive" rewind
mt -f "$drive" mkpartition 0
! mt -f "$drive" setpartition 1 || fail "there is a partition 1 on a cartridge that has one"
echo "attributes and partitions: all right"
