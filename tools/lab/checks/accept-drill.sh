#!/bin/bash
# A rehearsal of recovery: a group of two tapes that Linux has written is rehearsed with what users have, which is mtx, mt and tar on the
# snapshot's target; then a byte of one goes bad. The library is one of the guest's own, so that its command runs where the devices are.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program
start_inner

say() { echo "-- $*"; }

mkdir -p /scratch/mail
head -c 3000000 /dev/urandom >/scratch/mail/boxes
echo "a small one" >/scratch/mail/aliases
drive=$(tape_dev 0)
for barcode in VTL001L9 VTL002L9; do
	vtl_here load "$barcode" 0 >/dev/null
	wait_ready "$drive"
	mt -f "$drive" setblk 0
	tar -b 20 -cf "$drive" -C /scratch mail
	vtl_here unload 0 >/dev/null
done
vtl_here group create mail VTL001L9 VTL002L9 >/dev/null
vtl_here group set mail recovery-time=1h recovery-point=1d >/dev/null

say "posture before"
vtl_here posture

say "level 3"
before=$SECONDS
vtl_here drill run mail | tee /results/drill.txt
took=$((SECONDS - before))
says 'result: passed' "$(cat /results/drill.txt)"
says 'sources: unchanged' "$(cat /results/drill.txt)"
echo "$took s by another clock"

say "level 4: what an administrator would do"
cat >/scratch/restore.sh <<'END'
#!/bin/bash
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
set -euo pipefail
source "$LAB"
drives=$(units 1 | wc -l) changers=$(units 8 | wc -l)
attach "$VTL_DRILL_TARGET" "$VTL_DRILL_PORTAL" >/dev/null
drive=$(tape_dev "$drives") changer=$(changer_dev "$changers")
for barcode in $VTL_DRILL_BARCODES; do
	slot=$(mtx -f "$changer" status | sed -n "s/.*Storage Element \([0-9]*\):Full :VolumeTag=$barcode.*/\1/p")
	mtx -f "$changer" load "$slot" 0
	wait_ready "$drive"
	mt -f "$drive" setblk 0
	mkdir "$barcode"
	tar -b 20 -xf "$drive" -C "$barcode"
	diff -r /scratch/mail "$barcode/mail"
	mt -f "$drive" rewind
	! tar -cf "$drive" -C /scratch mail 2>/dev/null
	mt -f "$drive" offline
	mtx -f "$changer" unload "$slot" 0
done
iscsiadm -m node -T "$VTL_DRILL_TARGET" --logout >/dev/null
END
vtl_here --format json drill run mail --command 'bash /scratch/restore.sh' | tee /results/drill4.json
says '"result": "passed"' "$(cat /results/drill4.json)"
says '"exit_code": 0' "$(cat /results/drill4.json)"

say "a command that fails, and one that hangs"
refused 1 'ended with 9' drill run mail --command 'exit 9'
refused 1 '--limit' drill run mail --command 'sleep 600' --limit 2s

say "the signed report, and the posture"
vtl_here drill run mail --level 2 >/dev/null
vtl_here drill list mail
vtl_here drill show mail --output /scratch/report.json >/dev/null
vtl_here receipt verify /scratch/report.json >/dev/null
vtl_here posture
vtl_here posture | grep -q 'mail: AMBER' || fail "without copies it is amber"

say "a byte goes bad"
uuid=$(vtl_here --format json tape show VTL002L9 | sed -n 's/.*"uuid": "\(.*\)".*/\1/p' | head -n 1)
segment=$(find "$library/cartridges/$uuid" -type f -size +2M | head -n 1)
printf 'rot' | dd of="$segment" bs=1 seek=1500000 conv=notrunc 2>/dev/null
refused 5 'VTL002L9' drill run mail
says 'mail/boxes' "$said"
says 'VTL001L9 *passed' "$said"
refused 1 'mail' posture
says 'mail: RED' "$said"
stop_inner
echo "all as it should be"
