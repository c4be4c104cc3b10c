#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library from another language, here by Python's ctypes, without a binding: a layer is made of an archive that Python reads, given back
to Python, and an error is read.

    from-python.py FOLDER LAYER.tar

FOLDER is where the store is made (FOLDER/root, FOLDER/run), of the driver vfs.

A struct that begins with its size need not be written down whole. This program knows the first members and says how many bytes that
is; all others have their defaults, also in a library that has more of them."""
import ctypes, hashlib, sys, threading
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p, sizeof

library = ctypes.CDLL("libcstorage.so.0")
CST_EIO_CALLBACK, CST_ENOT_A_LAYER = -11, -113

READ = CFUNCTYPE(c_int64, c_void_p, c_void_p, c_size_t, POINTER(c_void_p))
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t, POINTER(c_void_p))


class StoreOptions(Structure):
    _fields_ = [("size", c_size_t), ("config", c_void_p), ("graph_root", c_char_p), ("run_root", c_char_p), ("image_store", c_char_p),
                ("driver", c_char_p)]


class LayerOptions(Structure):
    _fields_ = [("size", c_size_t), ("id", c_char_p), ("parent", c_char_p)]


class Source(Structure):
    _fields_ = [("read", READ), ("userdata", c_void_p)]


class Sink(Structure):
    _fields_ = [("write", WRITE), ("userdata", c_void_p)]


class Failure(Exception):
    def __init__(self, error):
        self.code = library.cst_error_code(error)
        super().__init__(library.cst_error_message(error).decode())
        library.cst_error_free(error)


def declare(result, name, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


declare(c_char_p, "cst_error_message", c_void_p)
declare(c_int, "cst_error_code", c_void_p)
declare(None, "cst_error_free", c_void_p)
declare(c_int, "cst_error_set", POINTER(c_void_p), c_int, c_int, c_char_p)
declare(c_int, "cst_store_open", POINTER(StoreOptions), POINTER(c_void_p), POINTER(c_void_p))
declare(None, "cst_store_close", c_void_p)
declare(c_int, "cst_store_create_layer", c_void_p, POINTER(LayerOptions), POINTER(Source), POINTER(c_void_p), POINTER(c_void_p))
declare(c_int, "cst_store_diff", c_void_p, c_char_p, c_char_p, c_void_p, POINTER(Sink), POINTER(c_void_p))
declare(c_int, "cst_store_delete_layer", c_void_p, c_char_p, POINTER(c_void_p))
declare(c_char_p, "cst_layer_id", c_void_p)
declare(None, "cst_layer_free", c_void_p)
declare(c_int, "cst_store_layers", c_void_p, POINTER(c_void_p), POINTER(c_void_p))
declare(c_size_t, "cst_layer_list_size", c_void_p)
declare(None, "cst_layer_list_free", c_void_p)


def call(name, *arguments):
    """Every function that can fail takes the place of an error last."""
    error = c_void_p()
    result = getattr(library, name)(*arguments, byref(error))
    if result < 0:
        raise Failure(error)
    return result


def source(file):
    """What a Python file gives. No exception may leave a callback: it becomes an error of the library."""
    def read(_, buffer, size, error):
        try:
            data = file.read(size)
        except Exception as problem:
            return library.cst_error_set(error, CST_EIO_CALLBACK, 0, str(problem).encode())
        ctypes.memmove(buffer, data, len(data))
        return len(data)
    return Source(READ(read), None)


def sink(take):
    def write(_, data, size, error):
        take(ctypes.string_at(data, size))
        return 0
    return Sink(WRITE(write), None)


class Broken:
    def read(self, size):
        raise OSError("the network is down")


def main(folder, archive):
    store, layer = c_void_p(), c_void_p()
    options = StoreOptions(sizeof(StoreOptions), None, (folder + "/root").encode(), (folder + "/run").encode(), None, b"vfs")
    call("cst_store_open", byref(options), byref(store))
    with open(archive, "rb") as file:
        call("cst_store_create_layer", store, byref(LayerOptions(sizeof(LayerOptions))), byref(source(file)), byref(layer))
    name = library.cst_layer_id(layer)
    library.cst_layer_free(layer)
    digest = hashlib.sha256() # without options it comes compressed as it came: of a plain tar, its very bytes
    call("cst_store_diff", store, None, name, None, byref(sink(digest.update)))
    print("layer", name.decode(), "is", digest.hexdigest())

    def count():
        layers = c_void_p()
        call("cst_store_layers", store, byref(layers))
        counts.append(library.cst_layer_list_size(layers))
        library.cst_layer_list_free(layers)
    counts = []
    threads = [threading.Thread(target=count) for _ in range(8)] # one handle, many threads
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("threads saw", *sorted(set(counts)), "layer")

    for what, arguments in (("cst_store_create_layer", (byref(LayerOptions(sizeof(LayerOptions))), byref(source(Broken())), None)),
                            ("cst_store_delete_layer", (b"nosuch",))):
        try:
            call(what, store, *arguments)
        except Failure as failure:
            why = {CST_EIO_CALLBACK: "our own stream failed", CST_ENOT_A_LAYER: "it is no layer"} # by code, never by text
            print(f"{why.get(failure.code, 'it failed')}: {failure}")
    call("cst_store_delete_layer", store, name)
    library.cst_store_close(store)


main(*sys.argv[1:])
