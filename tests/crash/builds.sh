# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Builds with faults to order, beside $BUILD; after lib.sh.

# Brings a build with these options up to date, with operation.c beside the command.
build() { # DIR OPTION...
	local dir=$1
	shift
	[ -f "$dir/build.ninja" ] || meson setup "$dir" "$TOP" -Dtests=false -Dman=disabled -Doptimization=1 "$@" || return
	ninja -C "$dir" || return
	${CC:-cc} -I"$TOP/include" "$TOP/tests/crash/operation.c" "$TOP/tests/crash/answers.c" -o "$dir/operation" -L"$dir" -lcstorage -Wl,-rpath,"$dir"
}
# The command under the name by which it speaks as the Go command does, and `operation` beside it.
named() { # DIR
	mkdir -p "$WORK/$(basename "$1")"
	ln -sf "$1/cstorage" "$WORK/$(basename "$1")/containers-storage"
	ln -sf "$1/operation" "$WORK/$(basename "$1")/operation"
	echo "$WORK/$(basename "$1")/containers-storage"
}
