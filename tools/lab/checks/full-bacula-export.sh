#!/bin/bash
# A Bacula volume goes to tape and is restored by Bacula straight from the physical drive, when nothing of vtl is left: the barcode, the blocks
# and the filemarks are those that Bacula wrote. The physical library is the target's.
#   full-bacula-export.sh IQN
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program
volume=VTL001L9

# shellcheck source=../guest/bacula.sh
source "$(dirname "$LAB")/bacula.sh"
attach "$1"
drives=$(units 1 | wc -l)
changer=$(changer_dev 0)
free_drives
physical=$(tape_dev 0)
start_inner
virtual=$(tape_dev "$drives")
vtl_here load "$volume" 0 >/dev/null
wait_ready "$virtual"

device() { # NAME NODE
	cat <<CONF
Device {
  Name = $1
  Media Type = LTO
  Archive Device = $2
  AutomaticMount = yes
  AlwaysOpen = no
  RemovableMedia = yes
  RandomAccess = no
  Maximum File Size = 8MB
}
CONF
}
storage() { # NAME
	echo "Storage { Name = $1; Address = 127.0.0.1; SDPort = 9103; Password = \"lab\"; Device = $1; Media Type = LTO }"
}
cat >>"$work/dir.conf" <<CONF
$(storage Virtual)
$(storage Physical)
Pool { Name = Default; Pool Type = Backup; Recycle = no; Volume Retention = 1 year }
JobDefs { Name = Usual; Client = lab-fd; FileSet = Tree; Storage = Virtual; Pool = Default; Messages = Standard }
Job { Name = Backup; JobDefs = Usual; Type = Backup; Level = Full }
Job { Name = Restore; JobDefs = Usual; Type = Restore; Where = /scratch/restored }
CONF
cat >>"$work/sd.conf" <<CONF
$(device Virtual "$virtual")
$(device Physical "$physical")
CONF
start_bacula

say "a backup to the virtual library"
cp -r /usr/sbin /scratch/source/
head -c 40000000 /dev/urandom >/scratch/source/random
truncate -s 20000000 /scratch/source/sparse
console "label storage=Virtual volume=$volume pool=Default" "mount storage=Virtual"
job run job=Backup storage=Virtual
backup=$(newest)
console "unmount storage=Virtual" "release storage=Virtual"
vtl_here unload 0 >/dev/null

say "to tape, and nothing of vtl is left"
vtl_here export "$volume" --library "$changer"
stop_inner
rm -rf "$library"

say "restored from the physical drive"
mtx -f "$changer" load 1 0 >/dev/null
wait_ready "$physical"
console "mount storage=Physical"
job restore "jobid=$backup" client=lab-fd storage=Physical where=/scratch/restored all done
diff -r --no-dereference /scratch/source /scratch/restored/scratch/source || fail "what is restored differs"
console "unmount storage=Physical" "release storage=Physical"
stop_bacula
echo "Bacula: a volume was exported, and restored straight from the physical drive"
