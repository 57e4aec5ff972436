#!/bin/bash
# The program itself on a machine with a tape library: vtl physical list names the drives and the changer by serial number, and says which
# drive sits where. The library is one of vtl's, as the guest has no other; it is asked as a real one would be.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../guest/lab.sh
source "$LAB"
vtl_here=/results/vtl
if ! "$vtl_here" --version >/dev/null 2>&1; then
	echo "the binary does not run in the guest: its C library is older than the host's"
	exit 77
fi
if "$vtl_here" physical list >/results/none 2>&1; then fail "there is nothing to be listed yet"; fi
says 'no tape drive' "$(cat /results/none)"
attach "$1"
mtx -f "$(changer_dev 0)" load 1 0
wait_ready "$(tape_dev 0)"
listed=$("$vtl_here" --format json physical list)
echo "$listed" >/results/physical.json
"$vtl_here" physical list
field() { # ROW-KEY VALUE FIELD: of the row in which the key has this value
	KEY=$1 VALUE=$2 FIELD=$3 perl -MJSON::PP -0777 -ne '
		for my $row (@{decode_json $_}) {
			next unless ($row->{$ENV{KEY}} // "") eq $ENV{VALUE};
			my $value = $row->{$ENV{FIELD}};
			print JSON::PP::is_bool($value) ? ($value ? "true" : "false") : ($value // "null");
		}' <<<"$listed"
}
for number in 0 1 2 3; do
	sg=$(tape_sg "$number")
	equal "$(field device "$sg" node)" "$(tape_dev "$number")" "the node of drive $number"
	equal "$(field device "$sg" serial)" "$(sg_vpd -p sn "$sg" | sed -n 's/.*Unit serial number: *//p' | tr -d ' ')" "the serial number of drive $number"
	equal "$(field device "$sg" library)" "$(changer_dev 0)" "the library of drive $number"
	equal "$(field device "$sg" drive)" "$number" "the place of drive $number"
done
equal "$(field device "$(tape_sg 0)" barcode)" VTL001L9 "what is in drive 0"
equal "$(field device "$(tape_sg 0)" loaded)" true "whether drive 0 is full"
equal "$(field device "$(tape_sg 1)" loaded)" false "whether drive 1 is full"
equal "$(field device "$(changer_dev 0)" drives)" 4 "the drives of the library"
echo "physical list: drives and changer found, each drive in its place"
