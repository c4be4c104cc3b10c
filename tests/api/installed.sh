#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The library as somebody gets it who only has the installed files: every header by itself, as C99 and as C++, the examples
# compiled with what pkg-config says, against the shared and the static library, and run.
. "$(dirname "$0")/../lib.sh"
lacking=$(lacks_command cc meson pkg-config tar readelf)
if [ -n "$lacking" ]; then
	skip "an installed library" "$lacking" 4
	finish
fi
prefix=$WORK/prefix
if ! case_ "it can be installed" env DESTDIR="$prefix" meson install -C "$BUILD" --no-rebuild --quiet; then
	finish
fi
folder=$(dirname "$(find "$prefix" -name libcstorage.pc)")
library=$(dirname "$folder")
include=$(dirname "$(find "$prefix" -type d -path '*/include/cstorage')")
export PKG_CONFIG_SYSROOT_DIR=$prefix PKG_CONFIG_PATH=$folder LD_LIBRARY_PATH=$library
sanitizers=$(nm -D "$library/libcstorage.so.0" 2>/dev/null | grep -oE '__(asan|tsan)_init' | sort -u | sed 's/__asan_init/-fsanitize=address,undefined/; s/__tsan_init/-fsanitize=thread/')

# ---- headers ----
for header in "$include"/cstorage/*.h; do
	name=$(basename "$header")
	printf '#include <cstorage/%s>\nint main(void);\nint main(void)\n{\n\treturn 0;\n}\n' "$name" >"$WORK/header.c"
	case_ "$name alone, C99" cc -std=c99 -pedantic -Wall -Wextra -Wstrict-prototypes -Wundef -Werror -I"$include" -fsyntax-only "$WORK/header.c"
	if [ -z "$(lacks_command c++)" ]; then
		case_ "$name alone, C++" c++ -x c++ -std=c++11 -pedantic -Wall -Wextra -Werror -I"$include" -fsyntax-only "$WORK/header.c"
	else
		skip "$name alone, C++" "$(lacks_command c++)"
	fi
done
# Each struct with an _INIT macro can be made with it.
{
	echo '#include <cstorage/cstorage.h>'
	echo 'int main(void)'
	echo '{'
	sed -n 's/^#define CST_\([A-Z_]*\)_INIT .*/\1/p' "$include"/cstorage/*.h | while read -r name; do
		lower=$(printf %s "$name" | tr A-Z a-z)
		printf '\tcst_%s %s = CST_%s_INIT;\n\tif (%s.size != sizeof(%s)) return 1;\n' "$lower" "$lower" "$name" "$lower" "$lower"
	done
	echo '	return 0;'
	echo '}'
} >"$WORK/init.c"
case_ "_INIT macros, C99" sh -c "cc -std=c99 -pedantic -Wall -Wextra -Werror -I'$include' '$WORK/init.c' -o '$WORK/init' && '$WORK/init'"
[ -n "$(lacks_command c++)" ] || case_ "_INIT macros, C++" c++ -x c++ -std=c++20 -Wall -Werror -I"$include" -fsyntax-only "$WORK/init.c"
# Padding is where a later member would hide from a program that is older than it.
printf '#include <cstorage/cstorage.h>\n' >"$WORK/padded.c"
if cc -Wpadded -Werror -x c -fsyntax-only - </dev/null 2>/dev/null; then
	case_ "no struct has padding" cc -Wpadded -Werror -I"$include" -fsyntax-only "$WORK/padded.c"
else
	skip "no struct has padding" "the compiler has no -Wpadded"
fi
# A program that knows one member less or more than the library has (tests/unit/test_options.c does it for every function).
age() { # NAME SED: examples/list-json.c compiled against headers changed so, and run
	mkdir -p "$WORK/$1"
	cp -r "$include/cstorage" "$WORK/$1/" && sed -i "$2" "$WORK/$1/cstorage/store.h" || return 1
	cmp -s "$include/cstorage/store.h" "$WORK/$1/cstorage/store.h" && return 1
	cc -fsanitize=address -std=c99 -D_POSIX_C_SOURCE=200809L -I"$WORK/$1" "$TOP/examples/list-json.c" -L"$library" -lcstorage -o "$WORK/$1/list" &&
		"$OURS" -g "$WORK/aged" -R "$WORK/aged-run" -s vfs images >/dev/null &&
		printf '[storage]\ndriver="vfs"\ngraphroot="%s"\nrunroot="%s"\n' "$WORK/aged" "$WORK/aged-run" >"$WORK/aged.conf" &&
		CONTAINERS_STORAGE_CONF=$WORK/aged.conf "$WORK/$1/list" | grep -q '"layers": \['
}
if [ -n "$sanitizers" ] || ! echo 'int main(void){return 0;}' | cc -fsanitize=address -x c - -o "$WORK/asan" 2>/dev/null; then
	skip "a program of another age" "the address sanitizer, and a library without" 2
else
	case_ "a program that was compiled before the last member" age older '/\*graph_root_origin, \*run_root_origin;/d'
	case_ "a program that was compiled after the next member" age newer 's/^} cst_store_options;/\tconst char *added_later;\n&/'
fi

# ---- examples ----
compile() { # NAME: with the shared library, as the comment on top of the example says
	cc $sanitizers -std=c99 -D_POSIX_C_SOURCE=200809L -pedantic -Wall -Wextra -Werror "$TOP/examples/$1.c" \
		$(pkg-config --cflags --libs libcstorage) -o "$WORK/$1"
}
compile_static() {
	cc $sanitizers -std=c99 -D_POSIX_C_SOURCE=200809L "$TOP/examples/$1.c" $(pkg-config --cflags libcstorage) "$library/libcstorage.a" \
		$(pkg-config --static --libs libcstorage | sed 's/-lcstorage//') -o "$WORK/$1-static"
}
# Nothing but libc is linked, and pkg-config looks for no other library's file: here it could not find one.
alone() { PKG_CONFIG_LIBDIR=$folder PKG_CONFIG_PATH='' pkg-config "$@" libcstorage; }
says_alone() { alone --cflags && alone --libs && alone --static --libs; }
compile_wholly_static() {
	cc -static -std=c99 -D_POSIX_C_SOURCE=200809L "$TOP/examples/list-json.c" $(alone --static --cflags --libs) -o "$WORK/list-json-wholly-static" &&
		! readelf -d "$WORK/list-json-wholly-static" | grep NEEDED
}
lacks_static_libc() {
	echo 'int main(void) { return 0; }' >"$WORK/empty.c"
	[ -z "$sanitizers" ] || { echo "sanitizers are never static"; return; }
	cc -static "$WORK/empty.c" -o "$WORK/empty" 2>/dev/null || echo "no static libc"
}
# The man page's own example, as it stands there.
awk '/^# EXAMPLE/ { on = 1 } /^# COMPAT/ { on = 0 } on && /^    / { print substr($0, 5) } on && /^$/ { print "" }' \
	"$TOP/docs/man/libcstorage.3.md" | sed "s,/var/tmp/example,$WORK/example," >"$WORK/man.c"
man_page() {
	cc $sanitizers -std=c99 -pedantic -Wall -Wextra -Werror "$WORK/man.c" $(pkg-config --cflags --libs libcstorage) -o "$WORK/man" &&
		"$WORK/man" <"$WORK/layer.tar" | grep -qE '^[0-9a-f]{64} sha256:[0-9a-f]{64}$'
}
tree=$WORK/tree
mkdir -p "$tree/etc"
echo box >"$tree/etc/hostname"
tar -C "$tree" -cf "$WORK/layer.tar" .
gzip -k "$WORK/layer.tar"
live() { # PROGRAM DRIVER LAYER: the whole life of a layer, and nothing is left of it
	rm -rf "$WORK/store"
	"$1" "$WORK/store" "$3" "$WORK/changes.tar" "$2" >"$WORK/said" 2>&1 || { cat "$WORK/said"; return 1; }
	grep -q '^  DiffID   sha256:' "$WORK/said" && grep -q 'name     localhost/example:latest' "$WORK/said" || { cat "$WORK/said"; return 1; }
	[ "$(tar -xOf "$WORK/changes.tar" hello)" = "hello from the container" ] || return 1
	[ -z "$(find "$WORK/store/root" -name hostname)" ]
}
case_ "the example of libcstorage(3)" man_page
# The README's: lists what is there, says what is wrong, loses no memory.
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$TOP/README.md" >"$WORK/readme.c"
readme() {
	cc ${sanitizers:--fsanitize=address} -std=c99 -pedantic -Wall -Wextra -Werror "$WORK/readme.c" $(pkg-config --cflags --libs libcstorage) -o "$WORK/readme" || return 1
	"$OURS" -g "$WORK/readme-store" -R "$WORK/readme-run" -s vfs import-layer -i one -f "$WORK/layer.tar" >/dev/null
	printf '[storage]\ndriver="vfs"\ngraphroot="%s"\nrunroot="%s"\n' "$WORK/readme-store" "$WORK/readme-run" >"$WORK/readme.conf"
	[ "$(CONTAINERS_STORAGE_CONF=$WORK/readme.conf "$WORK/readme")" = one ] || return 1
	rm -r "$WORK/readme-store"
	! CONTAINERS_STORAGE_CONF=$WORK/readme.conf "$WORK/readme" 2>"$WORK/said" && grep -q readme-store "$WORK/said" && ! grep -q Sanitizer "$WORK/said" &&
		[ ! -e "$WORK/readme-store" ]
}
if [ -n "$sanitizers" ] || [ -e "$WORK/asan" ]; then
	case_ "the example of the README" readme
else
	skip "the example of the README" "the address sanitizer"
fi
for name in import-and-run list-json; do
	[ -e "$TOP/examples/$name.c" ] || fail "there is no example $name"
	case_ "$name compiles" compile $name
	case_ "$name compiles, static" compile_static $name
done
case_ "pkg-config asks for no other library" says_alone
lacking=$(lacks_static_libc)
if [ -z "$lacking" ]; then
	case_ "pkg-config --static links a program with -static" compile_wholly_static
else
	skip "pkg-config --static links a program with -static" "$lacking"
fi
case_ "the life of a layer, vfs" live "$WORK/import-and-run" vfs "$WORK/layer.tar"
case_ "the life of a layer, vfs, static, compressed" live "$WORK/import-and-run-static" vfs "$WORK/layer.tar.gz"
lacking=$(lacks_overlay)
if [ -z "$lacking" ]; then
	case_ "the life of a layer, overlay" live "$WORK/import-and-run" overlay "$WORK/layer.tar"
else
	skip "the life of a layer, overlay" "$lacking"
fi
from_python() {
	local said want
	said=$(python3 "$TOP/examples/from-python.py" "$WORK/python" "$WORK/layer.tar" 2>&1) || { echo "$said"; return 1; }
	want="^layer [0-9a-f]{64} is $(sha256sum <"$WORK/layer.tar" | cut -d' ' -f1)
threads saw 1 layer
our own stream failed: .*the network is down
it is no layer: there is no layer \"nosuch\"$"
	[[ $said =~ $want ]] || { echo "$said"; return 1; }
}
lacking=$(lacks_command python3)
[ -z "$sanitizers" ] || lacking="sanitizers have to be loaded before python"
if [ -z "$lacking" ]; then
	case_ "from Python: streams, errors, threads, a struct of which it knows the beginning" from_python
else
	skip "from Python" "$lacking"
fi
says_why() { ! "$WORK/import-and-run" "$WORK/store" "$TOP/README.md" "$WORK/changes.tar" vfs >/dev/null 2>"$WORK/said" && grep -q . "$WORK/said"; }
case_ "what is no tar is refused with a message" says_why

listed() {
	set -e
	"$OURS" --graph "$WORK/store" --run "$WORK/run" --storage-driver vfs import-layer -i one -n first -f "$WORK/layer.tar" 2>/dev/null ||
		"$OURS" --graph "$WORK/store" --run "$WORK/run" --storage-driver vfs create-layer -i one -n first
	"$OURS" --graph "$WORK/store" --run "$WORK/run" --storage-driver vfs create-image -i two -n second one
	"$OURS" --graph "$WORK/store" --run "$WORK/run" --storage-driver vfs create-container -i three -n third second
	"$WORK/list-json" "$WORK/store" "$WORK/run" vfs >"$WORK/list.json"
	[ ! -e "$WORK/list-json-wholly-static" ] || "$WORK/list-json-wholly-static" "$WORK/store" "$WORK/run" vfs | cmp - "$WORK/list.json"
	python3 - "$WORK/list.json" <<-X
		import json, sys
		all = json.load(open(sys.argv[1]))
		assert [x["id"] for x in all["images"]] == ["two"] and all["images"][0]["layer"] == "one", all
		assert all["containers"][0]["names"] == ["third"] and all["containers"][0]["image"] == "two", all
		assert {x["id"] for x in all["layers"]} == {"one", all["containers"][0]["layer"]}, all
	X
}
rm -rf "$WORK/store"
if [ -z "$(lacks_command python3)" ]; then
	case_ "the lists as JSON" bash -c "$(declare -f listed); WORK='$WORK' OURS='$OURS' listed"
else
	skip "the lists as JSON" "$(lacks_command python3)"
fi
finish
