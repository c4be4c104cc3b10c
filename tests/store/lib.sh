# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A store in a state that few see, and what each command makes of it. A case is a function that prints what it saw; `expect`
# runs it with ours and with containers-storage, on a fresh store each, and compares with the text it reads.
#
#   row NUMBER DRIVERS WHAT    the next ones are about row_NUMBER, on these drivers
#   expect WHO... <<'X'        who must print the text: ours, 1.43, 1.64, or go (any version of it)
#
# A driver that this machine lacks, and a containers-storage of another version than those named, are left out: what is
# written down of one version says nothing of the next. ROW=19 runs that one only.
. "$(dirname "${BASH_SOURCE[0]}")/../interop/lib.sh"

# IDs that are easily told apart: a letter 64 times, shown as the letter.
short_ids=
for letter in A B C D M W; do
	printf -v "$letter" "%64s" ""
	declare "$letter=${!letter// /$letter}"
	short_ids+="s/$letter{64}/$letter/g;"
done
have_drivers=$(drivers)
go_version=
[ -z "$GO" ] || go_version=$(go_version)

# The command that is tried, on the store in use.
cs() { timeout -k 5 60 "$CS" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
# What it prints, on both streams, and how it ends.
say() {
	local code=0
	cs "$@" 2>&1 || code=$?
	[ $code = 0 ] || echo "rc $code"
}
layer_ids() { # OPTION...; 1.43 has no layers -q
	say "$@" layers -j | sed 's/},{/},\n{/g' | sed -E 's/^[^"]*"id":"([^"]*)".*/\1/'
}
quiet() { cs "$@" >/dev/null 2>&1; }
# The file of the records of one kind, written by hand and read back.
records() { echo "$G/$DRIVER-$1/$1.json"; }
write_records() { # KIND TEXT
	mkdir -p "$G/$DRIVER-$1"
	printf %s "$2" >"$(records "$1")"
}
# Places, long IDs, times and the driver's name, which differ from run to run.
tidy() {
	sed -E "s|$WORK/row[a-z0-9._-]*/|W/|g; s/\\b$DRIVER\\b/DRV/g; $short_ids"'s/"created":"202[0-9T:.-]*Z"/"created":NOW/g
		s/temp-dir-[0-9]+/temp-dir-N/g
		$a\'
}
number='' about='' row_drivers=''
row() { number=$1 row_drivers=$2 about=$3; }
run_row() { # WHO DRIVER: prints what it saw
	[ "$1" = ours ] && CS=$OURS || CS=$GO
	new_store "row$number-$1-$2" "$2"
	cd "$WORK/row$number-$1-$2" || return
	"row_$number" 2>&1 | tidy
	cd "$WORK" && remove_tree "$WORK/row$number-$1-$2"
}
expect() {
	local want=$WORK/want-$number got who driver
	cat >"$want"
	[ "${ROW-$number}" = "$number" ] || return
	for who; do
		case $who in
		ours) ;;
		go) [ -n "$go_version" ] || continue ;;
		*) [ "$who" = "$go_version" ] || continue ;;
		esac
		for driver in $row_drivers; do
			[[ " ${have_drivers//$'\n'/ } " == *" $driver "* ]] || { skip "row $number ($driver): $about" "no $driver here"; continue; }
			got=$WORK/got-$number-$who-$driver
			(run_row "$who" "$driver") >"$got"
			same "row $number, $who, $driver: $about" "$want" "$got"
		done
	done
}
