#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How many system calls an entry of a layer costs (docs/design.md, "Applying a layer"), so that nobody adds one unseen.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command strace)
case $have_drivers in *overlay*) ;; *) lacking=${lacking:-overlay} ;; esac
if [ -n "$lacking" ]; then
	skip "system calls for each entry" "$lacking" 5
	finish
fi

DRIVER=overlay
new_store store overlay
# Layers of many and of few entries: what more the many take is what they cost.
tree() { # NAME DIRECTORIES FILES LINKS
	local top=$WORK/in/$1 i
	rm -rf "$top"
	mkdir -p "$top/d"
	for i in $(seq "$2"); do mkdir "$top/d/$i"; done
	for i in $(seq "$3"); do echo "$i" >"$top/$i"; done
	for i in $(seq "$4"); do ln -s "$i" "$top/link$i"; done
	tar -C "$top" --sort=name -cf "$top.tar" .
}
calls() { # NAME: how many calls on files and descriptors its import takes; how much a read brings is chance
	strace -f -qq -o "$WORK/trace" -e trace=%file,%desc "$OURS" -g "$G" -R "$R" -s overlay import-layer -f "$WORK/in/$1.tar" \
		>"$WORK/out" 2>&1 || cat "$WORK/out"
	grep -vc 'resumed>\|read(\|mmap(' "$WORK/trace"
}
costs() { # WHAT EACH AT-MOST: the layer "more" has EACH more than the layer "few"
	local few more
	few=$(calls few) more=$(calls more)
	case_ "$1 takes $3 calls: $((more - few)) for $2" [ $((more - few)) -le $(($2 * $3)) ]
}
tree few 20 100 20
tree more 20 300 20
costs "a file" 200 5
tree more 120 100 20
costs "a directory" 100 9
tree more 20 100 120
costs "a symlink" 100 5

# Files of a hundred directories in turns: the directories stay open, all but some that are in each other's place.
mkdir "$WORK/in/turns"
(cd "$WORK/in/turns" && mkdir {1..100} && touch {1..100}/{a,b,c} && for name in a b c; do printf '%s\n' {1..100}/$name; done >../turns.list)
tar -C "$WORK/in/turns" --no-recursion -cf "$WORK/in/turns.tar" {1..100} -T "$WORK/in/turns.list"
calls turns >/dev/null
opened=$(grep -v resumed "$WORK/trace" | grep -cE 'open(at|at2)?\(.*O_DIRECTORY')
case_ "files of 100 directories in turns open $opened directories" [ "$opened" -le 350 ]

# Layers of an image whose archives do not name their directories, so that each looks what those below have.
for i in $(seq 60); do
	mkdir -p "$WORK/in/image/a/b" && echo "$i" >"$WORK/in/image/a/b/$i"
	tar -C "$WORK/in/image" -cf "$WORK/in/$i.tar" "a/b/$i"
done
image() { # LAYERS: how many calls on files and descriptors they take
	# shellcheck disable=SC2046 # one word for each number
	strace -f -qq -o "$WORK/trace" -e trace=%file,%desc "$BUILD/cstorage" -g "$G" -R "$R" -s overlay import-layers \
		$(printf "$WORK/in/%s.tar " $(seq "$1")) >"$WORK/out" 2>&1 || cat "$WORK/out"
	grep -vc 'resumed>\|read(\|mmap(' "$WORK/trace"
}
first=$(image 10) some=$(image 20) many=$(image 60)
each=$(((some - first) / 10)) later=$(((many - some) / 40))
case_ "a layer takes $each calls over 10 others, and $later over 40" [ "$later" -le $((each + 10)) ]
finish
