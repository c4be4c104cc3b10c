#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pull in parts takes files from a repository that the real ostree made, and only those whose content is right.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_command ostree mkfs.xfs)
lacking=${lacking:-$(lacks_overlay)}
[ -n "$lacking" ] || disk xfs -m reflink=1 || lacking="no xfs with reflinks here"
if [ -n "$lacking" ]; then
	skip "files of ostree repositories" "$lacking" 10
	finish
fi
begin "files of ostree repositories" 10
cd "$D" || exit

# The files belong to others and have modes of their own: neither is in an ostree object of the mode bare-user.
mkdir -p tree/usr/bin && chmod 0750 tree/usr
head -c 900000 /dev/urandom >tree/usr/bin/large && chmod 4711 tree/usr/bin/large && chown 7:8 tree/usr/bin/large
head -c 300000 /dev/urandom >tree/usr/other
tar -C tree -cf tree.tar .
"$BUILD/cstorage" chunked create -j -o blob tree.tar >blob.json
toc=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["toc-digest"])' <blob.json)

configure() { # REPOSITORY: a new store
	G=$D/$1.root R=$D/$1.run DRIVER=overlay
	printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n[storage.options.pull_options]\nenable_partial_images = "true"\nostree_repos = "%s"\n' \
		"$G" "$R" "$D/$1" >"$WORK/storage.conf"
}
cs() { timeout -k 5 120 "$BUILD/cstorage" "$@"; }
repository() { # MODE: ostree links objects by their content only if told to, and where it can clone
	ostree --repo="$1" init --mode="$1" &&
		ostree --repo="$1" config set core.payload-link-threshold 1 &&
		ostree --repo="$1" commit -b main --tree=dir=tree >/dev/null &&
		[ -n "$(find "$1" -name '*.payload-link')" ]
}
reuses() { # BYTES
	local said
	said=$(cs --debug import-layer -i pulled --toc-digest "$toc" -f blob 2>&1) && grep -q "[ ,]$1 bytes came from other layers" <<<"$said" ||
		{ echo "$said"; false; }
}
same() { # as an import of the tar: it is no donor, since it has no TOC
	cs import-layer -i whole -f tree.tar && diff <(listing "$(layer_root whole)") <(listing "$(layer_root pulled)")
}
spoil() { # MODE: as a failing disk does, without a word
	local link
	for link in "$1"/objects/*/*.payload-link; do
		[ "$(stat -Lc %s "$link")" != 900000 ] || printf x | dd of="$link" bs=1 seek=1000 conv=notrunc status=none
	done
}

for mode in bare bare-user; do
	case_ "$mode: ostree makes a repository" repository $mode
	configure $mode
	case_ "$mode: all content comes from it" reuses 1200000
	case_ "$mode: what came is what the tar has" same
	spoil $mode
	case_ "$mode: the layer goes again" cs delete-layer pulled
	case_ "$mode: a file that was spoilt is fetched" reuses 300000
done
cd / && umount -l "$D"
finish
