#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A store damaged on purpose, by every operation: damage.py has the table and the rules. EVERY=1 tries all cells, which takes half an hour; else a
# slice is tried, and SEED=n another one. With a containers-storage of 1.64 or later it looks at what a repair leaves, too.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "a store damaged on purpose" "$lacking" 2
	finish
fi
go=()
[ -n "$(lacks_go)" ] || [ "$(printf '%s\n' 1.64 "$(go_version)" | sort -V | head -n 1)" != 1.64 ] || go=(--go "$GO")
for DRIVER in $(drivers); do
	mkdir -p "$WORK/$DRIVER"
	[ "$DRIVER" = btrfs ] || mount -t tmpfs none "$WORK/$DRIVER" 2>/dev/null # many small stores: quicker, and no wear
	case_ "$DRIVER: damages by operations" \
		python3 "$TOP/tests/store/damage.py" "$BUILD/cstorage" "$WORK/$DRIVER" "$DRIVER" --every "${EVERY:-97}" --seed "${SEED:-0}" "${go[@]}"
	umount -l "$WORK/$DRIVER" 2>/dev/null
done
finish
