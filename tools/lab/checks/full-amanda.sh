#!/bin/bash
# Amanda as a site runs it: the size of a tape with amtapetype, a robot's inventory, labels, a full and an incremental dump that go over the
# end of a cartridge, amrestore of one and amfetchdump of all, compared. Fails with the first thing that is not as it should be.
#   full-amanda.sh IQN
# shellcheck disable=SC2119 # detach from all
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
attach "$1"
drive=$(tape_dev 0) changer=$(changer_dev 0)

say() { echo "-- $*"; }
# As the user that Amanda's package made.
as() { setpriv --reuid backup --regid backup --groups backup,tape,disk env HOME=/scratch/amanda PATH="$PATH:/usr/lib/amanda" "$@"; }

say "three small cartridges"
vtl tape create --prefix AMA --count 3 --type "$LAB_MEDIA" --capacity 48MiB
mtx -f "$changer" status >/tmp/status
mapfile -t slots < <(sed -n 's/.*Storage Element \([0-9]*\):Full :VolumeTag=AMA00.*/\1/p' /tmp/status)
((${#slots[@]} == 3)) || fail "the new cartridges are not in the library"
chgrp tape "$drive" "$changer"
chmod 660 "$drive" "$changer"
mkdir -p /etc/amanda/lab /scratch/{source,holding,amanda,restored} /scratch/amanda/{info,log,index,state}
cat >/etc/amanda/lab/amanda.conf <<CONF
org "lab"
dumpuser "backup"
mailto ""
dumpcycle 7 days
runspercycle 7
tapecycle 3 tapes
runtapes 2
bumpsize 1 mbytes
bumpdays 0
bumppercent 0
tpchanger "robot"
tapetype LAB
labelstr "^AMA00[0-9]"
autolabel "\$b" empty
infofile "/scratch/amanda/info"
logdir "/scratch/amanda/log"
indexdir "/scratch/amanda/index"
define changer robot {
  tpchanger "chg-robot:$changer"
  property "tape-device" "0=tape:$drive"
  property "use-slots" "${slots[0]}-${slots[2]}"
  property "mtx" "/usr/sbin/mtx"
  device-property "LEOM" "TRUE"
  changerfile "/scratch/amanda/state/robot"
}
define tapetype LAB {
  length 48 mbytes
  filemark 0 kbytes
  part-size 8 mbytes
  part-cache-type memory
  part-cache-max-size 8 mbytes
}
holdingdisk disk {
  directory "/scratch/holding"
  use 500 mbytes
}
define application tar {
  plugin "amgtar"
}
define dumptype tree {
  auth "local"
  program "APPLICATION"
  application "tar"
  compress none
  index yes
  estimate calcsize
  allow-split yes
}
CONF
echo "localhost /scratch/source tree" >/etc/amanda/lab/disklist
chown -R backup:backup /etc/amanda/lab /scratch/holding /scratch/amanda
chmod -R go+rX /scratch/source

# run NAME COMMAND...: a command of Amanda's, which has to succeed; its output is kept.
run() {
	local name=$1 status=0 start=$SECONDS
	shift
	as timeout 300 "$@" >"/results/$name.txt" 2>&1 </dev/null || status=$?
	say "$name: exit $status, $((SECONDS - start)) s"
	((status == 0)) || {
		tail -n 40 "/results/$name.txt"
		fail "$* ended with $status"
	}
}
has() { grep -Eq -- "$2" "/results/$1.txt" || fail "'$2' is not in what $1 says: $(tail -n 30 "/results/$1.txt")"; }

say "what a tape holds"
mtx -f "$changer" load "${slots[0]}" 0
wait_ready "$drive"
# It finds out whether the drive compresses by a minute's writing, which would not fit on the tape: a quarter of a second is enough.
sed 's/compression_check_time = 60/compression_check_time = 0.25/' /usr/sbin/amtapetype >/scratch/amanda/amtapetype
run amtapetype perl /scratch/amanda/amtapetype -f -b 128k -t LAB48 "tape:$drive"
cat /results/amtapetype.txt
has amtapetype 'define tapetype LAB48'
length=$(sed -n 's/.*length \([0-9]*\) .*/\1/p' /results/amtapetype.txt)
((length >= 40000 && length <= 49152)) || fail "$length KiB is not what the tape was made with"
mt -f "$drive" rewind
mt -f "$drive" weof 1
mt -f "$drive" rewind
mt -f "$drive" erase
free_drives

say "the robot's inventory, and labels"
run inventory amtape lab inventory
has inventory "slot ${slots[0]}:.*barcode AMA001|slot ${slots[0]}:.*AMA001"
run update amtape lab update
for number in 0 1 2; do
	run "label-$number" amlabel -f lab "AMA00$((number + 1))" slot "${slots[number]}"
done
run show amtape lab inventory
cat /results/show.txt
has show 'label AMA003'
run check amcheck -t -s lab
cat /results/check.txt

say "a full dump, over two cartridges"
cp -r /usr/sbin /scratch/source/
head -c 60000000 /dev/urandom >/scratch/source/random
chmod -R go+rX /scratch/source
run dump-full amdump lab
run report amreport lab
cat /results/report.txt
run find-full amadmin lab find
cat /results/find-full.txt
has find-full ' 0 .*OK'
tapes() { as amadmin lab find 2>/dev/null | grep -o 'AMA00[1-3]' | sort -u | wc -l; }
(($(tapes) == 2)) || fail "the dump is on $(tapes) cartridges"

say "everything of it again"
cp -r /scratch/source /scratch/kept
as bash -c "cd /scratch/holding && amfetchdump -p -a lab localhost /scratch/source" 2>/results/fetch.txt </dev/null | tar -xf - -C /scratch/restored ||
	fail "amfetchdump: $(tail -n 20 /results/fetch.txt)"
diff -r --no-dereference /scratch/kept /scratch/restored || fail "what is restored differs"

say "an incremental dump, and amrestore of it"
head -c 3000000 /dev/urandom >/scratch/source/new
run force-bump amadmin lab force-bump localhost /scratch/source
run dump-incremental amdump lab
run find amadmin lab find
cat /results/find.txt
has find ' 1 .*OK'
label=$(awk '$5 == 1 { print $8; exit }' /results/find.txt)
run load amtape lab label "$label"
rm -rf /scratch/restored/*
mkdir /scratch/amanda/files
chown backup /scratch/amanda/files
as bash -c "cd /scratch/amanda/files && mt -f $drive rewind && amrestore $drive localhost /scratch/source" >/results/amrestore.txt 2>&1 </dev/null || {
	cat /results/amrestore.txt
	fail "amrestore"
}
cat /results/amrestore.txt
for file in /scratch/amanda/files/localhost.*.1*; do
	tar -xf "$file" -C /scratch/restored
done
cmp /scratch/source/new /scratch/restored/new || fail "the new file is not in the incremental dump as it is"
[[ ! -e /scratch/restored/random ]] || fail "the incremental dump has what did not change"

free_drives
vtl verify $(sed -n "s|.*VolumeTag=\(AMA00[^ ]*\).*|\1|p" /tmp/status)
detach >/dev/null
echo "Amanda: passed"
