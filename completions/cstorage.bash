# SPDX-License-Identifier: Apache-2.0
# bash completion for cstorage: the candidates come from the command's own table of verbs.
_cstorage() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]-} candidates
	case $previous in
	-g | --graph | -R | --run | --image-store)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
		;;
	-f | --file | --metadata-file)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	-s | --storage-driver)
		mapfile -t COMPREPLY < <(compgen -W 'overlay vfs btrfs zfs' -- "$current")
		return
		;;
	esac
	candidates=$(cstorage __complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null | cut -f 1)
	mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$current")
}
complete -o default -F _cstorage cstorage
