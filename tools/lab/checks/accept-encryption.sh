#!/bin/bash
# Encryption by a host's key as stenc sets it, seen through st: written with a key, read with it, and neither without nor with another one; the
# name of the key can be read from the tape. Fails with the first thing that is not as it should be.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
attach "$1"

changer=$(changer_dev 0)
drive=$(tape_dev 0)
mtx -f "$changer" load 1 0
mt -f "$drive" rewind
key() { printf '%064d\n' "$1" >"/tmp/key-$1" && [[ -z ${2:-} ]] || printf '%s\n' "$2" >>"/tmp/key-$1"; }
key 1 'first key'
key 2
dd if=/dev/urandom of=/tmp/data bs=64k count=16 status=none

# stenc 1.0 falls over itself where there is no block to ask about, so there is one first.
dd if=/tmp/data of="$drive" bs=64k count=1 status=none
mt -f "$drive" rewind
says 'Not encrypted' "$(stenc -f "$drive" --detail)"
stenc -f "$drive" -e on -a 1 -k /tmp/key-1
says 'first key' "$(stenc -f "$drive" --detail)"
dd if=/tmp/data of="$drive" bs=64k status=none
mt -f "$drive" rewind
dd if="$drive" bs=64k count=16 status=none | cmp - /tmp/data || fail "what was read with the key is not what was written"
mt -f "$drive" rewind
says 'first key' "$(stenc -f "$drive" --detail)"

stenc -f "$drive" -e on -a 1 -k /tmp/key-2
mt -f "$drive" rewind
! dd if="$drive" of=/tmp/none bs=64k count=1 status=none 2>/dev/null || fail "read with another key"
stenc -f "$drive" -e off
mt -f "$drive" rewind
! dd if="$drive" of=/tmp/none bs=64k count=1 status=none 2>/dev/null || fail "read without a key"
[[ ! -s /tmp/none ]] || fail "something was read without the key"
stenc -f "$drive" -e on -a 1 -k /tmp/key-1
mt -f "$drive" rewind
dd if="$drive" bs=64k count=16 status=none | cmp - /tmp/data || fail "not read with the key again"

mt -f "$drive" offline
mtx -f "$changer" unload 1 0
detach >/dev/null
echo "encryption: passed"
