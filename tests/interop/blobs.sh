#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A layer compressed with gzip is the same blob, whichever command packs it: the same digest in a registry and in the records.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command tar gzip)
[ -n "$lacking" ] || lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_equal_compressor)
if [ -n "$lacking" ]; then
	skip "the same compressed layer by both commands" "$lacking" 32
	finish
fi
mkdir "$WORK/in" "$WORK/out"
# Text and machine code of a few megabytes; what cannot be compressed; holes; next to nothing; more than a piece of zeros.
tar -cf "$WORK/in/program.tar" -C "$BUILD" cstorage -C "$TOP" src docs
mkdir "$WORK/tree"
head -c 3000000 /dev/urandom >"$WORK/tree/noise"
gzip -c "$BUILD/cstorage" >"$WORK/tree/packed.gz"
truncate -s 2500000 "$WORK/tree/zeros"
tar -cf "$WORK/in/data.tar" -C "$WORK/tree" noise packed.gz zeros
tar -cf "$WORK/in/small.tar" -C "$TOP" LICENSE
tar -cf "$WORK/in/none.tar" -T /dev/null
sha() { sha256sum | cut -d' ' -f1; }

for driver in $(drivers); do
	new_store "blobs-$driver" "$driver"
	for archive in program data small none; do
		id=$(sha <<<"$archive")
		ours import-layer -i "$id" -f "$WORK/in/$archive.tar" >/dev/null
		ours diff -c "$id" >"$WORK/out/ours.gz"
		go diff -c "$id" >"$WORK/out/go.gz"
		same "$driver: $archive: the same blob" "$WORK/out/ours.gz" "$WORK/out/go.gz"
		case_ "$driver: $archive: what is in it" cmp <(gzip -dc "$WORK/out/ours.gz") "$WORK/in/$archive.tar"
		# Recorded as gzip, it comes out so without being asked for; then that is the very blob that came in.
		packed=$(sha <<<"$archive.gz")
		ours import-layer -i "$packed" -f "$WORK/out/go.gz" >/dev/null
		for who in ours go; do
			$who diff "$packed" >"$WORK/out/again.gz"
			same "$driver: $archive: $who gives back the blob" "$WORK/out/again.gz" "$WORK/out/go.gz"
		done
	done
done
finish
