#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# import-layer --url: layers from an HTTP server that sends parts, or does not, or nothing that is of use. The layer is always the same, and of
# one that cannot be had nothing stays.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "layers from a URL" "$lacking" 70
	finish
fi
cd "$WORK" || exit
mkdir -p in/d
for i in $(seq 30); do head -c 40000 /dev/urandom >in/d/$i; done
tar -cf one.tar in
for i in 3 9 17 25; do head -c 30000 /dev/urandom >in/d/$i; done
tar -cf two.tar in
for i in one two; do
	"$BUILD/cstorage" chunked create -o $i.blob $i.tar >$i.told
done
toc_of() { sed -n 's/^TOC digest: //p' "$1.told"; }
size=$(stat -c %s two.blob)

serve() { # NAME: sets $url
	local port
	mkfifo "$1.port" "$1.life"
	python3 "$TOP/tests/unit/http_server.py" "$1.blob" <"$1.life" >"$1.port" 2>"$1.log" &
	exec {life}>"$1.life"
	read -r port <"$1.port"
	url=http://127.0.0.1:$port
}
serve two

cst() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
imports() { # WAY OPTION...: says how many bytes were fetched
	cst --debug import-layer -i two --toc-digest="$(toc_of two)" --url "$url/$1/x" "${@:2}" >said 2>&1 || { cat said; return 1; }
	cst diff --uncompressed two | cmp - two.tar || return
	sed -n 's/.*msg="\([0-9]*\) of [0-9]* bytes of the blob were fetched.*/\1/p' said
}
fetched() { # MIN MAX WAY OPTION...
	local n
	n=$(imports "${@:3}") || { echo "$n"; return 1; }
	cst delete-layer two && [ "$n" -ge "$1" ] && [ "$n" -le "$2" ] || { echo "$n bytes were fetched"; cat said; return 1; }
}
fails() { # MESSAGE WORDS...
	local said
	! said=$(cst import-layer -i two "${@:2}" 2>&1) && [[ $said == *"$1"* ]] || { echo "$said"; return 1; }
}
nothing_left() {
	[ "$(cst layers -q)" = one ] && cst check && [ -z "$(find "$G" -path '*/staging/*' -o -path '*/tempdirs/*' -o -path '*-layers/tmp/*')" ]
}
for DRIVER in $have_drivers; do
	new_store "http-$DRIVER" "$DRIVER"
	cst import-layer -i one --toc-digest="$(toc_of one)" -f one.blob >/dev/null
	for way in good single first-only refuses-many reverses redirect; do
		case_ "$DRIVER, $way: little is fetched" fetched 120000 $((size / 4)) $way
	done
	case_ "$DRIVER: a server that wants a header" fetched 120000 $((size / 4)) token --header "Authorization: Bearer token"
	printf 'X-Other: 1\r\nAuthorization: Bearer token\n' >headers
	case_ "$DRIVER: headers of a file" fetched 120000 $((size / 4)) token --header @headers
	# What cannot be done in parts.
	case_ "$DRIVER, whole: all is fetched, once" fetched "$size" "$size" whole
	case_ "$DRIVER: without a TOC all is fetched" fetched "$size" "$size" good --toc-digest=
	for way in 416 500 501 shifted no-range backwards short silent endless-parts redirect-loop redirect-to-file nothing; do
		case_ "$DRIVER, $way: the error names the URL" fails "$url/$way/x" --toc-digest="$(toc_of two)" --url "$url/$way/x"
	done
	case_ "$DRIVER: nobody listens" fails "http://127.0.0.1:1/x: " --url http://127.0.0.1:1/x
	case_ "$DRIVER: no file of headers" fails nosuch --url "$url/good/x" --header @nosuch
	case_ "$DRIVER: no header" fails "not of the form NAME: VALUE" --url "$url/good/x" --header nonsense
	case_ "$DRIVER: no URL" fails 'no http:// or https:// URL' --url two.blob
	case_ "$DRIVER: a URL and a file" fails "either --url or --file" --url "$url/good/x" -f two.blob
	case_ "$DRIVER: nothing stays" nothing_left
done
exec {life}>&-
wait
finish
