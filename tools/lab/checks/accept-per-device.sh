#!/bin/bash
# A target for each device: open-iscsi finds and attaches them all, mtx and tar use them as they use one target, and a logout of one drive
# leaves the others alone.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
iqn=$1 portal=127.0.0.1:${LAB_PORTS%% *}
iscsi_start
found=$(iscsiadm -m discovery -t sendtargets -p "$portal" | awk '{ print $2 }' | sort)
equal "$found" "$(printf '%s\n' "$iqn" "$iqn".drive{0,1,2,3})" "the targets"
iscsiadm -m node -p "$portal" --login >/dev/null
settle
equal "$(units 1 | wc -l)" 4 "the number of drives"
changer=$(changer_dev 0)
drive_of() { # TARGET: its tape node
	local session
	for session in /sys/class/iscsi_session/session*; do
		[[ $(<"$session/targetname") == "$1" ]] || continue
		set -- "$session"/device/target*/*:0/scsi_tape/nst*
		echo "/dev/${1##*/}" | sed 's/[alm]*$//'
		return
	done
}
mtx -f "$changer" load 1 0
mtx -f "$changer" load 2 1
first=$(drive_of "$iqn.drive0") second=$(drive_of "$iqn.drive1")
[[ -c $first && -c $second && $first != "$second" ]] || fail "the drives: $first $second"
wait_ready "$first"
wait_ready "$second"
tar -cf "$first" -C / etc &
tar -cf "$second" -C / etc
wait $!
iscsiadm -m node -T "$iqn.drive0" -p "$portal" --logout >/dev/null
mt -f "$second" rewind
tar -df "$second" -C /
mt -f "$second" rewind
iscsiadm -m node -T "$iqn.drive0" -p "$portal" --login >/dev/null
settle
first=$(drive_of "$iqn.drive0")
mt -f "$first" rewind
tar -df "$first" -C /
mt -f "$first" offline
mt -f "$second" offline
mtx -f "$changer" unload 1 0
mtx -f "$changer" unload 2 1
detach >/dev/null
echo "per device: five targets, two drives written at once, one logged out and in again beside the other"
