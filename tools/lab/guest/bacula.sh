# Bacula as the checks run it: sourced from "$(dirname "$LAB")/bacula.sh". Its configuration and state are in $work; `dir.conf` and `sd.conf` are begun
# here, and the check adds its storages, devices, pools and jobs.
work=/scratch/bacula

say() { echo "-- $*"; }
fail() {
	echo "FAILED: $*"
	tail -n 60 "$work/log" 2>/dev/null || true
	exit 1
}

mkdir -p "$work"/run /scratch/source
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
FileSet {
  Name = Tree
  Include { Options { signature = SHA1; sparse = yes }; File = /scratch/source }
}
Messages { Name = Standard; console = all, !skipped; append = "$work/log" = all, !skipped }
CONF
cat >"$work/sd.conf" <<CONF
Storage { Name = lab-sd; SDPort = 9103; SDAddress = 127.0.0.1; WorkingDirectory = "$work"; PidDirectory = "$work/run" }
Director { Name = lab-dir; Password = "lab" }
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

# start_bacula: makes the catalogue, starts the daemons, and waits until the director answers.
start_bacula() {
	local daemon tries=0
	sqlite3 "$work/bacula.db" </usr/share/dbconfig-common/data/bacula-director-sqlite3/install/sqlite3 || fail "no catalogue"
	for daemon in sd fd dir; do
		"bacula-$daemon" -c "$work/$daemon.conf" || fail "bacula-$daemon does not start"
	done
	until bconsole -c "$work/console.conf" </dev/null >/tmp/console 2>&1; do
		((++tries < 60)) || fail "the director does not answer: $(cat /tmp/console)"
		sleep 0.25
	done
}

stop_bacula() {
	local daemon
	for daemon in dir fd sd; do
		kill "$(cat "$work/run/bacula-$daemon".*.pid)"
	done
}

asked=0
# console LINE...: what the console says to these, in the file $said.
console() {
	said=/results/console-$((++asked)).txt
	printf '%s\n' "$@" messages quit | timeout 300 bconsole -c "$work/console.conf" >"$said" 2>&1 ||
		fail "the console: $(tail -n 20 "$said")"
}
newest() { sqlite3 "$work/bacula.db" "select max(JobId) from Job"; }
# job WORD...: a command of the console that starts a job, which has to come to a good end.
job() {
	local start=$SECONDS before result
	before=$(newest)
	console "$* yes" "wait" "list jobs"
	result=$(sqlite3 -separator ' ' "$work/bacula.db" "select JobStatus, JobErrors, JobFiles, JobBytes from Job where JobId > ${before:-0}")
	say "$*: $result, $((SECONDS - start)) s"
	[[ $result == T\ 0\ * ]] || fail "it ended with '$result': $(tail -n 40 "$said")"
}
