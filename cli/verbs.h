/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, in the order of help (docs/format/command.md, "Commands"). commands.c includes this twice: its texts and its code go
 * into two tables, so that the loader need not write the pages of the texts at every start (docs/design.md, "Dependencies").
 *
 * VERB(names, operands and description of containers-storage's help, options, fewest and most operands, group, flags, code,
 *      operands and description of our help, kinds of things that operands name) */
/* clang-format off */
	VERB(NAMES("check"), "", "Check storage consistency",
	 check_options, 0, 0, GROUP_STORE, COMMAND_PROGRESS | COMMAND_CHECKS, run_check,
	 "", "Look for what is wrong in the store", 0)
	VERB(NAMES("config"), "[configurationFile]", "Print storage library configuration as JSON",
	 no_options, 0, 1, GROUP_STORE, COMMAND_NO_STORE | COMMAND_ADD_JSON | COMMAND_READS, run_config,
	 "[FILE]", "Print the configuration of storage as JSON", 0)
	VERB(NAMES("container"), CONTAINERS, "Examine a container",
	 json_only, 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_container,
	 "CONTAINER...", "Show containers", KIND_CONTAINER)
	VERB(NAMES("list-container-data", "listcontainerdata"), ONE_CONTAINER,
	 "List data items that are attached to an container",
	 json_only, 1, 1, GROUP_DATA, COMMAND_READS, run_list_container_data,
	 "CONTAINER", "List the data items of a container", KIND_CONTAINER)
	VERB(NAMES("get-container-data", "getcontainerdata"), ONE_CONTAINER " dataName",
	 "Get data that is attached to an container",
	 write_data_options, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_container_data,
	 "CONTAINER KEY", "Print a data item of a container", KIND_CONTAINER)
	VERB(NAMES("get-container-data-size", "getcontainerdatasize"), ONE_CONTAINER " dataName",
	 "Get size of data that is attached to an container",
	 no_options, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_container_data_size,
	 "CONTAINER KEY", "Print the size of a data item of a container", KIND_CONTAINER)
	VERB(NAMES("get-container-data-digest", "getcontainerdatadigest"), ONE_CONTAINER " dataName",
	 "Get digest of data that is attached to an container",
	 no_options, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_container_data_digest,
	 "CONTAINER KEY", "Print the digest of a data item of a container", KIND_CONTAINER)
	VERB(NAMES("set-container-data", "setcontainerdata"), ONE_CONTAINER " dataName",
	 "Set data that is attached to an container",
	 read_data_options, 2, 2, GROUP_DATA, 0, run_set_container_data,
	 "CONTAINER KEY", "Set a data item of a container", KIND_CONTAINER)
	VERB(NAMES("get-container-dir", "getcontainerdir"), ONE_CONTAINER,
	 "Find the container's associated data directory",
	 no_options, 1, 1, GROUP_CONTAINERS, COMMAND_ADD_JSON, run_get_container_directory,
	 "CONTAINER", "Print a container's directory", KIND_CONTAINER)
	VERB(NAMES("get-container-run-dir", "getcontainerrundir"), ONE_CONTAINER,
	 "Find the container's associated runtime directory",
	 no_options, 1, 1, GROUP_CONTAINERS, COMMAND_ADD_JSON, run_get_container_run_directory,
	 "CONTAINER", "Print a container's directory in the run root", KIND_CONTAINER)
	VERB(NAMES("container-parent-owners"), CONTAINERS,
	 "Compute the set of unmapped parent UIDs and GIDs of the container",
	 json_only, 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_container_parent_owners,
	 "CONTAINER...", "List unmapped owners above a container's mount", KIND_CONTAINER)
	VERB(NAMES("containers"), OPTS, "List containers",
	 json_only, 0, 0, GROUP_CONTAINERS, COMMAND_LISTS | COMMAND_READS, run_containers,
	 "", "List containers", 0)
	VERB(NAMES("copy"), OPTS " [sourceLayerNameOrID:]/path [...] targetLayerNameOrID:/path",
	 "Copy files or directories into a layer, possibly from another layer",
	 copy_options, 2, ANY, GROUP_LAYERS, COMMAND_PROGRESS, run_copy,
	 "[LAYER:]PATH... LAYER:PATH", "Copy files into a layer or container", LAYER_OR_CONTAINER)
	VERB(NAMES("create-storage-layer"), PARENT, "Create a new layer only in the storage driver",
	 create_storage_layer_options, 0, 1, GROUP_LAYERS, COMMAND_MAKES_STORE, run_create_storage_layer,
	 "[PARENT]", "Create a layer that only the storage driver knows", KIND_LAYER)
	VERB(NAMES("create-layer", "createlayer"), PARENT, "Create a new layer",
	 create_layer_options, 0, 1, GROUP_LAYERS, COMMAND_MAKES_STORE, run_create_layer,
	 "[PARENT]", "Create an empty layer", KIND_LAYER)
	VERB(NAMES("import-layer", "importlayer"), PARENT, "Import a new layer",
	 import_layer_options, 0, 1, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_MAKES_STORE | COMMAND_CLAIMS, run_import_layer,
	 "[PARENT]", "Create a layer from an archive", KIND_LAYER)
	VERB(NAMES("staged"), "", "",
	 json_only, 0, 0, GROUP_LAYERS, COMMAND_OURS | COMMAND_READS, run_staged,
	 "", "List staged layers that were kept", 0)
	VERB(NAMES("discard-staged"), "", "",
	 json_only, 1, ANY, GROUP_LAYERS, COMMAND_OURS, run_discard_staged,
	 "ID...", "Remove staged layers that were kept", 0)
	VERB(NAMES("import-layers"), "", "",
	 import_layers_options, 1, ANY, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_OURS | COMMAND_MAKES_STORE, run_import_layers,
	 "FILE...", "Create the layers of an image from archives, the base first", 0)
	VERB(NAMES("import"), "", "",
	 import_options, 1, ANY, GROUP_IMAGES, COMMAND_PROGRESS | COMMAND_OURS | COMMAND_MAKES_STORE, run_import,
	 "SOURCE [NAME...]", "Import an image from oci:DIR[:REF] or tar:FILE", 0)
	VERB(NAMES("create-image", "createimage"), OPTS " topLayerNameOrID",
	 "Create a new image using layers",
	 create_image_options, 0, 1, GROUP_IMAGES, COMMAND_MAKES_STORE, run_create_image,
	 "[LAYER]", "Create an image of a layer and those below it", KIND_LAYER)
	VERB(NAMES("create-container", "createcontainer"), OPTS " parentImageNameOrID",
	 "Create a new container from an image",
	 create_container_options, 1, 1, GROUP_CONTAINERS, COMMAND_MAKES_STORE | COMMAND_MAKES_CONTAINER, run_create_container,
	 "IMAGE", "Create a container from an image", KIND_IMAGE)
	VERB(NAMES("dedup"), "", "Dedup all images",
	 dedup_options, 0, 0, GROUP_STORE, COMMAND_PROGRESS | COMMAND_DRY_RUN, run_dedup,
	 "", "Let equal files share their room on the disk", 0)
	VERB(NAMES("delete"), ANY_KIND, "Delete a layer or image or container, with no safety checks",
	 json_only, 1, ANY, GROUP_STORE, COMMAND_PROGRESS, run_delete,
	 "ITEM...", "Delete anything, without safety checks", KIND_ANY)
	VERB(NAMES("delete-layer", "deletelayer"), "[LayerNameOrID [...]]",
	 "Delete a layer, with safety checks",
	 json_only, 1, ANY, GROUP_LAYERS, COMMAND_PROGRESS, run_delete_layer,
	 "LAYER...", "Delete layers that nothing uses", KIND_LAYER)
	VERB(NAMES("delete-image", "deleteimage"), "[ImageNameOrID [...]]",
	 "Delete an image, with safety checks",
	 delete_image_options, 1, ANY, GROUP_IMAGES, COMMAND_PROGRESS, run_delete_image,
	 "IMAGE...", "Delete images, and layers that nothing uses then", KIND_IMAGE)
	VERB(NAMES("delete-container", "deletecontainer"), "[ContainerNameOrID [...]]",
	 "Delete a container, with safety checks",
	 json_only, 1, ANY, GROUP_CONTAINERS, COMMAND_PROGRESS, run_delete_container,
	 "CONTAINER...", "Delete containers", KIND_CONTAINER)
	VERB(NAMES("changes"), TWO_LAYERS, "Compare two layers",
	 json_only, 1, 2, GROUP_LAYERS, COMMAND_READS, run_changes,
	 "LAYER [REFERENCE]", "List what a layer changes", LAYER_OR_CONTAINER)
	VERB(NAMES("diffsize", "diff-size"), TWO_LAYERS, "Compare two layers",
	 no_options, 1, 2, GROUP_LAYERS, COMMAND_ADD_JSON | COMMAND_READS, run_diff_size,
	 "LAYER [REFERENCE]", "Print how many bytes a layer adds and changes", LAYER_OR_CONTAINER)
	VERB(NAMES("diff"), TWO_LAYERS, "Compare two layers",
	 diff_options, 1, 2, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_READS | COMMAND_VERIFIES, run_diff,
	 "LAYER [REFERENCE]", "Write what a layer changes as an archive", LAYER_OR_CONTAINER)
	VERB(NAMES("applydiff", "apply-diff"), TWO_LAYERS, "Apply a diff to a layer",
	 apply_diff_options, 1, 1, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_ADD_JSON, run_apply_diff,
	 "LAYER", "Unpack an archive onto a layer", KIND_LAYER)
	VERB(NAMES("applydiff-using-staging-dir"), "layerNameOrID directory",
	 "Apply a diff to a layer using a staging directory",
	 no_options, 2, 2, GROUP_LAYERS, COMMAND_PROGRESS | COMMAND_ADD_JSON | COMMAND_MAKES_STORE, run_apply_directory,
	 "LAYER DIRECTORY", "Make a layer of a directory's files", KIND_LAYER)
	VERB(NAMES("exists"), ANY_KIND, "Check if a layer or image or container exists",
	 exists_options, 1, ANY, GROUP_STORE, COMMAND_READS, run_exists,
	 "ITEM...", "Check if layers, images or containers exist", KIND_ANY)
	VERB(NAMES("gc"), "", "Perform garbage collection",
	 json_only, 0, 0, GROUP_STORE, COMMAND_DRY_RUN, run_gc,
	 "", "Remove what no record knows", 0)
	VERB(NAMES("image"), ONE_IMAGE " [...]", "Examine an image",
	 json_only, 1, ANY, GROUP_IMAGES, COMMAND_READS, run_image,
	 "IMAGE...", "Show images", KIND_IMAGE)
	VERB(NAMES("list-image-data", "listimagedata"), ONE_IMAGE,
	 "List data items that are attached to an image",
	 json_only, 1, 1, GROUP_DATA, COMMAND_READS, run_list_image_data,
	 "IMAGE", "List the data items of an image", KIND_IMAGE)
	VERB(NAMES("get-image-data", "getimagedata"), ONE_IMAGE " dataName",
	 "Get data that is attached to an image",
	 write_data_options, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_image_data,
	 "IMAGE KEY", "Print a data item of an image", KIND_IMAGE)
	VERB(NAMES("get-image-data-size", "getimagedatasize"), ONE_IMAGE " dataName",
	 "Get size of data that is attached to an image",
	 no_options, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_image_data_size,
	 "IMAGE KEY", "Print the size of a data item of an image", KIND_IMAGE)
	VERB(NAMES("get-image-data-digest", "getimagedatadigest"), ONE_IMAGE " dataName",
	 "Get digest of data that is attached to an image",
	 no_options, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_image_data_digest,
	 "IMAGE KEY", "Print the digest of a data item of an image", KIND_IMAGE)
	VERB(NAMES("set-image-data", "setimagedata"), ONE_IMAGE " dataName",
	 "Set data that is attached to an image (with sometimes wrong digest)",
	 read_data_options, 2, 2, GROUP_DATA, 0, run_set_image_data,
	 "IMAGE KEY", "Set a data item of an image", KIND_IMAGE)
	VERB(NAMES("get-image-dir", "getimagedir"), ONE_IMAGE,
	 "Find the image's associated data directory",
	 no_options, 1, 1, GROUP_IMAGES, COMMAND_ADD_JSON, run_get_image_directory,
	 "IMAGE", "Print an image's directory", KIND_IMAGE)
	VERB(NAMES("get-image-run-dir", "getimagerundir"), ONE_IMAGE,
	 "Find the image's associated runtime directory",
	 no_options, 1, 1, GROUP_IMAGES, COMMAND_ADD_JSON, run_get_image_run_directory,
	 "IMAGE", "Print an image's directory in the run root", KIND_IMAGE)
	VERB(NAMES("images"), OPTS, "List images",
	 images_options, 0, 0, GROUP_IMAGES, COMMAND_LISTS | COMMAND_READS, run_images,
	 "", "List images", 0)
	VERB(NAMES("images-by-digest"), OPTS " DIGEST", "List images by digest",
	 images_options, 1, 1, GROUP_IMAGES, COMMAND_LISTS | COMMAND_READS, run_images_by_digest,
	 "DIGEST", "List the images that have a digest", 0)
	VERB(NAMES("layer"), ONE_LAYER " [...]", "Examine a layer",
	 json_only, 1, ANY, GROUP_LAYERS, COMMAND_READS, run_layer,
	 "LAYER...", "Show layers", KIND_LAYER)
	VERB(NAMES("layer-parent-owners"), ONE_LAYER " [...]",
	 "Compute the set of unmapped parent UIDs and GIDs of the layer",
	 json_only, 1, ANY, GROUP_LAYERS, COMMAND_READS, run_layer_parent_owners,
	 "LAYER...", "List unmapped owners above a layer's mount", KIND_LAYER)
	VERB(NAMES("list-layer-data", "listlayerdata"), ONE_LAYER,
	 "List data items that are attached to a layer",
	 json_only, 1, 1, GROUP_DATA, COMMAND_READS, run_list_layer_data,
	 "LAYER", "List the data items of a layer", KIND_LAYER)
	VERB(NAMES("get-layer-data", "getlayerdata"), OPTS " layerID dataName",
	 "Get data that is attached to a layer",
	 write_data_options, 2, 2, GROUP_DATA, COMMAND_ADD_JSON | COMMAND_READS, run_get_layer_data,
	 "LAYER KEY", "Print a data item of a layer", KIND_LAYER)
	VERB(NAMES("set-layer-data", "setlayerdata"), OPTS " layerID dataName",
	 "Set data that is attached to a layer",
	 read_data_options, 2, 2, GROUP_DATA, 0, run_set_layer_data,
	 "LAYER KEY", "Set a data item of a layer", KIND_LAYER)
	VERB(NAMES("layers"), OPTS, "List layers",
	 layers_options, 0, 0, GROUP_LAYERS, COMMAND_LISTS | COMMAND_READS, run_layers,
	 "", "List layers", 0)
	VERB(NAMES("storage-layers"), OPTS, "List storage layers",
	 json_only, 0, 0, GROUP_LAYERS, COMMAND_READS, run_storage_layers,
	 "", "List the layers that the storage driver has", 0)
	VERB(NAMES("metadata"), ANY_KIND, "Retrieve layer, image, or container metadata",
	 metadata_options, 1, ANY, GROUP_DATA, COMMAND_READS, run_metadata,
	 "ITEM...", "Print the metadata of layers, images and containers", KIND_ANY)
	VERB(NAMES("set-metadata", "setmetadata"), OPTS " layerOrImageOrContainerNameOrID",
	 "Set layer, image, or container metadata",
	 set_metadata_options, 1, 1, GROUP_DATA, 0, run_set_metadata,
	 "ITEM", "Set the metadata of a layer, image or container", KIND_ANY)
	VERB(NAMES("mount"), OPTS " " MOUNTABLE, "Mount a layer or container",
	 mount_options, 1, ANY, GROUP_CONTAINERS, 0, run_mount,
	 "ITEM...", "Mount layers, containers or images", KIND_ANY)
	VERB(NAMES("unmount", "umount"), MOUNTABLE, "Unmount an image, layer or container",
	 unmount_options, 1, ANY, GROUP_CONTAINERS, 0, run_unmount,
	 "ITEM...", "Unmount layers, images and containers", KIND_ANY)
	VERB(NAMES("mounted"), MOUNTABLE, "Check if a file system is mounted",
	 json_only, 1, ANY, GROUP_CONTAINERS, COMMAND_READS, run_mounted,
	 "ITEM...", "Check which layers and containers are mounted", LAYER_OR_CONTAINER)
	VERB(NAMES("get-names", "getnames"), ANY_NAMES, "Get layer, image, or container name or names",
	 json_only, 1, 1, GROUP_DATA, COMMAND_READS, run_get_names,
	 "ITEM", "Print the names of a layer, image or container", KIND_ANY)
	VERB(NAMES("add-names", "addnames"), ANY_NAMES, "Add layer, image, or container name or names",
	 add_names_options, 1, ANY, GROUP_DATA, 0, run_add_names,
	 "ITEM", "Add names to a layer, image or container", KIND_ANY)
	VERB(NAMES("remove-names", "removenames"), ANY_NAMES,
	 "Remove layer, image, or container name or names",
	 remove_names_options, 1, ANY, GROUP_DATA, 0, run_remove_names,
	 "ITEM", "Take names away from a layer, image or container", KIND_ANY)
	VERB(NAMES("set-names", "setnames"), ANY_NAMES, "Set layer, image, or container name or names",
	 set_names_options, 1, ANY, GROUP_DATA, 0, run_set_names,
	 "ITEM", "Set the names of a layer, image or container", KIND_ANY)
	VERB(NAMES("shutdown"), "", "Shut down layer storage",
	 shutdown_options, 0, 0, GROUP_STORE, 0, run_shutdown,
	 "", "End the use of the store: its mounts go", 0)
	VERB(NAMES("status"), "", "Check on graph driver status",
	 json_only, 0, 0, GROUP_STORE, COMMAND_READS, run_status,
	 "", "Print the directories of the store, and its driver", 0)
	VERB(NAMES("unshare"), "[command [...]]", "Run a command in a user namespace",
	 no_options, 0, ANY, GROUP_STORE, COMMAND_NO_STORE | COMMAND_STOP_EARLY, run_unshare,
	 "[COMMAND [ARGUMENT...]]", "Run a command, or a shell, in a user namespace", 0)
	VERB(NAMES("version"), "", "Return containers-storage version information",
	 json_only, 0, 0, GROUP_STORE, COMMAND_NO_STORE | COMMAND_READS, run_version,
	 "", "Print the version", 0)
	VERB(NAMES("wipe"), "", "Wipe all layers, images, and containers",
	 json_only, 0, 0, GROUP_STORE, COMMAND_PROGRESS, run_wipe,
	 "", "Delete all layers, images and containers", 0)
	VERB(NAMES("df"), "", "",
	 json_only, 0, ANY, GROUP_STORE, COMMAND_OURS | COMMAND_PROGRESS | COMMAND_READS, run_df,
	 "[ITEM...]", "Show what takes how much room on the disk", KIND_ANY)
	VERB(NAMES("prune"), "", "",
	 prune_options, 0, 0, GROUP_STORE, COMMAND_OURS | COMMAND_PROGRESS | COMMAND_DRY_RUN, run_prune,
	 "", "Delete what nobody uses", 0)
	VERB(NAMES("inspect"), "", "",
	 json_only, 1, ANY, GROUP_STORE, COMMAND_OURS | COMMAND_READS, run_inspect,
	 "ITEM...", "Show all there is to know of an item, as JSON", KIND_ANY)
	VERB(NAMES("locks"), "", "",
	 json_only, 0, 0, GROUP_STORE, COMMAND_OURS | COMMAND_NO_STORE, run_locks,
	 "", "Show who holds which lock, and who waits", 0)
	VERB(NAMES("chunked"), "", "",
	 chunked_options, 2, 2, GROUP_LAYERS, COMMAND_OURS | COMMAND_NO_STORE | COMMAND_READS | COMMAND_PROGRESS, run_chunked,
	 "inspect|create|verify FILE|LAYER", "Look into zstd:chunked and eStargz layers, or write one", KIND_LAYER)
	VERB(NAMES("additional-layer"), "", "",
	 additional_layer_options, 1, 3, GROUP_LAYERS, COMMAND_OURS | COMMAND_MAKES_STORE, run_additional_layer,
	 "list|find|put [DIGEST [PARENT]]", "Take layers from additional layer stores", KIND_LAYER)
	VERB(NAMES("tree"), "", "",
	 json_only, 0, 0, GROUP_STORE, COMMAND_OURS | COMMAND_READS, run_tree,
	 "", "Show images with their layers and containers", 0)
	VERB(NAMES("create-composefs"), "", "",
	 create_composefs_options, 0, 1, GROUP_STORE, COMMAND_OURS | COMMAND_NO_STORE | COMMAND_READS, run_create_composefs,
	 "[DUMP]", "Make a composefs image of a dump", 0)
	VERB(NAMES("dump-composefs"), "", "",
	 dump_composefs_options, 1, 2, GROUP_STORE, COMMAND_OURS | COMMAND_NO_STORE | COMMAND_READS, run_dump_composefs,
	 "IMAGE [PATH]", "Print what is in a composefs image", 0)
