/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs and their options in the order of help (docs/format/command.md, "Commands"). */
#include "command.h"
#include <limits.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ANY          UINT_MAX

/* An option with our help text, and with that of containers-storage where it differs. cstorage does
 * not offer an option without a text of ours, but takes it. */
#define FLAG(id, help, go_help, ...)                              \
	{                                                         \
		id, OPTION_BOOL, {__VA_ARGS__}, "", help, go_help \
	}
#define TEXT(id, help, go_help, ...)                                \
	{                                                           \
		id, OPTION_STRING, {__VA_ARGS__}, "", help, go_help \
	}
#define LIST(id, help, go_help, ...)                              \
	{                                                         \
		id, OPTION_LIST, {__VA_ARGS__}, "", help, go_help \
	}
#define TEXT_OF(id, initial, help, go_help, ...)                         \
	{                                                                \
		id, OPTION_STRING, {__VA_ARGS__}, initial, help, go_help \
	}

#define JSON FLAG(OPT_JSON, "Print JSON", "Prefer JSON output", "--json", "-j")
#define ID_MAPS                                                                               \
	FLAG(OPT_HOST_UID_MAP, "Keep user IDs as they are on the host", "Force host UID map", \
	     "--hostuidmap"),                                                                 \
	        FLAG(OPT_HOST_GID_MAP, "Keep group IDs as they are on the host",              \
	             "Force host GID map", "--hostgidmap"),                                   \
	        TEXT(OPT_UID_MAP, "Map user IDs: CONTAINER:HOST:COUNT[:...]", "UID map",      \
	             "--uidmap"),                                                             \
	        TEXT(OPT_GID_MAP, "Map group IDs: CONTAINER:HOST:COUNT[:...]", "GID map",     \
	             "--gidmap"),                                                             \
	        TEXT(OPT_SUBUID_MAP, "Map user IDs to this user's /etc/subuid",               \
	             "subuid UID map for a user", "--subuidmap"),                             \
	        TEXT(OPT_SUBGID_MAP, "Map group IDs to this group's /etc/subgid",             \
	             "subgid GID map for a group", "--subgidmap")
#define NEW_LAYER                                                                         \
	TEXT(OPT_LABEL, "SELinux label of its mounts", "Mount Label", "--label", "-l"),   \
	        TEXT(OPT_ID, "ID of the layer (a random one)", "Layer ID", "--id", "-i"), \
	        FLAG(OPT_READ_ONLY, "Keep it in the image store, if there is one",        \
	             "Mark as read-only", "--readonly", "-r"),                            \
	        JSON, ID_MAPS
#define METADATA                                                                                \
	TEXT(OPT_METADATA, "Metadata to keep with it", "Metadata", "--metadata", "-m"),         \
	        TEXT(OPT_METADATA_FILE, "File that the metadata is read from", "Metadata File", \
	             "--metadata-file", "-f")

const struct option global_options[] = {
        TEXT(OPT_GRAPH, "Directory of the store", "Root of the storage tree", "--graph", "-g"),
        TEXT(OPT_RUN, "Directory of its state until the next boot",
             "Root of the runtime state tree", "--run", "-R"),
        TEXT(OPT_IMAGE_STORE, "Directory of a separate store for images",
             "Root of the separate image store", "--image-store"),
        FLAG(OPT_TRANSIENT_STORE, "Keep containers in the run directory only", "Transient store",
             "--transient-store"),
        TEXT(OPT_STORAGE_DRIVER, "Storage driver: btrfs, overlay, vfs or zfs ($STORAGE_DRIVER)",
             "Storage driver to use ($STORAGE_DRIVER)", "--storage-driver", "-s"),
        LIST(OPT_STORAGE_OPT, "KEY=VALUE for the driver ($STORAGE_OPTS)",
             "Set storage driver options ($STORAGE_OPTS)", "--storage-opt"),
        FLAG(OPT_DEBUG, "Log what is being done", "Print debugging information", "--debug", "-D"),
        /* Its help text ends in the default, which help.c adds. */
        FLAG(OPT_UNSHARE, "Run in a user namespace", "", "--unshare", "-U"),
};
const size_t n_global_options = COUNT(global_options);

const struct option help_option = FLAG(OPT_HELP, "Print usage", "", "--help");

const struct option gnu_options[] = {
        FLAG(OPT_READ_ONLY_STORE, "Change nothing, take no lock for writing", "",
             "--read-only-store"),
        FLAG(OPT_HELP, "Print help and exit", "", "--help", "-h"),
        FLAG(OPT_VERSION, "Print the version and exit", "", "--version"),
};
const size_t n_gnu_options = COUNT(gnu_options);

static const struct option progress_options[] = {
        TEXT_OF(OPT_PROGRESS, "auto", "Progress: auto, json or none", "", "--progress"),
        TEXT(OPT_PROGRESS_FD, "Descriptor for progress, in place of stderr", "", "--progress-fd"),
};
static const struct option list_options[] = {
        FLAG(OPT_QUIET, "Print IDs only", "", "--quiet", "-q"),
        TEXT(OPT_FORMAT, "table, json, or such as '{id} {names}'", "", "--format"),
        LIST(OPT_FILTER, "Only what fits, such as 'names=alpine*'", "", "--filter"),
        TEXT(OPT_SORT, "Order by a field; '-FIELD' turns it round", "", "--sort"),
        FLAG(OPT_NO_TRUNC, "Cut no ID, digest or name short", "", "--no-trunc"),
};

static const struct option json_only[] = {JSON};
static const struct option prune_options[] = {
        FLAG(OPT_LAYERS, "Delete layers that nothing is built on (the default)", "", "--layers"),
        FLAG(OPT_IMAGES, "Delete images without containers, named ones too", "", "--images"),
        FLAG(OPT_CONTAINERS, "Delete containers that are not mounted", "", "--containers"),
        TEXT_OF(OPT_OLDER_THAN, "24h", "Only what was made longer ago", "", "--older-than"),
        JSON,
};
static const struct option dry_run_options[] = {
        FLAG(OPT_TEST, "Tell what would happen, and change nothing", "", "--dry-run"),
};
static const struct option level_options[] = {
        FLAG(OPT_TREE, "Compare the files of layers, but not their content", "", "--tree"),
        LIST(OPT_FROM, "With --repair: where blobs of damaged layers are; may be repeated", "",
             "--from"),
};
static const struct option check_options[] = {
        TEXT_OF(OPT_MAX, "24h", "Age at which a layer that nobody uses is told of",
                "Maximum allowed age for unreferenced layers", "--max", "-m"),
        FLAG(OPT_REPAIR, "Mend what is damaged, or delete it", "Remove damaged images and layers",
             "--repair", "-r"),
        FLAG(OPT_FORCE, "With --repair: delete damaged containers, too",
             "Remove damaged containers", "--force", "-f"),
        FLAG(OPT_QUIET, "Look at records and data items only", "Perform only quick checks",
             "--quick", "-q"),
        JSON,
};
static const struct option write_data_options[] = {
        TEXT(OPT_FILE, "Write to this file, not to stdout", "Write data to file", "--file", "-f"),
};
static const struct option create_composefs_options[] = {
        TEXT(OPT_FILE, "Write to this file, not to stdout", "", "--file", "-f"),
        FLAG(OPT_LAYER, "Let whiteouts of the dump hide what is in layers below", "", "--layer"),
};
static const struct option dump_composefs_options[] = {
        TEXT(OPT_FILE, "Write to this file, not to stdout", "", "--file", "-f"),
        FLAG(OPT_LAYER, "Show whiteouts that hide what is in layers below, too", "", "--layer"),
};
static const struct option read_data_options[] = {
        TEXT(OPT_FILE, "Read from this file, not from stdin", "Read data from file", "--file",
             "-f"),
};
static const struct option copy_options[] = {
        TEXT(OPT_CHOWN, "Owner of the copies: UID or UID:GID", "Set owner on new copies", "--chown",
             "-o"),
        JSON,
};
static const struct option create_storage_layer_options[] = {NEW_LAYER};
static const struct option create_layer_options[] = {
        LIST(OPT_NAME, "Name of the layer; may be repeated", "Layer name", "--name", "-n"),
        NEW_LAYER,
};
static const struct option import_layer_options[] = {
        LIST(OPT_NAME, "Name of the layer; may be repeated", "Layer name", "--name", "-n"),
        TEXT(OPT_FILE, "Read from this file, not from stdin", "Read from file instead of stdin",
             "--file", "-f"),
        NEW_LAYER,
};
static const struct option expect_options[] = {
        TEXT(OPT_EXPECT_DIGEST,
             "sha256 of the archive, as it is or as plain tar; one unpacking serves all who want "
             "it",
             "", "--expect-digest"),
        TEXT(OPT_TOC_DIGEST,
             "It is a zstd:chunked blob whose TOC has this sha256: take from other layers "
             "what they have",
             "", "--toc-digest"),
        TEXT(OPT_URL, "Read from this http:// or https:// URL, not from stdin", "", "--url"),
        LIST(OPT_HEADER, "With --url: header to send, or @FILE with some; may be repeated", "",
             "--header"),
        TEXT(OPT_CA_FILE, "With --url: certificates to trust, not those of the system", "",
             "--ca-file"),
};
static const struct option new_container_options[] = {
        TEXT(OPT_AUTO_USERNS, "Map IDs that no container has: auto[:size=N,...]", "", "--userns"),
        TEXT(OPT_SIZE, "Limit of what it may write, such as 10G", "", "--size"),
        TEXT(OPT_INODES, "Limit of how many files it may make", "", "--inodes"),
        LIST(OPT_LABEL_OPTION, "SELinux labels: disable, or type:T, level:L, ...; may be repeated",
             "", "--label-option"),
};
static const struct option import_layers_options[] = {
        TEXT(OPT_PARENT, "Layer below the first one", "", "--parent", "-p"),
        LIST(OPT_NAME, "Name of the top layer; may be repeated", "", "--name", "-n"),
        LIST(OPT_ID, "ID of a layer, in the order of the files (random ones)", "", "--id", "-i"),
        TEXT(OPT_LABEL, "SELinux label of their mounts", "", "--label", "-l"),
        FLAG(OPT_READ_ONLY, "Keep them in the image store, if there is one", "", "--readonly",
             "-r"),
        JSON,
        ID_MAPS,
};
static const struct option import_options[] = {
        TEXT(OPT_ARCHITECTURE, "Architecture to choose or to record, such as arm64", "",
             "--architecture"),
        TEXT(OPT_OS, "Operating system to choose or to record", "", "--os"),
        JSON,
};
static const struct option create_image_options[] = {
        LIST(OPT_NAME, "Name of the image; may be repeated", "Image name", "--name", "-n"),
        TEXT(OPT_ID, "ID of the image (a random one)", "Image ID", "--id", "-i"),
        TEXT(OPT_DIGEST, "Digest by which the image is found, too", "Image Digest", "--digest",
             "-d"),
        METADATA,
        JSON,
};
static const struct option create_container_options[] = {
        LIST(OPT_NAME, "Name of the container; may be repeated", "Container name", "--name", "-n"),
        TEXT(OPT_ID, "ID of the container (a random one)", "Container ID", "--id", "-i"),
        FLAG(OPT_VOLATILE, "It need not outlive a crash of the machine", "Mark as volatile",
             "--volatile"),
        METADATA,
        JSON,
        ID_MAPS,
};
static const struct option dedup_options[] = {
        JSON,
        TEXT_OF(OPT_HASH_METHOD, "crc", "How equal files are found: crc, size or sha256",
                "Specify the hash function to use to detect identical files", "--hash-method"),
};
static const struct option delete_image_options[] = {
        FLAG(OPT_TEST, "Delete nothing, only say what would go", "Only test removal", "--test",
             "-t"),
        JSON,
};
static const struct option diff_options[] = {
        TEXT(OPT_FILE, "Write to this file, not to stdout", "Write to file instead of stdout",
             "--file", "-f"),
        FLAG(OPT_UNCOMPRESSED, "Do not compress", "Use no compression", "--uncompressed", "-u"),
        FLAG(OPT_GZIP, "Compress with gzip", "Compress using gzip", "--gzip", "-c"),
        FLAG(OPT_BZIP2, "", "Compress using bzip2 (not currently supported)", "--bzip2", "--bz2",
             "-b"),
        FLAG(OPT_XZ, "", "Compress using xz (not currently supported)", "--xz", "-x"),
};
static const struct option verify_options[] = {
        FLAG(OPT_VERIFY, "Fail if its digest is not the one that is recorded", "", "--verify"),
};
static const struct option apply_diff_options[] = {
        TEXT(OPT_FILE, "Read from this file, not from stdin", "Read from file instead of stdin",
             "--file", "-f"),
};
static const struct option exists_options[] = {
        FLAG(OPT_QUIET, "Print nothing, the exit status tells", "Don't print names", "--quiet",
             "-q"),
        FLAG(OPT_LAYER, "Only layers count", "Only succeed if the match is a layer", "--layer",
             "-l"),
        FLAG(OPT_IMAGE, "Only images count", "Only succeed if the match is an image", "--image",
             "-i"),
        FLAG(OPT_CONTAINER, "Only containers count", "Only succeed if the match is a container",
             "--container", "-c"),
        JSON,
};
static const struct option images_options[] = {
        FLAG(OPT_QUIET, "", "Only print IDs", "--quiet", "-q"),
        JSON,
};
static const struct option layers_options[] = {
        FLAG(OPT_TREE, "Show children below their parents", "Use a tree", "--tree", "-t"),
        FLAG(OPT_QUIET, "", "Just the IDs", "--quick", "-q"),
        JSON,
};
static const struct option metadata_options[] = {
        FLAG(OPT_QUIET, "Print the metadata alone", "Omit names and IDs", "--quiet", "-q"),
        JSON,
};
static const struct option set_metadata_options[] = {METADATA};
static const struct option mount_options[] = {
        TEXT(OPT_MOUNT_OPTIONS, "", "Mount Options", "--opt", "-o"),
        TEXT(OPT_LABEL, "SELinux label of the mount", "Mount Label", "--label", "-l"),
        FLAG(OPT_READ_ONLY, "Mount images, which nobody can write to", "Mount image readonly",
             "--read-only", "--ro", "-r"),
        JSON,
};
static const struct option unmount_options[] = {
        FLAG(OPT_FORCE, "Unmount it, whoever else uses the mount", "Force the umount", "--force",
             "-f"),
        JSON,
};
static const struct option shutdown_options[] = {
        FLAG(OPT_FORCE, "Unmount mounted layers first", "", "--force", "-f"),
        JSON,
};
static const struct option add_names_options[] = {
        LIST(OPT_NAME, "Name to add; may be repeated", "Name to add", "--name", "-n"),
        JSON,
};
static const struct option remove_names_options[] = {
        LIST(OPT_NAME, "Name to take away; may be repeated", "Name to remove", "--name", "-n"),
        JSON,
};
static const struct option set_names_options[] = {
        LIST(OPT_NAME, "Name that it gets; may be repeated", "New name", "--name", "-n"),
        JSON,
};

static const struct option chunked_options[] = {
        TEXT(OPT_TOC_DIGEST, "sha256 that the TOC must have, as the manifest of the image says", "",
             "--toc-digest"),
        TEXT(OPT_FILE, "Write the new blob to this file, not to stdout", "", "--output", "-o"),
        JSON,
};
static const struct option additional_layer_options[] = {
        TEXT(OPT_OF_IMAGE, "Reference of the image, for stores that go by it", "", "--image"),
        TEXT(OPT_ID, "ID of the layer that is made", "", "--id", "-i"),
        LIST(OPT_NAME, "Name of the layer that is made; may be repeated", "", "--name", "-n"),
        JSON,
};

#define LAYER_OR_CONTAINER (KIND_LAYER | KIND_CONTAINER)

/* The operands as containers-storage writes them. */
#define OPTS          "[options [...]]"
#define ONE_CONTAINER OPTS " containerNameOrID"
#define CONTAINERS    ONE_CONTAINER " [...]"
#define ONE_IMAGE     OPTS " imageNameOrID"
#define ONE_LAYER     OPTS " layerNameOrID"
#define TWO_LAYERS    ONE_LAYER " [referenceLayerNameOrID]"
#define PARENT        OPTS " [parentLayerNameOrID]"
#define ANY_KIND      "[LayerOrImageOrContainerNameOrID [...]]"
#define ANY_NAMES     OPTS " imageOrContainerNameOrID"
#define MOUNTABLE     "LayerOrContainerNameOrID"

/* clang-format off */
#define NAMES(...) {__VA_ARGS__}
static const struct option no_options[] = {};

#define VERB(names, go_operands, go_description, options, min, max, group, flags, run, operands, description, kinds) \
	{names, go_operands, go_description, operands, description, min, max, group, flags, kinds},
const struct command commands[] = {
#include "verbs.h"
};
#undef VERB

#define VERB(names, go_operands, go_description, options, min, max, group, flags, run, operands, description, kinds) \
	{{options, COUNT(options)}, run},
static const struct command_code codes[] = {
#include "verbs.h"
};
#undef VERB
/* clang-format on */
const size_t n_commands = COUNT(commands);

const struct command_code *command_code(const struct command *command)
{
	return &codes[command - commands];
}

size_t command_tables(const struct command *command, struct option_table tables[COMMAND_TABLES_MAX])
{
	static const struct {
		enum command_flags flag;
		struct option_table table;
	} added[] = {
	        {COMMAND_LISTS, {list_options, COUNT(list_options)}},
	        {COMMAND_ADD_JSON, {json_only, COUNT(json_only)}},
	        {COMMAND_DRY_RUN, {dry_run_options, COUNT(dry_run_options)}},
	        {COMMAND_CHECKS, {level_options, COUNT(level_options)}},
	        {COMMAND_CLAIMS, {expect_options, COUNT(expect_options)}},
	        {COMMAND_MAKES_CONTAINER, {new_container_options, COUNT(new_container_options)}},
	        {COMMAND_VERIFIES, {verify_options, COUNT(verify_options)}},
	        {COMMAND_PROGRESS, {progress_options, COUNT(progress_options)}},
	};
	size_t n = 0;
	tables[n++] = command_code(command)->options;
	for (size_t i = 0; i < COUNT(added); i++)
		if (command->flags & added[i].flag)
			tables[n++] = added[i].table;
	return n;
}

const struct command *command_find(const char *word)
{
	for (size_t i = 0; i < n_commands; i++)
		for (size_t n = 0; n < COUNT(commands[i].names) && *commands[i].names[n]; n++)
			if (strcmp(word, commands[i].names[n]) == 0)
				return &commands[i];
	return NULL;
}
