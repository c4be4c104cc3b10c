# SPDX-License-Identifier: Apache-2.0
# fish completion for cstorage: the candidates come from the command's own table of verbs.
function __cstorage_candidates
    set -l words (commandline -opc)
    cstorage __complete $words[2..-1] 2>/dev/null
    cstorage __complete_operand $words[2..-1] 2>/dev/null
end
complete -c cstorage -f -a '(__cstorage_candidates)'
complete -c cstorage -s s -l storage-driver -x -a 'btrfs overlay vfs zfs' -d 'Storage driver'
complete -c cstorage -s f -l file -r -F -d 'File to read or write'
complete -c cstorage -l metadata-file -r -F -d 'File that the metadata is read from'
complete -c cstorage -s g -l graph -r -a '(__fish_complete_directories)' -d 'Directory of the store'
complete -c cstorage -s R -l run -r -a '(__fish_complete_directories)' -d 'Directory of its state until the next boot'
