#!/bin/bash
# LTFS, the reference implementation, as its users run it: a cartridge is formatted, mounted, filled with a tree, unmounted, checked, mounted
# again and compared, with and without logical block protection. For each model of drive a library is made.
#   full-ltfs.sh IQN DIR [PROFILE:TYPE]...
# DIR is on the machine outside: an LTFS that was installed there with the prefix /opt/ltfs, with the libraries in DIR/lib that the guest does
# not have (libfuse.so.2, libicuuc, libicudata, libxml2). Without it the check is skipped.
# shellcheck disable=SC2119 # detach from all
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
directory=${2:-}
models=("${@:3}")
((${#models[@]})) || models=(
	ibm-ult3580-td5:lto5 ibm-ult3580-td6:lto6 ibm-ult3580-td7:lto7 ibm-ult3580-td8:lto8 ibm-ult3580-td9:lto9
	hp-ultrium-5:lto5 hp-ultrium-6:lto6 hp-ultrium-7:lto7 hpe-ultrium-8:lto8 hpe-ultrium-9:lto9
)
failed=0

if [[ -z $directory ]]; then
	echo "skipped: no LTFS is given: tools/lab-run full-ltfs DIR"
	exit 77
fi
mkdir -p /opt/ltfs /tree /mnt/tape
mount -t hostfs none /opt/ltfs -o "ro,$directory" || exit
modprobe fuse || {
	echo "skipped: this kernel has no FUSE"
	exit 77
}
[[ -e /dev/fuse ]] || mknod /dev/fuse c 10 229
export LD_LIBRARY_PATH=/opt/ltfs/lib PATH=/opt/ltfs/bin:$PATH

# check WHAT COMMAND...: what the command says is kept in the results.
check() {
	local what=$1 name
	shift
	name=/results/ltfs-$model-${what//[^a-z0-9]/-}.txt
	if "$@" >"$name" 2>&1; then
		echo "ok      $model: $what"
	else
		failed=1
		echo "FAILED  $model: $what"
		tail -n 25 "$name"
	fi
}

# mounted LOG OPTION...: mounts the cartridge in the drive; 60 s at most.
mounted() {
	local log=$1 deadline=$((SECONDS + 60))
	shift
	ltfs -f -o "devname=$sg" "$@" /mnt/tape >"$log" 2>&1 &
	ltfs_process=$!
	until mountpoint -q /mnt/tape; do
		if ! kill -0 "$ltfs_process" 2>/dev/null || ((SECONDS > deadline)); then
			cat "$log"
			return 1
		fi
		sleep 0.2
	done
}

# consistent: ltfsck says 0, or 1 for "treat it as success", which it says of every volume that it has looked at.
consistent() {
	ltfsck "$sg"
	(($? <= 1))
}

# unmounted LOG: LTFS writes its index then, and says in its log what went wrong.
unmounted() {
	umount /mnt/tape || return
	wait "$ltfs_process" || return
	cat "$1"
	! grep -E 'LTFS[0-9]+E' "$1"
}

compared() { diff -r --no-dereference /tree /mnt/tape/tree; }

# cycle NAME OPTION...: what users do with a cartridge, on one that is there.
cycle() {
	local name=$1 before=$failed log=/results/ltfs-$model-$1
	shift
	check "$name: mkltfs" mkltfs -d "$sg" -f -n "$name" "${make_options[@]}"
	check "$name: mount" mounted "$log-mount-log.txt" "$@"
	mountpoint -q /mnt/tape || return
	check "$name: copy a tree" cp -a /tree /mnt/tape/
	check "$name: read a part" head -c 100 /mnt/tape/tree/text
	check "$name: rename and delete" eval 'mv /mnt/tape/tree/text /mnt/tape/renamed && mv /mnt/tape/renamed /mnt/tape/tree/text && cp /tree/text /mnt/tape/x && rm /mnt/tape/x'
	check "$name: compare while mounted" compared
	check "$name: unmount" unmounted "$log-mount-log.txt"
	check "$name: ltfsck" consistent
	check "$name: mount again" mounted "$log-again-log.txt" "$@"
	check "$name: compare" compared
	check "$name: unmount again" unmounted "$log-again-log.txt"
	check "$name: list of indexes" ltfsck -l "$sg"
	((failed == before))
}

mkdir -p /tree/deep/deeper
cp -a /usr/bin/[a-d]* /tree/deep/
head -c 3000000 /dev/urandom >/tree/deep/deeper/random
: >/tree/empty
seq 100000 >/tree/text
ln -s text /tree/link

number=0
for each in "${models[@]}"; do
	model=${each%%:*} type=${each##*:}
	number=$((number + 1))
	vtl library create "lib$number" --profile ibm-3573-tl --drives "$model:1" --slots 4 --mail 0 >/tmp/made || {
		cat /tmp/made
		exit 1
	}
	iqn=$(sed -n 's/^target: //p' /tmp/made)
	vtl tape create --count 1 --library "lib$number" --prefix "LT$number" --type "$type" >/tmp/made || {
		cat /tmp/made
		exit 1
	}
	attach "$iqn" >/dev/null || exit
	mtx -f "$(changer_dev 0)" load 1 0
	sg=$(tape_sg 0)
	wait_ready "$(tape_dev 0)"
	make_options=()
	cycle plain
	# LTFS protects blocks on drives of IBM only: told to do so on others, it writes checksums that the drive is not told of.
	if [[ $model == ibm-* ]]; then
		make_options=(-o scsi_lbprotect=on)
		cycle protected -o scsi_lbprotect=on
	fi
	detach >/dev/null
done
exit $failed
