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

mkfifo life
exec {life}<>life
serve() { # [PEM]: sets $port; all servers end when `life` is closed
	rm -f port
	mkfifo port
	python3 "$TOP/tests/unit/http_server.py" two.blob "$@" <life >port 2>>server.log {life}>&- &
	read -r port <port
}
serve
url=http://127.0.0.1:$port

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

# ---- TLS ----

authority() { # NAME
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.pem" -subj "/CN=$1" -days 2 2>>openssl.log
}
certificate() { # NAME CA DAYS ADDRESS: NAME.pem has key and certificate
	openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>>openssl.log &&
		echo "subjectAltName=$4" >"$1.more" &&
		openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days "$3" -extfile "$1.more" -out "$1.cert" 2>>openssl.log &&
		cat "$1.key" "$1.cert" >"$1.pem"
}
refuses() { # REASON CA
	local said
	! said=$(cst import-layer -i two --toc-digest="$(toc_of two)" --url "$url/good/x" ${2:+--ca-file "$2"} 2>&1) || return
	[[ $said == *"$url/good/x: "* && ${said,,} =~ $1 ]] || { echo "$said"; return 1; }
}
tls_case() { # TITLE PEM COMMAND...
	serve "$2"
	url=https://127.0.0.1:$port
	case_ "TLS, $1" "${@:3}"
}
if ! command -v openssl >/dev/null; then
	skip "TLS" "there is no openssl" 7
elif ! { authority right && authority wrong && certificate good right 1 IP:127.0.0.1 && certificate other right 1 DNS:elsewhere.test &&
	certificate old right -1 IP:127.0.0.1; }; then
	skip "TLS" "openssl makes no certificates: $(tail -n 1 openssl.log)" 7
else
	tls_case "the right authority: little is fetched" good.pem fetched 120000 $((size / 4)) good --ca-file right.pem
	tls_case "the authorities of the system do not know it" good.pem refuses certificate ""
	tls_case "another authority" good.pem refuses certificate wrong.pem
	tls_case "a certificate of another host" other.pem refuses "host ?name|not match|127.0.0.1'" right.pem
	tls_case "an expired certificate" old.pem refuses expired right.pem
	tls_case "no such file of authorities" good.pem refuses "certificate|cafile|nosuch" nosuch.pem
	case_ "TLS: nothing stays" nothing_left
fi
exec {life}>&-
wait
finish
