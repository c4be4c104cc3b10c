#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel's mount table after both commands mounted the same, with every option of the driver: equal, case by case. And so is
# what they say where it fails (mounts.py).
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
[ -n "$lacking" ] || lacking=$(lacks_go)
if [ -n "$lacking" ]; then
	skip "mounts" "$lacking" 100
	finish
fi
[ "$(go_version)" = 1.64 ] || sed -i 's/"vfs"/"overlay"/' "$CONTAINERS_STORAGE_CONF" # older ones go by the file, too
counted "mounts" "$TOP/tests/interop/mounts.py" "$WORK/m" "$OURS" "$GO" "$(go_version)"
finish
