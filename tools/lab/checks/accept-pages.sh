#!/bin/bash
# Every page and the commands around them as sg3_utils sees them: no line that it does not understand, counters that move, the clock, buffers,
# self-tests, TapeAlert, and a cleaning cartridge. Fails with the first thing that is not as it should be.
# shellcheck disable=SC2119 # detach from all
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
attach "$1"
sg=$(tape_sg 0)
changer=$(changer_dev 0)
drive=$(tape_dev 0)

# What a tool prints of something that is not as it expects. TapeAlert's flags 28h to 40h are reserved, and pages 25h, 30h ... are a vendor's.
is_plain() {
	local name=$1
	shift
	local text
	text=$("$@" 2>&1) || fail "$name: exit $?: $text"
	echo "$text" >"/results/$name.txt"
	if grep -niE 'too short|too long|bad length|unexpected|malformed|unable to decode|truncated|reserved \[' <<<"$text"; then
		fail "$name prints that"
	fi
}

for unit in "$sg" "$changer"; do
	sg_turs "$unit" 2>/dev/null || true # unit attentions
	name=$(basename "$unit")
	is_plain "$name-vpd-all" sg_vpd -a "$unit"
	# sg_logs knows page 2Eh of tape drives only.
	[[ $unit == "$changer" ]] || is_plain "$name-logs-all" sg_logs -a "$unit"
	is_plain "$name-logs-list" sg_logs -ll "$unit"
	is_plain "$name-modes-all" sg_modes -a "$unit"
	is_plain "$name-opcodes" sg_opcodes -n "$unit"
	is_plain "$name-opcodes-timeouts" sg_opcodes -n -R "$unit"
	is_plain "$name-timestamp" sg_timestamp "$unit"
	is_plain "$name-senddiag-list" sg_senddiag -l "$unit"
	is_plain "$name-senddiag-test" sg_senddiag -t "$unit"
	is_plain "$name-buffer-descriptor" sg_read_buffer -m desc "$unit"
	is_plain "$name-buffer-echo-descriptor" sg_read_buffer -m echo_desc "$unit"
	echo "tape library" >/tmp/text
	is_plain "$name-write-buffer" sg_write_buffer -m data -I /tmp/text "$unit"
	says "tape library" "$(sg_raw -r 12 "$unit" 3c 02 00 00 00 00 00 00 0c 00 2>&1)"
	sg_timestamp --milliseconds=86400000 "$unit"
	says '8640[0-9]\{4\}' "$(sg_timestamp "$unit")"
done

mtx -f "$changer" load 1 0
wait_ready "$drive"
before=$(sg_logs -p 0xc -v "$sg" 2>/dev/null)
dd if=/dev/zero of="$drive" bs=1M count=10 status=none
after=$(sg_logs -p 0xc -v "$sg" 2>/dev/null)
[[ $before != "$after" ]] || fail "page 0Ch does not move: $after"
says '10485760 bytes' "$after"
is_plain loaded-logs-all sg_logs -a "$sg"
is_plain loaded-modes-all sg_modes -a "$sg"
is_plain loaded-senddiag-test sg_senddiag -t "$sg"
says 'DINIT=1' "$(sg_logs -p 0x11 "$sg")"
says 'Page valid: 1' "$(sg_logs -p 0x17 "$sg")"
sg_logs -p 0x2 -R "$sg" >/dev/null
says 'Total bytes processed = 0' "$(sg_logs -p 0x2 "$sg")"
mt -f "$drive" offline
mtx -f "$changer" unload 1 0

# the last cartridge of a fresh library cleans
slot=$(mtx -f "$changer" status | sed -n 's/^ *Storage Element \([0-9]*\):Full.*CLN.*/\1/p')
[[ -n $slot ]] || fail "there is no cleaning cartridge"
mtx -f "$changer" load "$slot" 0
seen=$(sg_raw -r 256 "$changer" b8 04 01 01 00 01 00 00 01 00 00 00 2>&1)
says '30 03' "$seen"
for ((tries = 0; tries < 300; tries++)); do
	mtx -f "$changer" unload "$slot" 0 2>/dev/null && break
	sleep 0.1
done
((tries < 300)) || fail "the cleaning cartridge does not come out"
echo "accept-pages: all well"
