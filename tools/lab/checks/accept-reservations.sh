#!/bin/bash
# Persistent reservations as a cluster uses them: register, reserve, look, release, preempt, clear, with sg_persist on a drive and on the
# changer. Fails with the first thing that is not as it should be.
# shellcheck disable=SC2119 # detach from all
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
attach "$1"

for unit in "$(tape_sg 0)" "$(changer_dev 0)"; do
	echo "-- $unit"
	sg_turs "$unit" 2>/dev/null || true # unit attentions
	says 'there are NO registered' "$(sg_persist -n -i -k "$unit")"
	sg_persist -n -o -G -S 0x1234 "$unit"
	says '0x1234' "$(sg_persist -n -i -k "$unit")"
	! sg_persist -n -o -R -K 0x9999 -T 3 "$unit" 2>/dev/null || fail "reserved with a key that is not registered"
	for type in 1 3 5 6 7 8; do
		sg_persist -n -o -R -K 0x1234 -T "$type" "$unit"
		sg_persist -n -i -r "$unit" | grep -q 'LU_SCOPE' || fail "no reservation of type $type"
		sg_persist -n -o -L -K 0x1234 -T "$type" "$unit"
	done
	sg_persist -n -o -R -K 0x1234 -T 3 "$unit"
	says 'Exclusive Access' "$(sg_persist -n -i -r "$unit")"
	full=$(sg_persist -n -i -s "$unit")
	says 'Reservation holder' "$full"
	says "$(sed -n 's/^InitiatorName=//p' /etc/iscsi/initiatorname.iscsi)" "$full"
	says 'Exclusive Access' "$(sg_persist -n -i -c "$unit")"
	! sg_raw "$unit" 16 00 00 00 00 00 2>/dev/null || fail "RESERVE(6) beside a registration"
	sg_persist -n -o -P -K 0x1234 -S 0x1234 -T 6 "$unit"
	says 'Exclusive Access, registrants only' "$(sg_persist -n -i -r "$unit")"
	sg_persist -n -o -G -K 0x1234 -S 0x1234 -Z "$unit"
	says 'Active(PTPL_A): 1' "$(sg_persist -n -i -c "$unit")"
	sg_persist -n -o -C -K 0x1234 "$unit"
	says 'there are NO registered' "$(sg_persist -n -i -k "$unit")"
done
detach >/dev/null
echo "reservations: passed"
