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
		mapfile -t COMPREPLY < <(compgen -W 'btrfs overlay vfs zfs' -- "$current")
		return
		;;
	esac
	# A name may hold colons, at which bash breaks words.
	local words=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
	if declare -F _get_comp_words_by_ref >/dev/null; then
		local cword
		_get_comp_words_by_ref -n : -c current -w words -i cword
		words=("${words[@]:1:cword-1}")
	fi
	candidates=$(
		cstorage __complete "${words[@]}"
		case $current in -*) ;; *) cstorage __complete_operand "${words[@]}" ;; esac
	)
	# Not by compgen -W: it expands its words as the shell does, and a name in the store may be "$(anything)".
	local line
	COMPREPLY=()
	while IFS= read -r line; do
		line=${line%%$'\t'*}
		[[ -z $line || $line != "$current"* ]] || COMPREPLY+=("$(printf %q "$line")")
	done <<<"$candidates"
	! declare -F __ltrim_colon_completions >/dev/null || __ltrim_colon_completions "$current"
} 2>/dev/null
complete -o default -F _cstorage cstorage
