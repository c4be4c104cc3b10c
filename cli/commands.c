/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs and their options in the order of help (docs/format/command.md, "Commands"). */
#include "command.h"
#include <limits.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ANY          UINT_MAX

#define FLAG(id, help, ...)                                \
	{                                                  \
		id, OPTION_BOOL, {__VA_ARGS__}, NULL, help \
	}
#define TEXT(id, help, ...)                                  \
	{                                                    \
		id, OPTION_STRING, {__VA_ARGS__}, NULL, help \
	}
#define LIST(id, help, ...)                                \
	{                                                  \
		id, OPTION_LIST, {__VA_ARGS__}, NULL, help \
	}
#define TEXT_OF(id, initial, help, ...)                         \
	{                                                       \
		id, OPTION_STRING, {__VA_ARGS__}, initial, help \
	}

#define JSON FLAG(OPT_JSON, "Prefer JSON output", "--json", "-j")
#define ID_MAPS                                                                   \
	FLAG(OPT_HOST_UID_MAP, "Force host UID map", "--hostuidmap"),             \
	        FLAG(OPT_HOST_GID_MAP, "Force host GID map", "--hostgidmap"),     \
	        TEXT(OPT_UID_MAP, "UID map", "--uidmap"),                         \
	        TEXT(OPT_GID_MAP, "GID map", "--gidmap"),                         \
	        TEXT(OPT_SUBUID_MAP, "subuid UID map for a user", "--subuidmap"), \
	        TEXT(OPT_SUBGID_MAP, "subgid GID map for a group", "--subgidmap")
#define NEW_LAYER                                                                                \
	TEXT(OPT_LABEL, "Mount Label", "--label", "-l"), TEXT(OPT_ID, "Layer ID", "--id", "-i"), \
	        FLAG(OPT_READ_ONLY, "Mark as read-only", "--readonly", "-r"), JSON, ID_MAPS
#define METADATA                                            \
	TEXT(OPT_METADATA, "Metadata", "--metadata", "-m"), \
	        TEXT(OPT_METADATA_FILE, "Metadata File", "--metadata-file", "-f")

const struct option global_options[] = {
        TEXT(OPT_GRAPH, "Root of the storage tree", "--graph", "-g"),
        TEXT(OPT_RUN, "Root of the runtime state tree", "--run", "-R"),
        TEXT(OPT_IMAGE_STORE, "Root of the separate image store", "--image-store"),
        FLAG(OPT_TRANSIENT_STORE, "Transient store", "--transient-store"),
        TEXT(OPT_STORAGE_DRIVER, "Storage driver to use ($STORAGE_DRIVER)", "--storage-driver",
             "-s"),
        LIST(OPT_STORAGE_OPT, "Set storage driver options ($STORAGE_OPTS)", "--storage-opt"),
        FLAG(OPT_DEBUG, "Print debugging information", "--debug", "-D"),
        /* Its help text ends in the default, which help.c adds. */
        FLAG(OPT_UNSHARE, "Run in a user namespace", "--unshare", "-U"),
};
const size_t n_global_options = COUNT(global_options);

const struct option help_option = FLAG(OPT_HELP, "Print usage", "--help");

const struct option gnu_options[] = {
        FLAG(OPT_READ_ONLY_STORE,
             "Only read the store, as is done by itself where it cannot be written",
             "--read-only-store"),
        FLAG(OPT_HELP, "Print help and exit", "--help", "-h"),
        FLAG(OPT_VERSION, "Print the version and exit", "--version"),
};
const size_t n_gnu_options = COUNT(gnu_options);

const struct option progress_options[] = {
        TEXT_OF(OPT_PROGRESS, "auto", "Show progress: json, none, or auto for a bar on a terminal",
                "--progress"),
        TEXT(OPT_PROGRESS_FD, "Write progress to this descriptor, not to stderr", "--progress-fd"),
};
const size_t n_progress_options = COUNT(progress_options);

const struct option json_option = JSON;

static const struct option json_only[] = {JSON};
static const struct option check_options[] = {
        TEXT_OF(OPT_MAX, "24h", "Maximum allowed age for unreferenced layers", "--max", "-m"),
        FLAG(OPT_REPAIR, "Remove damaged images and layers", "--repair", "-r"),
        FLAG(OPT_FORCE, "Remove damaged containers", "--force", "-f"),
        FLAG(OPT_QUIET, "Perform only quick checks", "--quick", "-q"),
        JSON,
};
static const struct option write_data_options[] = {
        TEXT(OPT_FILE, "Write data to file", "--file", "-f"),
};
static const struct option read_data_options[] = {
        TEXT(OPT_FILE, "Read data from file", "--file", "-f"),
};
static const struct option copy_options[] = {
        TEXT(OPT_CHOWN, "Set owner on new copies", "--chown", "-o"),
        JSON,
};
static const struct option create_storage_layer_options[] = {NEW_LAYER};
static const struct option create_layer_options[] = {
        LIST(OPT_NAME, "Layer name", "--name", "-n"),
        NEW_LAYER,
};
static const struct option import_layer_options[] = {
        LIST(OPT_NAME, "Layer name", "--name", "-n"),
        TEXT(OPT_FILE, "Read from file instead of stdin", "--file", "-f"),
        NEW_LAYER,
};
static const struct option import_options[] = {
        TEXT(OPT_ARCHITECTURE, "Architecture to choose or to record, such as arm64",
             "--architecture"),
        TEXT(OPT_OS, "Operating system to choose or to record", "--os"),
        JSON,
};
static const struct option create_image_options[] = {
        LIST(OPT_NAME, "Image name", "--name", "-n"),
        TEXT(OPT_ID, "Image ID", "--id", "-i"),
        TEXT(OPT_DIGEST, "Image Digest", "--digest", "-d"),
        METADATA,
        JSON,
};
static const struct option create_container_options[] = {
        LIST(OPT_NAME, "Container name", "--name", "-n"),
        TEXT(OPT_ID, "Container ID", "--id", "-i"),
        FLAG(OPT_VOLATILE, "Mark as volatile", "--volatile"),
        METADATA,
        JSON,
        ID_MAPS,
};
static const struct option dedup_options[] = {
        JSON,
        TEXT_OF(OPT_HASH_METHOD, "crc",
                "Specify the hash function to use to detect identical files", "--hash-method"),
};
static const struct option delete_image_options[] = {
        FLAG(OPT_TEST, "Only test removal", "--test", "-t"),
        JSON,
};
static const struct option diff_options[] = {
        TEXT(OPT_FILE, "Write to file instead of stdout", "--file", "-f"),
        FLAG(OPT_UNCOMPRESSED, "Use no compression", "--uncompressed", "-u"),
        FLAG(OPT_GZIP, "Compress using gzip", "--gzip", "-c"),
        FLAG(OPT_BZIP2, "Compress using bzip2 (not currently supported)", "--bzip2", "--bz2", "-b"),
        FLAG(OPT_XZ, "Compress using xz (not currently supported)", "--xz", "-x"),
};
static const struct option apply_diff_options[] = {
        TEXT(OPT_FILE, "Read from file instead of stdin", "--file", "-f"),
};
static const struct option exists_options[] = {
        FLAG(OPT_QUIET, "Don't print names", "--quiet", "-q"),
        FLAG(OPT_LAYER, "Only succeed if the match is a layer", "--layer", "-l"),
        FLAG(OPT_IMAGE, "Only succeed if the match is an image", "--image", "-i"),
        FLAG(OPT_CONTAINER, "Only succeed if the match is a container", "--container", "-c"),
        JSON,
};
static const struct option images_options[] = {
        FLAG(OPT_QUIET, "Only print IDs", "--quiet", "-q"),
        JSON,
};
static const struct option layers_options[] = {
        FLAG(OPT_TREE, "Use a tree", "--tree", "-t"),
        FLAG(OPT_QUIET, "Just the IDs", "--quick", "-q"),
        JSON,
};
static const struct option metadata_options[] = {
        FLAG(OPT_QUIET, "Omit names and IDs", "--quiet", "-q"),
        JSON,
};
static const struct option set_metadata_options[] = {METADATA};
static const struct option mount_options[] = {
        TEXT(OPT_MOUNT_OPTIONS, "Mount Options", "--opt", "-o"),
        TEXT(OPT_LABEL, "Mount Label", "--label", "-l"),
        FLAG(OPT_READ_ONLY, "Mount image readonly", "--read-only", "--ro", "-r"),
        JSON,
};
static const struct option unmount_options[] = {
        FLAG(OPT_FORCE, "Force the umount", "--force", "-f"),
        JSON,
};
static const struct option shutdown_options[] = {
        FLAG(OPT_FORCE, "Unmount mounted layers first", "--force", "-f"),
        JSON,
};
static const struct option add_names_options[] = {
        LIST(OPT_NAME, "Name to add", "--name", "-n"),
        JSON,
};
static const struct option remove_names_options[] = {
        LIST(OPT_NAME, "Name to remove", "--name", "-n"),
        JSON,
};
static const struct option set_names_options[] = {
        LIST(OPT_NAME, "New name", "--name", "-n"),
        JSON,
};

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
	 WITH(check_options), 0, 0, GROUP_STORE, COMMAND_NO_STORE, run_check},
	{{"config"}, "[configurationFile]", "Print storage library configuration as JSON",
	 NONE, 0, 1, GROUP_STORE, COMMAND_NO_STORE | COMMAND_ADD_JSON | COMMAND_READS, run_config},
	{{"container"}, CONTAINERS, "Examine a container",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_container},
	{{"list-container-data", "listcontainerdata"}, ONE_CONTAINER,
	 "List data items that are attached to an container",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_list_container_data},
	{{"get-container-data", "getcontainerdata"}, ONE_CONTAINER " dataName",
	 "Get data that is attached to an container",
	 WITH(write_data_options), 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS,
	 run_get_container_data},
	{{"get-container-data-size", "getcontainerdatasize"}, ONE_CONTAINER " dataName",
	 "Get size of data that is attached to an container",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS,
	 run_get_container_data_size},
	{{"get-container-data-digest", "getcontainerdatadigest"}, ONE_CONTAINER " dataName",
	 "Get digest of data that is attached to an container",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS,
	 run_get_container_data_digest},
	{{"set-container-data", "setcontainerdata"}, ONE_CONTAINER " dataName",
	 "Set data that is attached to an container",
	 WITH(read_data_options), 2, 2, GROUP_DATA, 0, run_set_container_data},
	{{"get-container-dir", "getcontainerdir"}, ONE_CONTAINER,
	 "Find the container's associated data directory",
	 NONE, 1, 1, GROUP_CONTAINERS, COMMAND_ADD_JSON, run_get_container_directory},
	{{"get-container-run-dir", "getcontainerrundir"}, ONE_CONTAINER,
	 "Find the container's associated runtime directory",
	 NONE, 1, 1, GROUP_CONTAINERS, COMMAND_ADD_JSON, run_get_container_run_directory},
	{{"container-parent-owners"}, CONTAINERS,
	 "Compute the set of unmapped parent UIDs and GIDs of the container",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_container_parent_owners},
	{{"containers"}, OPTS, "List containers",
	 WITH(json_only), 0, 0, GROUP_CONTAINERS, COMMAND_READS, run_containers},
	{{"copy"}, OPTS " [sourceLayerNameOrID:]/path [...] targetLayerNameOrID:/path",
	 "Copy files or directories into a layer, possibly from another layer",
	 WITH(copy_options), 2, ANY, GROUP_LAYERS, COMMAND_PROGRESS, run_copy},
	{{"create-storage-layer"}, PARENT, "Create a new layer only in the storage driver",
	 WITH(create_storage_layer_options), 0, 1, GROUP_LAYERS, 0, run_create_storage_layer},
	{{"create-layer", "createlayer"}, PARENT, "Create a new layer",
	 WITH(create_layer_options), 0, 1, GROUP_LAYERS, 0, run_create_layer},
	{{"import-layer", "importlayer"}, PARENT, "Import a new layer",
	 WITH(import_layer_options), 0, 1, GROUP_LAYERS, COMMAND_PROGRESS, run_import_layer},
	{{"import"}, "source [name ...]", "Import an image: oci:DIR[:REF] or tar:FILE",
	 WITH(import_options), 1, ANY, GROUP_IMAGES, COMMAND_PROGRESS | COMMAND_OURS, run_import},
	{{"create-image", "createimage"}, OPTS " topLayerNameOrID",
	 "Create a new image using layers",
	 WITH(create_image_options), 0, 1, GROUP_IMAGES, 0, run_create_image},
	{{"create-container", "createcontainer"}, OPTS " parentImageNameOrID",
	 "Create a new container from an image",
	 WITH(create_container_options), 1, 1, GROUP_CONTAINERS, 0, run_create_container},
	{{"dedup"}, "", "Dedup all images",
	 WITH(dedup_options), 0, 0, GROUP_STORE, COMMAND_NO_STORE, run_dedup},
	{{"delete"}, ANY_KIND, "Delete a layer or image or container, with no safety checks",
	 WITH(json_only), 1, ANY, GROUP_STORE, COMMAND_PROGRESS, run_delete},
	{{"delete-layer", "deletelayer"}, "[LayerNameOrID [...]]",
	 "Delete a layer, with safety checks",
	 WITH(json_only), 1, ANY, GROUP_LAYERS, COMMAND_PROGRESS, run_delete_layer},
	{{"delete-image", "deleteimage"}, "[ImageNameOrID [...]]",
	 "Delete an image, with safety checks",
	 WITH(delete_image_options), 1, ANY, GROUP_IMAGES, COMMAND_PROGRESS, run_delete_image},
	{{"delete-container", "deletecontainer"}, "[ContainerNameOrID [...]]",
	 "Delete a container, with safety checks",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_PROGRESS, run_delete_container},
	{{"changes"}, TWO_LAYERS, "Compare two layers",
	 WITH(json_only), 1, 2, GROUP_LAYERS, COMMAND_READS, run_changes},
	{{"diffsize", "diff-size"}, TWO_LAYERS, "Compare two layers",
	 NONE, 1, 2, GROUP_LAYERS, COMMAND_ADD_JSON | COMMAND_READS, run_diff_size},
	{{"diff"}, TWO_LAYERS, "Compare two layers",
	 WITH(diff_options), 1, 2, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_READS, run_diff},
	{{"applydiff", "apply-diff"}, TWO_LAYERS, "Apply a diff to a layer",
	 WITH(apply_diff_options), 1, 1, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_ADD_JSON,
	 run_apply_diff},
	{{"applydiff-using-staging-dir"}, "layerNameOrID directory",
	 "Apply a diff to a layer using a staging directory",
	 NONE, 2, 2, GROUP_LAYERS, COMMAND_NO_STORE, run_unsupported},
	{{"exists"}, ANY_KIND, "Check if a layer or image or container exists",
	 WITH(exists_options), 1, ANY, GROUP_STORE, COMMAND_READS, run_exists},
	{{"gc"}, "", "Perform garbage collection",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_NO_STORE, run_unsupported},
	{{"image"}, ONE_IMAGE " [...]", "Examine an image",
	 WITH(json_only), 1, ANY, GROUP_IMAGES, COMMAND_READS, run_image},
	{{"list-image-data", "listimagedata"}, ONE_IMAGE,
	 "List data items that are attached to an image",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_list_image_data},
	{{"get-image-data", "getimagedata"}, ONE_IMAGE " dataName",
	 "Get data that is attached to an image",
	 WITH(write_data_options), 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS,
	 run_get_image_data},
	{{"get-image-data-size", "getimagedatasize"}, ONE_IMAGE " dataName",
	 "Get size of data that is attached to an image",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS,
	 run_get_image_data_size},
	{{"get-image-data-digest", "getimagedatadigest"}, ONE_IMAGE " dataName",
	 "Get digest of data that is attached to an image",
	 NONE, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS,
	 run_get_image_data_digest},
	{{"set-image-data", "setimagedata"}, ONE_IMAGE " dataName",
	 "Set data that is attached to an image (with sometimes wrong digest)",
	 WITH(read_data_options), 2, 2, GROUP_DATA, 0, run_set_image_data},
	{{"get-image-dir", "getimagedir"}, ONE_IMAGE,
	 "Find the image's associated data directory",
	 NONE, 1, 1, GROUP_IMAGES, COMMAND_ADD_JSON, run_get_image_directory},
	{{"get-image-run-dir", "getimagerundir"}, ONE_IMAGE,
	 "Find the image's associated runtime directory",
	 NONE, 1, 1, GROUP_IMAGES, COMMAND_ADD_JSON, run_get_image_run_directory},
	{{"images"}, OPTS, "List images",
	 WITH(images_options), 0, 0, GROUP_IMAGES, COMMAND_READS, run_images},
	{{"images-by-digest"}, OPTS " DIGEST", "List images by digest",
	 WITH(images_options), 1, 1, GROUP_IMAGES, COMMAND_READS, run_images_by_digest},
	{{"layer"}, ONE_LAYER " [...]", "Examine a layer",
	 WITH(json_only), 1, ANY, GROUP_LAYERS, COMMAND_READS, run_layer},
	{{"layer-parent-owners"}, ONE_LAYER " [...]",
	 "Compute the set of unmapped parent UIDs and GIDs of the layer",
	 WITH(json_only), 1, ANY, GROUP_LAYERS, COMMAND_READS, run_layer_parent_owners},
	{{"list-layer-data", "listlayerdata"}, ONE_LAYER,
	 "List data items that are attached to a layer",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_list_layer_data},
	{{"get-layer-data", "getlayerdata"}, OPTS " layerID dataName",
	 "Get data that is attached to a layer",
	 WITH(write_data_options), 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS,
	 run_get_layer_data},
	{{"set-layer-data", "setlayerdata"}, OPTS " layerID dataName",
	 "Set data that is attached to a layer",
	 WITH(read_data_options), 2, 2, GROUP_DATA, 0, run_set_layer_data},
	{{"layers"}, OPTS, "List layers",
	 WITH(layers_options), 0, 0, GROUP_LAYERS, COMMAND_READS, run_layers},
	{{"storage-layers"}, OPTS, "List storage layers",
	 WITH(json_only), 0, 0, GROUP_LAYERS, COMMAND_READS, run_storage_layers},
	{{"metadata"}, ANY_KIND, "Retrieve layer, image, or container metadata",
	 WITH(metadata_options), 1, ANY, GROUP_DATA, COMMAND_READS, run_metadata},
	{{"set-metadata", "setmetadata"}, OPTS " layerOrImageOrContainerNameOrID",
	 "Set layer, image, or container metadata",
	 WITH(set_metadata_options), 1, 1, GROUP_DATA, 0, run_set_metadata},
	{{"mount"}, OPTS " " MOUNTABLE, "Mount a layer or container",
	 WITH(mount_options), 1, ANY, GROUP_CONTAINERS, 0, run_mount},
	{{"unmount", "umount"}, MOUNTABLE, "Unmount an image, layer or container",
	 WITH(unmount_options), 1, ANY, GROUP_CONTAINERS, 0, run_unmount},
	{{"mounted"}, MOUNTABLE, "Check if a file system is mounted",
	 WITH(json_only), 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_mounted},
	{{"get-names", "getnames"}, ANY_NAMES, "Get layer, image, or container name or names",
	 WITH(json_only), 1, 1, GROUP_DATA, COMMAND_READS, run_get_names},
	{{"add-names", "addnames"}, ANY_NAMES, "Add layer, image, or container name or names",
	 WITH(add_names_options), 1, ANY, GROUP_DATA, 0, run_add_names},
	{{"remove-names", "removenames"}, ANY_NAMES,
	 "Remove layer, image, or container name or names",
	 WITH(remove_names_options), 1, ANY, GROUP_DATA, 0, run_remove_names},
	{{"set-names", "setnames"}, ANY_NAMES, "Set layer, image, or container name or names",
	 WITH(set_names_options), 1, ANY, GROUP_DATA, 0, run_set_names},
	{{"shutdown"}, "", "Shut down layer storage",
	 WITH(shutdown_options), 0, 0, GROUP_STORE, 0, run_shutdown},
	{{"status"}, "", "Check on graph driver status",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_READS, run_status},
	{{"unshare"}, "[command [...]]", "Run a command in a user namespace",
	 NONE, 0, ANY, GROUP_STORE, COMMAND_NO_STORE | COMMAND_STOP_EARLY, run_unshare},
	{{"version"}, "", "Return containers-storage version information",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_NO_STORE | COMMAND_READS, run_version},
	{{"wipe"}, "", "Wipe all layers, images, and containers",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_PROGRESS, run_wipe},
	{{"df"}, "[LayerOrImageOrContainerNameOrID [...]]", "Show what takes how much room on the disk",
	 WITH(json_only), 0, ANY, GROUP_STORE, COMMAND_OURS | COMMAND_PROGRESS, run_df},
	{{"inspect"}, ANY_KIND, "Show all there is to know of a layer, image or container as JSON",
	 WITH(json_only), 1, ANY, GROUP_STORE, COMMAND_OURS, run_inspect},
	{{"locks"}, "", "Show which process holds which lock of the store, and who waits",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_OURS | COMMAND_NO_STORE, run_locks},
	{{"tree"}, "", "Show images with their layers and containers as a tree",
	 WITH(json_only), 0, 0, GROUP_STORE, COMMAND_OURS, run_tree},
};
/* clang-format on */
const size_t n_commands = COUNT(commands);

const struct command *command_find(const char *word)
{
	for (size_t i = 0; i < n_commands; i++)
		for (size_t n = 0; n < COUNT(commands[i].names) && commands[i].names[n]; n++)
			if (strcmp(word, commands[i].names[n]) == 0)
				return &commands[i];
	return NULL;
}
