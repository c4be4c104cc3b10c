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
        TEXT(OPT_STORAGE_DRIVER, "Storage driver: btrfs, overlay or vfs ($STORAGE_DRIVER)",
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
             "The file is a zstd:chunked blob whose TOC has this sha256: take from other layers "
             "what they have",
             "", "--toc-digest"),
};
static const struct option new_container_options[] = {
        TEXT(OPT_AUTO_USERNS, "Map IDs that no container has: auto[:size=N,...]", "", "--userns"),
        TEXT(OPT_SIZE, "Limit of what it may write, such as 10G", "", "--size"),
        TEXT(OPT_INODES, "Limit of how many files it may make", "", "--inodes"),
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
static const char *const chunked_actions[] = {"inspect", "create", "verify", NULL};

#define LAYER_OR_CONTAINER (KIND_LAYER | KIND_CONTAINER)

/* The operands as containers-storage writes them. */
#define OPTS          "[options [...]]"
#define NONE          NULL, 0
#define WITH(table)   table, COUNT(table)
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
const struct command commands[] = {
	{{"check"}, "", "Check storage consistency",
	 WITH(check_options), 0, 0, GROUP_STORE, COMMAND_PROGRESS | COMMAND_CHECKS, run_check,
	 "", "Look for what is wrong in the store", 0},
	{{"config"}, "[configurationFile]", "Print storage library configuration as JSON",
	 NONE, 0, 1, GROUP_STORE, COMMAND_NO_STORE | COMMAND_ADD_JSON | COMMAND_READS, run_config,
	 "[FILE]", "Print the configuration of storage as JSON", 0},
	{{"container"}, CONTAINERS, "Examine a container",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_container,
	 "CONTAINER...", "Show containers", KIND_CONTAINER},
	{{"list-container-data", "listcontainerdata"}, ONE_CONTAINER,
	 "List data items that are attached to an container",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_list_container_data,
	 "CONTAINER", "List the data items of a container", KIND_CONTAINER},
	{{"get-container-data", "getcontainerdata"}, ONE_CONTAINER " dataName",
	 "Get data that is attached to an container",
	 WITH(write_data_options), 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_container_data,
	 "CONTAINER KEY", "Print a data item of a container", KIND_CONTAINER},
	{{"get-container-data-size", "getcontainerdatasize"}, ONE_CONTAINER " dataName",
	 "Get size of data that is attached to an container",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_container_data_size,
	 "CONTAINER KEY", "Print the size of a data item of a container", KIND_CONTAINER},
	{{"get-container-data-digest", "getcontainerdatadigest"}, ONE_CONTAINER " dataName",
	 "Get digest of data that is attached to an container",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_container_data_digest,
	 "CONTAINER KEY", "Print the digest of a data item of a container", KIND_CONTAINER},
	{{"set-container-data", "setcontainerdata"}, ONE_CONTAINER " dataName",
	 "Set data that is attached to an container",
	 WITH(read_data_options), 2, 2, GROUP_DATA, 0, run_set_container_data,
	 "CONTAINER KEY", "Set a data item of a container", KIND_CONTAINER},
	{{"get-container-dir", "getcontainerdir"}, ONE_CONTAINER,
	 "Find the container's associated data directory",
	 NONE, 1, 1, GROUP_CONTAINERS, COMMAND_ADD_JSON, run_get_container_directory,
	 "CONTAINER", "Print a container's directory", KIND_CONTAINER},
	{{"get-container-run-dir", "getcontainerrundir"}, ONE_CONTAINER,
	 "Find the container's associated runtime directory",
	 NONE, 1, 1, GROUP_CONTAINERS, COMMAND_ADD_JSON, run_get_container_run_directory,
	 "CONTAINER", "Print a container's directory in the run root", KIND_CONTAINER},
	{{"container-parent-owners"}, CONTAINERS,
	 "Compute the set of unmapped parent UIDs and GIDs of the container",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_container_parent_owners,
	 "CONTAINER...", "List unmapped owners above a container's mount", KIND_CONTAINER},
	{{"containers"}, OPTS, "List containers",
	 WITH(json_only), 0, 0, GROUP_CONTAINERS, COMMAND_LISTS | COMMAND_READS, run_containers,
	 "", "List containers", 0},
	{{"copy"}, OPTS " [sourceLayerNameOrID:]/path [...] targetLayerNameOrID:/path",
	 "Copy files or directories into a layer, possibly from another layer",
	 WITH(copy_options), 2, ANY, GROUP_LAYERS, COMMAND_PROGRESS, run_copy,
	 "[LAYER:]PATH... LAYER:PATH", "Copy files into a layer or container", LAYER_OR_CONTAINER},
	{{"create-storage-layer"}, PARENT, "Create a new layer only in the storage driver",
	 WITH(create_storage_layer_options), 0, 1, GROUP_LAYERS, COMMAND_MAKES_STORE, run_create_storage_layer,
	 "[PARENT]", "Create a layer that only the storage driver knows", KIND_LAYER},
	{{"create-layer", "createlayer"}, PARENT, "Create a new layer",
	 WITH(create_layer_options), 0, 1, GROUP_LAYERS, COMMAND_MAKES_STORE, run_create_layer,
	 "[PARENT]", "Create an empty layer", KIND_LAYER},
	{{"import-layer", "importlayer"}, PARENT, "Import a new layer",
	 WITH(import_layer_options), 0, 1, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_MAKES_STORE | COMMAND_CLAIMS, run_import_layer,
	 "[PARENT]", "Create a layer from an archive", KIND_LAYER},
	{{"staged"}, NULL, NULL,
	 WITH(json_only), 0, 0, GROUP_LAYERS, COMMAND_OURS | COMMAND_READS, run_staged,
	 "", "List staged layers that were kept", 0},
	{{"discard-staged"}, NULL, NULL,
	 WITH(json_only), 1, ANY, GROUP_LAYERS, COMMAND_OURS, run_discard_staged,
	 "ID...", "Remove staged layers that were kept", 0},
	{{"import-layers"}, NULL, NULL,
	 WITH(import_layers_options), 1, ANY, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_OURS | COMMAND_MAKES_STORE, run_import_layers,
	 "FILE...", "Create the layers of an image from archives, the base first", 0},
	{{"import"}, NULL, NULL,
	 WITH(import_options), 1, ANY, GROUP_IMAGES, COMMAND_PROGRESS | COMMAND_OURS | COMMAND_MAKES_STORE, run_import,
	 "SOURCE [NAME...]", "Import an image from oci:DIR[:REF] or tar:FILE", 0},
	{{"create-image", "createimage"}, OPTS " topLayerNameOrID",
	 "Create a new image using layers",
	 WITH(create_image_options), 0, 1, GROUP_IMAGES, COMMAND_MAKES_STORE, run_create_image,
	 "[LAYER]", "Create an image of a layer and those below it", KIND_LAYER},
	{{"create-container", "createcontainer"}, OPTS " parentImageNameOrID",
	 "Create a new container from an image",
	 WITH(create_container_options), 1, 1, GROUP_CONTAINERS, COMMAND_MAKES_STORE | COMMAND_MAKES_CONTAINER, run_create_container,
	 "IMAGE", "Create a container from an image", KIND_IMAGE},
	{{"dedup"}, "", "Dedup all images",
	 WITH(dedup_options), 0, 0, GROUP_STORE, COMMAND_PROGRESS | COMMAND_DRY_RUN, run_dedup,
	 "", "Let equal files share their room on the disk", 0},
	{{"delete"}, ANY_KIND, "Delete a layer or image or container, with no safety checks",
	 WITH(json_only), 1, ANY, GROUP_STORE, COMMAND_PROGRESS, run_delete,
	 "ITEM...", "Delete anything, without safety checks", KIND_ANY},
	{{"delete-layer", "deletelayer"}, "[LayerNameOrID [...]]",
	 "Delete a layer, with safety checks",
	 WITH(json_only), 1, ANY, GROUP_LAYERS, COMMAND_PROGRESS, run_delete_layer,
	 "LAYER...", "Delete layers that nothing uses", KIND_LAYER},
	{{"delete-image", "deleteimage"}, "[ImageNameOrID [...]]",
	 "Delete an image, with safety checks",
	 WITH(delete_image_options), 1, ANY, GROUP_IMAGES, COMMAND_PROGRESS, run_delete_image,
	 "IMAGE...", "Delete images, and layers that nothing uses then", KIND_IMAGE},
	{{"delete-container", "deletecontainer"}, "[ContainerNameOrID [...]]",
	 "Delete a container, with safety checks",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_PROGRESS, run_delete_container,
	 "CONTAINER...", "Delete containers", KIND_CONTAINER},
	{{"changes"}, TWO_LAYERS, "Compare two layers",
	 WITH(json_only), 1, 2, GROUP_LAYERS, COMMAND_READS, run_changes,
	 "LAYER [REFERENCE]", "List what a layer changes", LAYER_OR_CONTAINER},
	{{"diffsize", "diff-size"}, TWO_LAYERS, "Compare two layers",
	 NONE, 1, 2, GROUP_LAYERS, COMMAND_ADD_JSON | COMMAND_READS, run_diff_size,
	 "LAYER [REFERENCE]", "Print how many bytes a layer adds and changes", LAYER_OR_CONTAINER},
	{{"diff"}, TWO_LAYERS, "Compare two layers",
	 WITH(diff_options), 1, 2, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_READS, run_diff,
	 "LAYER [REFERENCE]", "Write what a layer changes as an archive", LAYER_OR_CONTAINER},
	{{"applydiff", "apply-diff"}, TWO_LAYERS, "Apply a diff to a layer",
	 WITH(apply_diff_options), 1, 1, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_ADD_JSON, run_apply_diff,
	 "LAYER", "Unpack an archive onto a layer", KIND_LAYER},
	{{"applydiff-using-staging-dir"}, "layerNameOrID directory",
	 "Apply a diff to a layer using a staging directory",
	 NONE, 2, 2, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_ADD_JSON | COMMAND_MAKES_STORE, run_apply_directory,
	 "LAYER DIRECTORY", "Make a layer of a directory's files", KIND_LAYER},
	{{"exists"}, ANY_KIND, "Check if a layer or image or container exists",
	 WITH(exists_options), 1, ANY, GROUP_STORE, COMMAND_READS, run_exists,
	 "ITEM...", "Check if layers, images or containers exist", KIND_ANY},
	{{"gc"}, "", "Perform garbage collection",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_DRY_RUN, run_gc,
	 "", "Remove what no record knows", 0},
	{{"image"}, ONE_IMAGE " [...]", "Examine an image",
	 WITH(json_only), 1, ANY, GROUP_IMAGES, COMMAND_READS, run_image,
	 "IMAGE...", "Show images", KIND_IMAGE},
	{{"list-image-data", "listimagedata"}, ONE_IMAGE,
	 "List data items that are attached to an image",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_list_image_data,
	 "IMAGE", "List the data items of an image", KIND_IMAGE},
	{{"get-image-data", "getimagedata"}, ONE_IMAGE " dataName",
	 "Get data that is attached to an image",
	 WITH(write_data_options), 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_image_data,
	 "IMAGE KEY", "Print a data item of an image", KIND_IMAGE},
	{{"get-image-data-size", "getimagedatasize"}, ONE_IMAGE " dataName",
	 "Get size of data that is attached to an image",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_image_data_size,
	 "IMAGE KEY", "Print the size of a data item of an image", KIND_IMAGE},
	{{"get-image-data-digest", "getimagedatadigest"}, ONE_IMAGE " dataName",
	 "Get digest of data that is attached to an image",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_image_data_digest,
	 "IMAGE KEY", "Print the digest of a data item of an image", KIND_IMAGE},
	{{"set-image-data", "setimagedata"}, ONE_IMAGE " dataName",
	 "Set data that is attached to an image (with sometimes wrong digest)",
	 WITH(read_data_options), 2, 2, GROUP_DATA, 0, run_set_image_data,
	 "IMAGE KEY", "Set a data item of an image", KIND_IMAGE},
	{{"get-image-dir", "getimagedir"}, ONE_IMAGE,
	 "Find the image's associated data directory",
	 NONE, 1, 1, GROUP_IMAGES, COMMAND_ADD_JSON, run_get_image_directory,
	 "IMAGE", "Print an image's directory", KIND_IMAGE},
	{{"get-image-run-dir", "getimagerundir"}, ONE_IMAGE,
	 "Find the image's associated runtime directory",
	 NONE, 1, 1, GROUP_IMAGES, COMMAND_ADD_JSON, run_get_image_run_directory,
	 "IMAGE", "Print an image's directory in the run root", KIND_IMAGE},
	{{"images"}, OPTS, "List images",
	 WITH(images_options), 0, 0, GROUP_IMAGES, COMMAND_LISTS | COMMAND_READS, run_images,
	 "", "List images", 0},
	{{"images-by-digest"}, OPTS " DIGEST", "List images by digest",
	 WITH(images_options), 1, 1, GROUP_IMAGES, COMMAND_LISTS | COMMAND_READS, run_images_by_digest,
	 "DIGEST", "List the images that have a digest", 0},
	{{"layer"}, ONE_LAYER " [...]", "Examine a layer",
	 WITH(json_only), 1, ANY, GROUP_LAYERS, COMMAND_READS, run_layer,
	 "LAYER...", "Show layers", KIND_LAYER},
	{{"layer-parent-owners"}, ONE_LAYER " [...]",
	 "Compute the set of unmapped parent UIDs and GIDs of the layer",
	 WITH(json_only), 1, ANY, GROUP_LAYERS, COMMAND_READS, run_layer_parent_owners,
	 "LAYER...", "List unmapped owners above a layer's mount", KIND_LAYER},
	{{"list-layer-data", "listlayerdata"}, ONE_LAYER,
	 "List data items that are attached to a layer",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_list_layer_data,
	 "LAYER", "List the data items of a layer", KIND_LAYER},
	{{"get-layer-data", "getlayerdata"}, OPTS " layerID dataName",
	 "Get data that is attached to a layer",
	 WITH(write_data_options), 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_layer_data,
	 "LAYER KEY", "Print a data item of a layer", KIND_LAYER},
	{{"set-layer-data", "setlayerdata"}, OPTS " layerID dataName",
	 "Set data that is attached to a layer",
	 WITH(read_data_options), 2, 2, GROUP_DATA, 0, run_set_layer_data,
	 "LAYER KEY", "Set a data item of a layer", KIND_LAYER},
	{{"layers"}, OPTS, "List layers",
	 WITH(layers_options), 0, 0, GROUP_LAYERS, COMMAND_LISTS | COMMAND_READS, run_layers,
	 "", "List layers", 0},
	{{"storage-layers"}, OPTS, "List storage layers",
	 WITH(json_only), 0, 0, GROUP_LAYERS, COMMAND_READS, run_storage_layers,
	 "", "List the layers that the storage driver has", 0},
	{{"metadata"}, ANY_KIND, "Retrieve layer, image, or container metadata",
	 WITH(metadata_options), 1, ANY, GROUP_DATA, COMMAND_READS, run_metadata,
	 "ITEM...", "Print the metadata of layers, images and containers", KIND_ANY},
	{{"set-metadata", "setmetadata"}, OPTS " layerOrImageOrContainerNameOrID",
	 "Set layer, image, or container metadata",
	 WITH(set_metadata_options), 1, 1, GROUP_DATA, 0, run_set_metadata,
	 "ITEM", "Set the metadata of a layer, image or container", KIND_ANY},
	{{"mount"}, OPTS " " MOUNTABLE, "Mount a layer or container",
	 WITH(mount_options), 1, ANY, GROUP_CONTAINERS, 0, run_mount,
	 "ITEM...", "Mount layers, containers or images", KIND_ANY},
	{{"unmount", "umount"}, MOUNTABLE, "Unmount an image, layer or container",
	 WITH(unmount_options), 1, ANY, GROUP_CONTAINERS, 0, run_unmount,
	 "ITEM...", "Unmount layers, images and containers", KIND_ANY},
	{{"mounted"}, MOUNTABLE, "Check if a file system is mounted",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_mounted,
	 "ITEM...", "Check which layers and containers are mounted", LAYER_OR_CONTAINER},
	{{"get-names", "getnames"}, ANY_NAMES, "Get layer, image, or container name or names",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_get_names,
	 "ITEM", "Print the names of a layer, image or container", KIND_ANY},
	{{"add-names", "addnames"}, ANY_NAMES, "Add layer, image, or container name or names",
	 WITH(add_names_options), 1, ANY, GROUP_DATA, 0, run_add_names,
	 "ITEM", "Add names to a layer, image or container", KIND_ANY},
	{{"remove-names", "removenames"}, ANY_NAMES,
	 "Remove layer, image, or container name or names",
	 WITH(remove_names_options), 1, ANY, GROUP_DATA, 0, run_remove_names,
	 "ITEM", "Take names away from a layer, image or container", KIND_ANY},
	{{"set-names", "setnames"}, ANY_NAMES, "Set layer, image, or container name or names",
	 WITH(set_names_options), 1, ANY, GROUP_DATA, 0, run_set_names,
	 "ITEM", "Set the names of a layer, image or container", KIND_ANY},
	{{"shutdown"}, "", "Shut down layer storage",
	 WITH(shutdown_options), 0, 0, GROUP_STORE, 0, run_shutdown,
	 "", "End the use of the store: its mounts go", 0},
	{{"status"}, "", "Check on graph driver status",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_READS, run_status,
	 "", "Print the directories of the store, and its driver", 0},
	{{"unshare"}, "[command [...]]", "Run a command in a user namespace",
	 NONE, 0, ANY, GROUP_STORE, COMMAND_NO_STORE | COMMAND_STOP_EARLY, run_unshare,
	 "[COMMAND [ARGUMENT...]]", "Run a command, or a shell, in a user namespace", 0},
	{{"version"}, "", "Return containers-storage version information",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_NO_STORE | COMMAND_READS, run_version,
	 "", "Print the version", 0},
	{{"wipe"}, "", "Wipe all layers, images, and containers",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_PROGRESS, run_wipe,
	 "", "Delete all layers, images and containers", 0},
	{{"df"}, NULL, NULL,
	 WITH(json_only), 0, ANY, GROUP_STORE, COMMAND_OURS | COMMAND_PROGRESS | COMMAND_READS, run_df,
	 "[ITEM...]", "Show what takes how much room on the disk", KIND_ANY},
	{{"prune"}, NULL, NULL,
	 WITH(prune_options), 0, 0, GROUP_STORE, COMMAND_OURS | COMMAND_PROGRESS | COMMAND_DRY_RUN, run_prune,
	 "", "Delete what nobody uses", 0},
	{{"inspect"}, NULL, NULL,
	 WITH(json_only), 1, ANY, GROUP_STORE, COMMAND_OURS | COMMAND_READS, run_inspect,
	 "ITEM...", "Show all there is to know of an item, as JSON", KIND_ANY},
	{{"locks"}, NULL, NULL,
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_OURS | COMMAND_NO_STORE, run_locks,
	 "", "Show who holds which lock, and who waits", 0},
	{{"chunked"}, NULL, NULL,
	 WITH(chunked_options), 2, 2, GROUP_LAYERS, COMMAND_OURS | COMMAND_NO_STORE | COMMAND_READS | COMMAND_PROGRESS, run_chunked,
	 "inspect|create|verify FILE|LAYER", "Look into zstd:chunked and eStargz layers, or write one", KIND_LAYER, chunked_actions},
	{{"tree"}, NULL, NULL,
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_OURS | COMMAND_READS, run_tree,
	 "", "Show images with their layers and containers", 0},
	{{"create-composefs"}, NULL, NULL,
	 WITH(create_composefs_options), 0, 1, GROUP_STORE, COMMAND_OURS | COMMAND_NO_STORE | COMMAND_READS, run_create_composefs,
	 "[DUMP]", "Make a composefs image of a dump", 0},
	{{"dump-composefs"}, NULL, NULL,
	 WITH(dump_composefs_options), 1, 2, GROUP_STORE, COMMAND_OURS | COMMAND_NO_STORE | COMMAND_READS, run_dump_composefs,
	 "IMAGE [PATH]", "Print what is in a composefs image", 0},
};
/* clang-format on */
const size_t n_commands = COUNT(commands);

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
	        {COMMAND_PROGRESS, {progress_options, COUNT(progress_options)}},
	};
	size_t n = 0;
	tables[n++] = (struct option_table){command->options, command->n_options};
	for (size_t i = 0; i < COUNT(added); i++)
		if (command->flags & added[i].flag)
			tables[n++] = added[i].table;
	return n;
}

const struct command *command_find(const char *word)
{
	for (size_t i = 0; i < n_commands; i++)
		for (size_t n = 0; n < COUNT(commands[i].names) && commands[i].names[n]; n++)
			if (strcmp(word, commands[i].names[n]) == 0)
				return &commands[i];
	return NULL;
}
