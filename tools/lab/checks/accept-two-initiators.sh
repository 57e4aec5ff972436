#!/bin/bash
# Two initiators at one library: two iSCSI sessions of different names from this machine, so that every drive and the changer has two
# devices. What one reserves is closed to the other (RESERVATION CONFLICT, which no command on the list of those allowed gets), and each hears
# by a unit attention of what the other did. Fails with the first thing that is not as it should be.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
iscsi_start
portal=127.0.0.1:${LAB_PORTS%% *}
for name in first second; do
	iscsiadm -m iface -I "$name" -o new >/dev/null
	iscsiadm -m iface -I "$name" -o update -n iface.initiatorname -v "iqn.2026-01.lab:$name" >/dev/null
done
iscsiadm -m discovery -t sendtargets -p "$portal" -I first -I second >/dev/null
login() { iscsiadm -m node -T "$1" -p "$portal" -I "$2" --login >/dev/null && settle; }
logout() { iscsiadm -m node -T "$1" -p "$portal" -I "$2" --logout >/dev/null && udevadm settle; }
login "$1" first
changer_a=$(changer_dev 0) a=$(tape_sg 0) tape_a=$(tape_dev 0)
drives=$(units 1 | wc -l)
login "$1" second
changer_b=$(changer_dev 1) b=$(tape_sg "$drives") tape_b=$(tape_dev "$drives")
lsscsi -g

say() { echo "-- $*"; }

# What a command ends with: 0 good, 2 not ready, 6 unit attention, 24 RESERVATION CONFLICT (the numbers of sg3_utils).
ends() {
	local want=$1 status=0
	shift
	"$@" >/tmp/said 2>&1 || status=$?
	((status == want)) || {
		cat /tmp/said
		fail "'$*' ends with $status, not $want"
	}
}
conflict() { ends 24 "$@"; }
# attention UNIT TEXT: the next command there gets this unit attention, and the one after it none. st and the kernel must not have
# sent one between.
attention() {
	sg_raw "$1" 00 00 00 00 00 00 >/tmp/said 2>&1 || true
	grep -qi -- "$2" /tmp/said || {
		cat /tmp/said
		fail "no '$2' at $1"
	}
}
quiet() { # until no unit attention is left
	local tries
	for ((tries = 0; tries < 8; tries++)); do
		sg_raw "$1" 00 00 00 00 00 00 >/tmp/said 2>&1 && return
		grep -qi 'unit attention' /tmp/said || return 0
	done
	fail "no end of unit attentions at $1"
}
reserve6() { sg_raw "$1" 16 00 00 00 00 00; }
release6() { sg_raw "$1" 17 00 00 00 00 00; }
ready() { sg_raw "$1" 00 00 00 00 00 00; }
modes() { sg_raw -r 255 "$1" 1a 08 3f 00 ff 00; }

equal "$(sg_vpd -p sn "$a")" "$(sg_vpd -p sn "$b")" "the two see different drives"
[[ $a != "$b" && $tape_a != "$tape_b" && $changer_a != "$changer_b" ]] || fail "one device, not two"

say "a cartridge is loaded by one, and the other hears of it"
quiet "$a"
quiet "$b"
mtx -f "$changer_a" load "$(full_slot)" 0
wait_ready "$tape_a"
attention "$b" 'not ready to ready'
ends 0 ready "$b"

say "RESERVE(6) on the drive"
mt -f "$tape_a" setblk 0
dd if=/dev/urandom of=/tmp/data bs=64k count=8 status=none
dd if=/tmp/data of="$tape_a" bs=64k status=none
quiet "$b"
ends 0 reserve6 "$a"
conflict ready "$b"
conflict reserve6 "$b"
conflict sg_raw -r 64 "$b" 1a 08 10 00 40 00             # MODE SENSE
conflict sg_raw "$b" 01 00 00 00 00 00                   # REWIND
ends 0 sg_raw -r 6 "$b" 05 00 00 00 00 00 # READ BLOCK LIMITS is on the list
! dd if="$tape_b" of=/tmp/none bs=64k count=1 status=none 2>/dev/null || fail "the other read through st"
ends 0 sg_inq "$b"
ends 0 sg_luns "$b"
ends 0 sg_requests "$b"
ends 0 release6 "$b" # nothing that is its own to release, and no error
conflict ready "$b"
ends 0 ready "$a"
ends 0 release6 "$a"
ends 0 ready "$b"

say "what ends a reservation: a reset by the other, the end of the session"
ends 0 reserve6 "$a"
conflict ready "$b"
sg_reset -d "$b" >/dev/null
attention "$a" 'reset'
attention "$b" reset # who asked for it, too
ends 0 reserve6 "$b"
conflict ready "$a"
logout "$1" second
ends 0 ready "$a"
login "$1" second
changer_b=$(changer_dev 1) b=$(tape_sg "$drives") tape_b=$(tape_dev "$drives")
quiet "$b"

say "mode parameters that one changes are news to the other"
mt -f "$tape_a" compression 0
attention "$b" 'mode parameters changed'
mt -f "$tape_a" compression 1
quiet "$b"

say "persistent reservations"
for pair in "$a $b" "$changer_a $changer_b"; do
	read -r mine other <<<"$pair"
	quiet "$mine"
	quiet "$other"
	ends 0 sg_persist -n -o -G -S 0xaa "$mine"
	ends 0 sg_persist -n -o -R -K 0xaa -T 3 "$mine"
	ends 0 ready "$other" # which is allowed here, and was not beside RESERVE(6)
	conflict modes "$other"
	conflict reserve6 "$other"
	conflict sg_persist -n -o -R -K 0xbb -T 3 "$other"  # is not registered
	ends 0 sg_inq "$other"
	ends 0 sg_persist -n -i -k "$other"
	ends 0 sg_persist -n -i -r "$other"
	grep -q 'Exclusive Access' /tmp/said || fail "no reservation is shown to the other"
	ends 0 modes "$mine"

	# Registrants only: the other registers, and is let in.
	ends 0 sg_persist -n -o -L -K 0xaa -T 3 "$mine"
	ends 0 sg_persist -n -o -R -K 0xaa -T 6 "$mine"
	conflict modes "$other"
	ends 0 sg_persist -n -o -G -S 0xbb "$other"
	ends 0 modes "$other"
	sg_persist -n -i -s "$other" >/tmp/said
	grep -q 'iqn.2026-01.lab:first' /tmp/said || fail "the holder's name is not shown"
	grep -q 'iqn.2026-01.lab:second' /tmp/said || fail "the other's name is not shown"
	ends 0 sg_persist -n -o -L -K 0xaa -T 6 "$mine"
	attention "$other" 'reservations released'

	# A failover: the other takes it by force, and the first is out and knows it.
	ends 0 sg_persist -n -o -R -K 0xaa -T 3 "$mine"
	conflict modes "$other"
	ends 0 sg_persist -n -o -A -K 0xbb -S 0xaa -T 3 "$other"
	attention "$mine" 'registrations preempted'
	conflict modes "$mine"
	ends 0 modes "$other"
	conflict sg_persist -n -o -L -K 0xaa -T 3 "$mine"
	ends 0 sg_persist -n -o -C -K 0xbb "$other"
	quiet "$mine"
	ends 0 modes "$mine"
done

say "the changer that one holds moves nothing for the other"
ends 0 sg_persist -n -o -G -S 0xaa "$changer_a"
ends 0 sg_persist -n -o -R -K 0xaa -T 3 "$changer_a"
! mtx -f "$changer_b" transfer "$(full_slot)" "$(empty_slot)" 2>/dev/null || fail "the other moved a cartridge"
slot=$(full_slot) to=$(empty_slot)
mtx -f "$changer_a" transfer "$slot" "$to"
mtx -f "$changer_a" transfer "$to" "$slot"
ends 0 sg_persist -n -o -C -K 0xaa "$changer_a"
quiet "$changer_b"

say "removal that one prevents is prevented for the other"
quiet "$b"
mt -f "$tape_a" lock
! mt -f "$tape_b" offline 2>/dev/null || fail "the other ejected a locked cartridge"
logout "$1" first # the session that prevented it is gone, and the prevention with it
tape_b=$(tape_dev 0) changer_b=$(changer_dev 0)
mt -f "$tape_b" rewind
mt -f "$tape_b" setblk 0
dd if="$tape_b" bs=64k count=8 status=none | cmp - /tmp/data || fail "what is on the tape is not what was written"
mt -f "$tape_b" offline
mtx -f "$changer_b" unload "$(empty_slot)" 0
logout "$1" second
echo "two initiators: passed"
