#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# buildah builds on an image of ours and from scratch; ours looks into its containers while they are there, and takes over the
# images it commits.
. "$(dirname "$0")/tools-lib.sh"
[ -n "$BUILDAH" ] || { skip "buildah" "no buildah" 79; finish; }
begin "buildah" 79
from() { buildah_ from --signature-policy "$WORK/policy.json" --pull-never --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$1"; }
commit() { buildah_ commit --signature-policy "$WORK/policy.json" "$@"; }
# What runs says by its exit status whether all is well: buildah 1.28 loses what it prints, now and then.
in_it() { buildah_ run --isolation chroot "$made" /bin/busybox "$@"; }

tool_store built
our_image localhost/ours:1 || finish
made=$(from localhost/ours:1 2>"$WORK/err")
[ -n "$made" ] && pass "buildah begins from our image" || { fail "buildah begins from our image" "$(tail -n 5 "$WORK/err")"; finish; }
case_ "buildah runs in it" in_it test -x /bin/busybox
case_ "buildah writes in it" in_it sh -c 'echo by-buildah >/written; rm /srv/second; rm -r /srv/hidden; mkdir /srv/hidden;
	echo more >>/etc/motd; ln -s written /link; chmod 700 /srv'
case_ "ours sees buildah's container" ours container "$made"
layer=$(member container "$made" layer)
has "ours tells what buildah changed" 'Add "/written"' ours changes "$layer"
both_see_container "container of buildah" "$layer"
point=$(ours mount "$made")
says "ours mounts buildah's container" by-buildah cat "$point/written"
case_ "buildah mounts it, too" buildah_ mount "$made"
both_see_container "mounted container of buildah" "$layer"
case_ "buildah unmounts it" buildah_ umount "$made"
says "it is still mounted for ours" by-buildah cat "$point/written"
case_ "ours unmounts it" ours unmount "$made"
[ "$tool_driver" != overlay ] || says "nobody has it mounted now" "" cat "$point/written"
case_ "buildah goes on in it" in_it grep -qx by-buildah /written
case_ "buildah commits" commit "$made" localhost/buildah:1
case_ "buildah commits without compression, and removes its container" commit --disable-compression --rm "$made" localhost/buildah:2
for name in localhost/buildah:1 localhost/buildah:2; do
	case_ "ours finds $name" ours image "$name"
	both_see "$name" "$(member image "$name" layer)"
done
case_ "ours makes a container of it" ours create-container -n ours-of-buildah localhost/buildah:1
point=$(ours mount ours-of-buildah)
says "and finds in it what buildah wrote" by-buildah cat "$point/written"
says "and runs it" by-buildah chroot "$point" /bin/busybox cat /written
[ -e "$point/srv/second" ] && fail "what buildah deleted is there" || pass "what buildah deleted is gone"
case_ "ours unmounts its container" ours unmount ours-of-buildah
ours_deletes "built on ours"

tool_store scratch
made=$(from scratch 2>"$WORK/err")
[ -n "$made" ] && pass "buildah begins from nothing" || fail "buildah begins from nothing" "$(tail -n 5 "$WORK/err")"
for archive in $(cut -d' ' -f4 "$WORK/image/gzip.layers" | head -n 2); do
	case_ "buildah adds an archive" buildah_ add "$made" "$archive" /
done
case_ "buildah configures it" buildah_ config --cmd '/bin/busybox sh' "$made"
case_ "buildah commits what began from nothing" commit "$made" localhost/scratch:1
has "ours lists it" localhost/scratch:1 ours images
both_see "from scratch" "$(member image localhost/scratch:1 layer)"
both_see_container "container from scratch" "$(member container "$made" layer)"
point=$(ours mount "$(member image localhost/scratch:1 layer)")
says "ours runs a program in it" hello chroot "$point" /bin/busybox echo hello
case_ "ours unmounts its layer" ours unmount "$(member image localhost/scratch:1 layer)"
case_ "buildah makes another layer" buildah_ copy "$made" "$WORK/policy.json" /added
case_ "and a second image" commit --rm "$made" localhost/scratch:2
both_see "second from scratch" "$(member image localhost/scratch:2 layer)"
ours_deletes "from scratch"
finish
