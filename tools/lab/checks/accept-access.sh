#!/bin/bash
# Who may log in: CHAP right, wrong and missing, in one direction and in both, with every algorithm that open-iscsi has; two initiators that see
# different drives; one that may only read; and rules that change under sessions. Fails with the first thing that is not as it should be.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
iscsi_start
iqn=$1 portal=127.0.0.1:${LAB_PORTS%% *}
user=backup wrong=wrong-8hT2mQx5Lz7
for name in first second reader; do
	iscsiadm -m iface -I "$name" -o new >/dev/null
	iscsiadm -m iface -I "$name" -o update -n iface.initiatorname -v "iqn.2026-01.lab:$name" >/dev/null
done

say() { echo "-- $*"; }

# prepare NAME [SETTING=VALUE]...: the record of this initiator's node, as it is before the settings.
prepare() {
	local name=$1 setting
	shift
	iscsiadm -m node -T "$iqn" -p "$portal,1" -I "$name" -o delete >/dev/null 2>&1 || true
	iscsiadm -m node -T "$iqn" -p "$portal,1" -I "$name" -o new >/dev/null
	for setting in node.session.initial_login_retry_max=1 node.session.timeo.replacement_timeout=2 "$@"; do
		iscsiadm -m node -T "$iqn" -p "$portal,1" -I "$name" -o update -n "${setting%%=*}" -v "${setting#*=}"
	done
}
enter() { iscsiadm -m node -T "$iqn" -p "$portal,1" -I "$1" --login >/tmp/said 2>&1 && settle; }
leave() { iscsiadm -m node -T "$iqn" -p "$portal,1" -I "$1" --logout >/dev/null && udevadm settle; }
admitted() {
	prepare "$@"
	enter "$1" || {
		cat /tmp/said
		fail "$1 is not let in with ${*:2}"
	}
}
# refused NAME [SETTING=VALUE]...: open-iscsi has 24 for a login that failed for want of authorization.
refused() {
	local status=0
	prepare "$@"
	enter "$1" || status=$?
	((status == 24)) || {
		cat /tmp/said
		fail "$1 with ${*:2}: $status is not 24"
	}
}
field() { sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" <<<"$2"; }
chap() { printf '%s\n' node.session.auth.authmethod=CHAP "node.session.auth.username=$1" "node.session.auth.password=$2"; }
back() { printf '%s\n' "node.session.auth.username_in=$1" "node.session.auth.password_in=$2"; }

say "without a rule everybody is let in"
admitted first
leave first

say "CHAP: right, wrong, missing, unknown"
answer=$(vtl access add iqn.2026-01.lab:first --chap --user "$user" --format json)
secret=$(field secret "$answer")
[[ -n $secret ]] || fail "no secret is shown: $answer"
mapfile -t right < <(chap "$user" "$secret")
mapfile -t bad_secret < <(chap "$user" "$wrong")
mapfile -t bad_user < <(chap somebody "$secret")
admitted first "${right[@]}"
equal "$(units 1 | wc -l)" 4 "drives"
leave first
refused first "${bad_secret[@]}"
refused first "${bad_user[@]}"
refused first
refused second "${right[@]}"
refused second

say "every algorithm"
for algorithm in MD5 SHA1 SHA256 SHA3-256 SHA3-256,SHA256,SHA1,MD5; do
	if ! iscsiadm -m node -T "$iqn" -p "$portal,1" -I first -o update -n node.session.auth.chap_algs -v "$algorithm" >/dev/null 2>&1; then
		fail "open-iscsi does not know $algorithm"
	fi
	admitted first "${right[@]}" "node.session.auth.chap_algs=$algorithm"
	leave first
	refused first "${bad_secret[@]}" "node.session.auth.chap_algs=$algorithm"
done

say "discovery follows the same rule"
! iscsiadm -m discovery -t sendtargets -p "$portal" -I first >/tmp/said 2>&1 || fail "discovery without CHAP"
cp /etc/iscsi/iscsid.conf /tmp/iscsid.conf
printf '%s\n' 'discovery.sendtargets.auth.authmethod = CHAP' "discovery.sendtargets.auth.username = $user" \
	"discovery.sendtargets.auth.password = $secret" >>/etc/iscsi/iscsid.conf
iscsiadm -m discovery -t sendtargets -p "$portal" -I first >/tmp/said 2>&1 || {
	cat /tmp/said
	fail "no discovery with CHAP"
}
says "$iqn" "$(cat /tmp/said)"
cp /tmp/iscsid.conf /etc/iscsi/iscsid.conf

say "mutual CHAP: the initiator refuses a target that cannot prove itself"
mapfile -t early < <(back somebody "$wrong")
refused first "${right[@]}" "${early[@]}" # the target has no secret to prove itself with
answer=$(vtl access add iqn.2026-01.lab:first --chap --mutual --user "$user" --format json)
equal "$(field secret "$answer")" "" "the initiator's secret stays as it is"
target_user=$(field target_user "$answer") target_secret=$(field target_secret "$answer")
mapfile -t proof < <(back "$target_user" "$target_secret")
mapfile -t no_proof < <(back "$target_user" "$wrong")
admitted first "${right[@]}" "${proof[@]}"
leave first
admitted first "${right[@]}" "${proof[@]}" node.session.auth.chap_algs=SHA3-256
leave first
prepare first "${right[@]}" "${no_proof[@]}"
! enter first || fail "open-iscsi takes a target with the wrong secret"

say "two initiators see different drives"
vtl access add iqn.2026-01.lab:first --chap --user "$user" --luns 0,1
other=$(field secret "$(vtl access add iqn.2026-01.lab:second --chap --luns 0,2-3 --format json)")
mapfile -t second < <(chap iqn.2026-01.lab:second "$other")
admitted first "${right[@]}"
equal "$(units 1 | wc -l)" 1 "drives of the first"
equal "$(sg_luns -q "$(changer_dev 0)" | wc -w)" 2 "LUNs of the first"
drive=$(tape_dev 0) sg=$(tape_sg 0) changer=$(changer_dev 0)
admitted second "${second[@]}"
equal "$(units 1 | wc -l)" 3 "drives of both"
serial=$(sg_vpd -p sn "$sg")
for number in 1 2; do
	[[ $(sg_vpd -p sn "$(tape_sg "$number")") != "$serial" ]] || fail "the second sees the drive of the first"
done
slot=$(full_slot)
mtx -f "$changer" load "$slot" 0
wait_ready "$drive"
! mtx -f "$(changer_dev 1)" unload "$slot" 0 2>/dev/null || fail "the second moves what is in a drive of the first"
wait_ready "$drive" || fail "the tape is gone"
mt -f "$drive" setblk 0
tar -C / -b 128 -cf "$drive" usr/sbin
sg_reset -t "$(tape_sg 1)" >/dev/null 2>&1 || true # a reset of the target resets what the second sees
mt -f "$drive" rewind
tar -C / -b 128 -df "$drive" || fail "the first's tape differs"
leave second

say "one that may only read"
reading=$(field secret "$(vtl access add iqn.2026-01.lab:reader --chap --read-only --format json)")
mapfile -t reader < <(chap iqn.2026-01.lab:reader "$reading")
leave first
admitted reader "${reader[@]}"
drive=$(tape_dev 0)
wait_ready "$drive"
mt -f "$drive" rewind
says WR_PROT "$(mt -f "$drive" status)"
mt -f "$drive" setblk 0
tar -C / -b 128 -df "$drive" || fail "the reader's restore differs"
mt -f "$drive" rewind
! tar -C / -b 128 -cf "$drive" etc/hostname 2>/dev/null || fail "the reader wrote"
! mt -f "$drive" weof 2>/dev/null || fail "the reader wrote a filemark"
! mt -f "$drive" erase 2>/dev/null || fail "the reader erased"
sg_raw -s 4 -i /dev/zero "$(tape_sg 0)" 0a 00 00 00 04 00 >/tmp/said 2>&1 && fail "the reader wrote"
says 'Write protected' "$(cat /tmp/said)"
mt -f "$drive" rewind
tar -C / -b 128 -df "$drive" || fail "the tape differs after the reader"
mt -f "$drive" offline
mtx -f "$(changer_dev 0)" unload "$slot" 0 || fail "the reader may move"

say "a rule that goes takes its session with it"
vtl access remove iqn.2026-01.lab:reader
for ((tries = 0; tries < 100; tries++)); do
	grep -q LOGGED_IN /sys/class/iscsi_session/session*/state || break
	sleep 0.1
done
! grep -q LOGGED_IN /sys/class/iscsi_session/session*/state || fail "the reader's session is still there"
iscsiadm -m node -T "$iqn" -p "$portal,1" -I reader --logout >/dev/null 2>&1 || true
refused reader "${reader[@]}"
admitted first "${right[@]}"
leave first
vtl audit list --limit 4
echo "access: passed"
