#!/bin/bash
# Libraries of other models, made while the daemon runs, as Linux sees them: names, element addresses, which drive is which, moves, a tape
# written and read back, and LOCATE(16) to a file on a drive of HPE.
#   accept-libraries.sh IQN
# shellcheck disable=SC2119 # detach from all
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
failed=0

# check WHAT COMMAND...
check() {
	local what=$1
	shift
	if "$@" >/tmp/check 2>&1; then
		echo "ok      $what"
	else
		failed=1
		echo "FAILED  $what"
		head -n 20 /tmp/check
	fi
}

has() { grep -q -- "$2" "$1"; }

# made NAME PROFILE DRIVES: makes a library of 12 storage elements, with two cartridges, and logs in to it.
made() {
	local iqn
	vtl library create "$1" --profile "$2" --drives "$3" --slots 12 --mail 4 >/tmp/made || return
	cat /tmp/made
	iqn=$(sed -n 's/^target: //p' /tmp/made)
	vtl tape create --count 2 --library "$1" --prefix "$4" --type "$5" >/dev/null || return
	attach "$iqn" || return
	changer=$(changer_dev 0)
	mtx -f "$changer" status >/tmp/status
}

# works VENDOR MODEL TAG: what each of them has to do.
works() {
	local tape
	lsscsi >/tmp/devices
	check "$2 is there" grep -q "mediumx *$1 *$2" /tmp/devices
	check "its cartridges are where they were made" has /tmp/status "Storage Element 1:Full :VolumeTag=$3"
	check "load" mtx -f "$changer" load 1 1
	tape=$(tape_dev 1)
	check "the drive that is called 1 is the one that is loaded" wait_ready "$tape"
	mtx -f "$changer" status >/tmp/status
	check "its source is known" has /tmp/status "Data Transfer Element 1:Full (Storage Element 1 Loaded):VolumeTag = $3"
	check "write" tar -b 128 -cf "$tape" /etc
	check "rewind" mt -f "$tape" rewind
	check "read back" tar -b 128 -df "$tape" -C /
	check "eject" mt -f "$tape" offline
	check "unload" mtx -f "$changer" unload 1 1
	check "to the door" mtx -f "$changer" transfer 1 13
	mtx -f "$changer" status >/tmp/status
	check "it is there" has /tmp/status "Storage Element 13 IMPORT/EXPORT:Full :VolumeTag=$3"
}

# file NUMBER: where LOCATE(16) to that file goes, as READ POSITION says it: files before it.
file() {
	sg_raw "$sg" 92 08 00 00 00 00 00 00 00 00 00 "$1" 00 00 00 00 >/dev/null 2>&1 || return
	sg_raw -r 32 -b "$sg" 34 06 00 00 00 00 00 00 00 00 2>/dev/null | od -An -tu1 -j23 -N1 | tr -d ' '
}

made west stk-sl150 ibm-ult3580-td9:1,hpe-ultrium-9:1 WST lto9 || exit
works STK SL150 WST001L9
mtx -f "$changer" load 2 1
tape=$(tape_dev 1) sg=$(tape_sg 1)
wait_ready "$tape"
mt -f "$tape" weof 5
check "HPE: to file 3 is before the third filemark" test "$(file 3)" = 2
detach
made msl hp-msl-g3 hp-ultrium-6:2 MSL lto6 || exit
works HP "MSL G3 Series" MSL001L6
sg_raw -r 512 -b "$changer" b8 14 00 00 00 02 00 00 02 00 00 00 >/tmp/elements 2>/dev/null
serial=$(sg_vpd -p sn "$(tape_sg 0)" | sed -n 's/.*serial number: *//p')
check "drives are named even if nobody asks" grep -q "$serial" /tmp/elements
detach
exit $failed
