#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a packager does: the tarball of `make dist` is unpacked, built and installed, on a machine that seems to have no package installed.
# apt-get, dpkg-query, sudo and ldconfig are scripts of this test.
. "$(dirname "$0")/../lib.sh"
lacking=$(lacks_command make meson ninja tar xz git cc)
[ -n "$lacking" ] || git -C "$TOP" rev-parse HEAD >/dev/null 2>&1 || lacking="no clone that git can read"
if [ -n "$lacking" ]; then
	skip "a release" "$lacking" 21
	finish
fi
clone=$WORK/clone release=$WORK/release prefix=$WORK/prefix bin=$WORK/bin calls=$WORK/calls
mkdir -p "$release" "$bin"

fake() { # NAME, and its script on stdin
	{
		printf '#!/bin/sh\ncalls=%s prefix=%s\n' "$calls" "$prefix"
		cat
	} >"$bin/$1"
	chmod +x "$bin/$1"
}
fake apt-get <<<'echo "apt-get $*" >>$calls; exit 1'
fake sudo <<<'echo "sudo $*" >>$calls; exit 1'
fake dpkg-query <<<'exit 1'
# Lists what $prefix.known names as the loader's directories.
fake ldconfig <<<'case $* in *-N*) sed "s/$/: (from a test)/" "$prefix.known" 2>/dev/null ;; *) echo "ldconfig $*" >>$calls ;; esac'
# Nothing of this run's own make, not even the variables of its command line, reaches the one that is tested.
make_() { env -i PATH="$bin:$PATH" HOME="$HOME" LC_ALL=C make --no-print-directory "$@"; }
in_release() { make_ -C "$release" MESON_OPTIONS='-Dtests=false -Dman=disabled -Dbuildtype=plain' "$@"; }
calls_of() { # COMMAND...: what it calls of the above
	rm -f "$calls"
	"$@" >"$WORK/said" 2>&1
	[ ! -e "$calls" ] || cat "$calls"
}

# ---- cloned ----
# With what is not committed yet.
cloned() {
	git clone -q "$TOP" "$clone" && git -C "$TOP" diff --binary HEAD | git -C "$clone" apply --allow-empty &&
		git -C "$clone" -c user.name=test -c user.email=test@localhost commit -q -a --allow-empty -m "as it is"
}
in_clone() { make_ -C "$clone" "$@"; }
case_ "a clone" cloned || finish
case_ "building a clone installs nothing" test -z "$(calls_of in_clone dist)" || cat "$WORK/said"
case_ "make dist" test -e "$clone"/build/meson-dist/*.tar.xz || finish
case_ "testing a clone installs what is missing" test -n "$(calls_of in_clone deps-test)"
case_ "warnings are errors in a clone" grep -q '"name": "werror", "value": true' "$clone/build/meson-info/intro-buildoptions.json"

# ---- built ----
case_ "the tarball can be unpacked" tar -C "$release" --strip-components=1 -xf "$clone"/build/meson-dist/*.tar.xz || finish
echo '#warning a newer compiler has more to say' >>"$release/src/base/mem.c"
case_ "building a release installs nothing" test -z "$(calls_of in_release)" || cat "$WORK/said" "$calls"
case_ "warnings are no errors" test -x "$release/build/cstorage"
case_ "the warning was there" grep -q 'newer compiler' "$WORK/said"
case_ "testing a release installs nothing" test -z "$(calls_of in_release deps-test)"
case_ "but it does if told so" test -n "$(calls_of in_release deps-test NO_DEPS=)"

# ---- installed ----
installs_to() { # DESTDIR FOLDER ARGUMENT...: this file and no other place
	in_release install DESTDIR="$1" "${@:3}" && test -x "$1$2/bin/cstorage" && test "$(cd "$1" && find . -path '*/bin/cstorage')" = ".$2/bin/cstorage"
}
says() { # TEXT COMMAND...
	"${@:2}" >"$WORK/said" 2>&1 && grep -qF -- "$1" "$WORK/said" || { cat "$WORK/said"; return 1; }
}
libdir() { dirname "$(find "$prefix" -name libcstorage.so)"; }
case_ "PREFIX is asked for when the build folder exists" installs_to "$WORK/one" /usr PREFIX=/usr
case_ "its pkg-config file knows" grep -qx prefix=/usr "$(find "$WORK/one" -name libcstorage.pc)"
case_ "PREFIX stays" installs_to "$WORK/two" /usr
case_ "a DESTDIR is left alone" test -z "$(calls_of installs_to "$WORK/three" /opt/cst PREFIX=/opt/cst/)"
case_ "licences are installed" test -s "$WORK/one/usr/share/doc/cstorage/NOTICE" -a -s "$WORK/one/usr/share/doc/cstorage/LICENSE"
echo /elsewhere >"$prefix.known"
case_ "a loader that does not look there" says LD_LIBRARY_PATH in_release install PREFIX="$prefix"
libdir >"$prefix.known"
if [ -z "$(lacks_root)" ]; then
	case_ "ldconfig is run" test "$(calls_of in_release install)" = "ldconfig "
else
	case_ "ldconfig is asked for" says "after 'ldconfig'" in_release install
fi

# ---- named ----
# The libraries that are loaded are named for packagers in README.md, and so is no other.
named() {
	diff <(grep -ao '"soname":\[[^]]*\]' "$BUILD/libcstorage.so" | grep -o 'lib[^"]*' | sort -u) \
		<(sed -n '/^| loaded/,/^$/p' "$TOP/README.md" | grep -o 'lib[a-z0-9-]*\.so\.[0-9.]*' | sort -u)
}
case_ "README names the libraries that are loaded" named
# Who writes the same bytes as klauspost/compress is named in NOTICE, and says so.
owed() {
	local file
	for file in "$TOP"/src/*/deflate*.[ch]; do
		grep -q '^/\* SPDX-License-Identifier: Apache-2.0 AND BSD-3-Clause \*/$' "$file" || { echo "$file"; return 1; }
	done
	grep -q "$(dirname "${file#"$TOP/"}")/deflate\*\.c" "$TOP/NOTICE"
}
case_ "NOTICE knows the deflate encoder" owed
finish
