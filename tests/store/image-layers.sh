#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An image of 60 layers: import-layers makes what 60 import-layer make, record by record, file by file, tar-split by tar-split;
# and the Go command's check says the same of both.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "an image of 60 layers" "$lacking" 6
	finish
fi
mkdir -p "$WORK/in"
python3 - "$WORK/in" <<'P'
import gzip, io, sys, tarfile
for i in range(60):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        def add(name, data=b"", kind=tarfile.REGTYPE, mode=0o644):
            t = tarfile.TarInfo(name)
            t.type, t.mode, t.size, t.mtime, t.uid = kind, mode, len(data), 1600000000, i
            tar.addfile(t, io.BytesIO(data))
        if i % 20 == 0: # how the root is, and directories that the layers above do not name
            add("/", kind=tarfile.DIRTYPE, mode=0o711 + i)
            for d in range(5):
                add(f"d{d}/", kind=tarfile.DIRTYPE, mode=0o750 + d)
        for k in range(8):
            add(f"d{(i + k) % 5}/sub{k % 2}/f{i}-{k}", b"%d %d " % (i, k) * 300)
        if i % 4 == 3:
            add(f"d{(i - 1) % 5}/sub0/.wh.f{i - 1}-0")
        if i % 9 == 8:
            add(f"d{i % 5}/sub1/.wh..wh..opq")
    open(f"{sys.argv[1]}/{i:02}.tar.gz", "wb").write(gzip.compress(plain.getvalue(), mtime=0))
P
ids=() CS=$OURS
for file in "$WORK"/in/*; do ids+=("$(sha256sum "$file" | cut -c 1-64)"); done
# Records without times and IDs of links, every file with its attributes, tar-splits.
state() {
	cs layers -j | sed -E 's/"created":"[^"]*"//g'
	local content=$G/$DRIVER dir=
	[ "$DRIVER" = overlay ] || content=$(layer_root "") dir=.
	for id in "${ids[@]}"; do
		cd "$content/$id" || return
		find ${dir:-diff work merged} -printf '%P %M %U %G %l\n' | sort
		getfattr -h -R -d -m - ${dir:-diff} 2>/dev/null
		find ${dir:-diff} -type f -exec sha256sum {} + | sort
		[ "$DRIVER" != overlay ] || cat lower-layers 2>/dev/null
		sha256sum <"$G/$DRIVER-layers/$id.tar-split.gz"
	done
}
# It finds fault with directories that an archive only implies, whoever imported it.
go_check() { "$GO" -g "$G" -R "$R" -s "$DRIVER" check 2>&1 | sed -E 's/,?mtime:[^,)]*//' | sort; }
for driver in $have_drivers; do
	new_store "single-$driver" "$driver"
	parent=()
	for i in "${!ids[@]}"; do
		cs import-layer -i "${ids[i]}" -f "$WORK/in/$(printf %02d "$i").tar.gz" "${parent[@]}" >>"$WORK/said" 2>&1 || echo failed >>"$WORK/said"
		parent=("${ids[i]}")
	done
	(state) >"$WORK/single"
	single_graph=$G single_run=$R
	new_store "many-$driver" "$driver"
	case_ "$driver: import-layers of 60 archives" "$BUILD/cstorage" -g "$G" -R "$R" -s "$driver" \
		import-layers ${ids[@]/#/-i } "$WORK"/in/*
	(state) >"$WORK/many"
	case_ "$driver: there is something to compare" test "$(wc -l <"$WORK/single")" -gt 1000
	same "$driver: the same as 60 times import-layer" "$WORK/single" "$WORK/many"
	if [ -n "$GO" ] && [ "$go_version" != 1.43 ]; then
		go_check >"$WORK/many.check"
		G=$single_graph R=$single_run go_check >"$WORK/single.check"
		same "$driver: the Go command says the same of both" "$WORK/single.check" "$WORK/many.check"
	else
		skip "$driver: the Go command says the same of both" "no containers-storage with check"
	fi
done
finish
