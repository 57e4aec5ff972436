#!/bin/bash
# A Bacula volume goes to tape and is restored by Bacula straight from the physical drive, when nothing of vtl is left: the barcode, the blocks
# and the filemarks are those that Bacula wrote. The physical library is the target's.
#   full-bacula-export.sh IQN
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
needs_program
work=/scratch/bacula
volume=VTL001L9
say() { echo "-- $*"; }
fail() {
	echo "FAILED: $*"
	tail -n 60 "$work/log" 2>/dev/null || true
	exit 1
}

attach "$1"
drives=$(units 1 | wc -l)
changer=$(changer_dev 0)
free_drives
physical=$(tape_dev 0)
start_inner
virtual=$(tape_dev "$drives")
vtl_here load "$volume" 0 >/dev/null
wait_ready "$virtual"

mkdir -p "$work"/run /scratch/source
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
cat >"$work/dir.conf" <<CONF
Director {
  Name = lab-dir
  QueryFile = "/etc/bacula/scripts/query.sql"
  WorkingDirectory = "$work"
  PidDirectory = "$work/run"
  Password = "lab"
  Messages = Standard
  DirPort = 9101
  DirAddress = 127.0.0.1
}
Catalog { Name = Catalog; dbname = "bacula"; dbuser = ""; dbpassword = "" }
Client { Name = lab-fd; Address = 127.0.0.1; FDPort = 9102; Catalog = Catalog; Password = "lab" }
$(storage Virtual)
$(storage Physical)
Pool { Name = Default; Pool Type = Backup; Recycle = no; Volume Retention = 1 year }
FileSet { Name = Tree; Include { Options { signature = SHA1; sparse = yes }; File = /scratch/source } }
JobDefs { Name = Usual; Client = lab-fd; FileSet = Tree; Storage = Virtual; Pool = Default; Messages = Standard }
Job { Name = Backup; JobDefs = Usual; Type = Backup; Level = Full }
Job { Name = Restore; JobDefs = Usual; Type = Restore; Where = /scratch/restored }
Messages { Name = Standard; console = all, !skipped; append = "$work/log" = all, !skipped }
CONF
cat >"$work/sd.conf" <<CONF
Storage { Name = lab-sd; SDPort = 9103; SDAddress = 127.0.0.1; WorkingDirectory = "$work"; PidDirectory = "$work/run" }
Director { Name = lab-dir; Password = "lab" }
$(device Virtual "$virtual")
$(device Physical "$physical")
Messages { Name = Standard; director = lab-dir = all }
CONF
cat >"$work/fd.conf" <<CONF
FileDaemon { Name = lab-fd; FDport = 9102; FDAddress = 127.0.0.1; WorkingDirectory = "$work"; PidDirectory = "$work/run" }
Director { Name = lab-dir; Password = "lab" }
Messages { Name = Standard; director = lab-dir = all, !skipped }
CONF
cat >"$work/console.conf" <<CONF
Director { Name = lab-dir; DIRport = 9101; address = 127.0.0.1; Password = "lab" }
CONF
sqlite3 "$work/bacula.db" </usr/share/dbconfig-common/data/bacula-director-sqlite3/install/sqlite3 || fail "no catalogue"
for daemon in sd fd dir; do
	"bacula-$daemon" -c "$work/$daemon.conf" || fail "bacula-$daemon does not start"
done
asked=0
console() { # LINE...: what the console says to these
	said=/results/console-$((++asked)).txt
	printf '%s\n' "$@" messages quit | timeout 300 bconsole -c "$work/console.conf" >"$said" 2>&1 ||
		fail "the console: $(tail -n 20 "$said")"
}
newest() { sqlite3 "$work/bacula.db" "select max(JobId) from Job"; }
job() { # WORD...: a command of the console that starts a job, which has to come to a good end
	local before result
	before=$(newest)
	console "$* yes" "wait" "list jobs"
	result=$(sqlite3 -separator ' ' "$work/bacula.db" "select JobStatus, JobErrors, JobFiles, JobBytes from Job where JobId > ${before:-0}")
	say "$*: $result"
	[[ $result == T\ 0\ * ]] || fail "it ended with '$result': $(tail -n 40 "$said")"
}
tries=0
until bconsole -c "$work/console.conf" </dev/null >/tmp/console 2>&1; do
	((++tries < 60)) || fail "the director does not answer: $(cat /tmp/console)"
	sleep 0.25
done

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
for daemon in dir fd sd; do
	kill "$(cat "$work/run/bacula-$daemon".*.pid)"
done
echo "Bacula: a volume was exported, and restored straight from the physical drive"
