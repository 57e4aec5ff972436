#!/bin/bash
# Bacula as a site runs it: director, storage daemon with an autochanger, file daemon, a catalogue. Barcodes are labelled, a full and an
# incremental backup each go over the end of a cartridge, the job is verified against the tape, everything is restored and compared.
# Fails with the first thing that is not as it should be.
#   full-bacula.sh IQN
# shellcheck disable=SC2119 # detach from all
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
# shellcheck source=../guest/bacula.sh
source "$(dirname "$LAB")/bacula.sh"
attach "$1"
drive=$(tape_dev 0) changer=$(changer_dev 0)

say "three small cartridges"
vtl tape create --prefix BAC --count 3 --type "$LAB_MEDIA" --capacity 64MiB
mtx -f "$changer" status >/tmp/status
mapfile -t slots < <(sed -n 's/.*Storage Element \([0-9]*\):Full :VolumeTag=BAC00.*/\1/p' /tmp/status)
((${#slots[@]} == 3)) || fail "the new cartridges are not in the library"
lsscsi -g

cat >>"$work/dir.conf" <<CONF
Storage {
  Name = Library
  Address = 127.0.0.1
  SDPort = 9103
  Password = "lab"
  Device = Library
  Media Type = LTO
  Autochanger = yes
}
Pool { Name = Scratch; Pool Type = Backup }
Pool { Name = Default; Pool Type = Backup; Recycle = no; Volume Retention = 1 year }
JobDefs {
  Name = Usual
  Client = lab-fd
  FileSet = Tree
  Storage = Library
  Pool = Default
  Messages = Standard
  Accurate = yes
}
Job { Name = Backup; JobDefs = Usual; Type = Backup; Level = Full }
Job { Name = Verify; JobDefs = Usual; Type = Verify; Level = VolumeToCatalog; Verify Job = Backup }
Job { Name = Restore; JobDefs = Usual; Type = Restore; Where = /scratch/restored }
CONF
cat >>"$work/sd.conf" <<CONF
Autochanger {
  Name = Library
  Device = Drive
  Changer Device = $changer
  Changer Command = "/etc/bacula/scripts/mtx-changer %c %o %S %a %d"
}
Device {
  Name = Drive
  Drive Index = 0
  Media Type = LTO
  Archive Device = $drive
  AutoChanger = yes
  AutomaticMount = yes
  AlwaysOpen = yes
  RemovableMedia = yes
  RandomAccess = no
  Maximum File Size = 8MB
}
CONF
start_bacula

volumes() { sqlite3 -separator ' ' "$work/bacula.db" "select VolumeName, VolStatus, VolBytes, VolFiles, Slot, InChanger from Media"; }
# over JOB: how many cartridges that job is on.
over() { sqlite3 "$work/bacula.db" "select count(distinct MediaId) from JobMedia where JobId = $1"; }

say "label barcodes"
console "label storage=Library pool=Default barcodes slots=${slots[0]}-${slots[2]} drive=0 yes" "yes"
volumes
[[ $(volumes | grep -c '^BAC00[123]L[0-9A-Z] Append') == 3 ]] || fail "labels: $(cat "$said")"
console "status slots storage=Library drive=0" "update slots storage=Library drive=0"
grep -q 'VTL00' "$said" || fail "the slots that others use are not seen"

say "full backup, over two cartridges"
cp -r /usr/sbin /usr/lib/udev /scratch/source/
head -c 70000000 /dev/urandom >/scratch/source/random
truncate -s 20000000 /scratch/source/sparse
ln -s random /scratch/source/link
job run job=Backup level=Full
full=$(newest)
(($(over "$full") == 2)) || fail "the full backup is on $(over "$full") cartridges"

say "incremental backup, over two cartridges"
head -c 50000000 /dev/urandom >/scratch/source/new
head -c 9000000 /dev/urandom >/scratch/source/random
rm /scratch/source/sbin/a* /scratch/source/sparse
job run job=Backup level=Incremental
incremental=$(newest)
(($(over "$incremental") == 2)) || fail "the incremental backup is on $(over "$incremental") cartridges"
volumes
job run job=Verify "jobid=$incremental"
job run job=Verify "jobid=$full"

say "restore, and compare"
job restore client=lab-fd fileset=Tree where=/scratch/restored select current all done
diff -r --no-dereference /scratch/source /scratch/restored/scratch/source || fail "what is restored differs"
rm -r /scratch/restored
job restore "jobid=$full" client=lab-fd where=/scratch/restored all done
[[ $(stat -c %s /scratch/restored/scratch/source/random) == 70000000 ]] || fail "the full backup alone is not what it was"

console "unmount storage=Library drive=0" "release storage=Library drive=0"
stop_bacula
cp "$work/log" /results/bacula-log.txt
free_drives
vtl verify $(sed -n "s|.*VolumeTag=\(BAC00[^ ]*\).*|\1|p" /tmp/status)
detach >/dev/null
echo "Bacula: passed"
