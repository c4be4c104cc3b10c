# SPDX-License-Identifier: Apache-2.0
"""A registry on loopback with two versions of an image, file systems to pull it to, and a count of what a client fetches."""
import json, os, re, shutil, socket, subprocess, sys, threading, time
from stores import Store, in_child, sizes_of_system, write_files

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKOPEO = os.environ.get("SKOPEO") or shutil.which("skopeo")
FILE_SYSTEMS = {"ext4": ["mkfs.ext4", "-q"], "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"], "btrfs": ["mkfs.btrfs", "-q"]}
ANNOTATION = "io.github.containers.zstd-chunked.manifest-checksum"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quietly(*argv, **more):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **more).stdout


class Registry:
    def __init__(self, where):
        self.port = free_port()
        with open(where + "/registry.yml", "w") as f:
            json.dump({"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
                       "storage": {"filesystem": {"rootdirectory": where + "/registry"}, "delete": {"enabled": True}},
                       "http": {"addr": "127.0.0.1:%d" % self.port}}, f)
        with open(where + "/registry.log", "w") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", where + "/registry.yml"], stdout=log, stderr=log)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("bench: docker-registry ends at once: " + open(where + "/registry.log").read())
                time.sleep(0.05)

    def push(self, where, tar, version):
        """Returns the digests of the layer's blob, of its TOC and of the tar, as manifest and configuration have them."""
        image = "%s/%d.dir" % (where, version)
        quietly(sys.executable, TOP + "/tests/interop/chunked.py", "dir", image, tar)
        quietly(SKOPEO, "--insecure-policy", "copy", "--dest-tls-verify=false", "--dest-compress", "--dest-compress-format", "zstd:chunked",
                "dir:" + image, "docker://127.0.0.1:%d/x:%d" % (self.port, version), env=dict(os.environ, HOME=where))
        shutil.rmtree(image)
        said = quietly(SKOPEO, "inspect", "--raw", "--tls-verify=false", "docker://127.0.0.1:%d/x:%d" % (self.port, version))
        layer = json.loads(said)["layers"][0]
        if ANNOTATION not in layer.get("annotations", {}):
            sys.exit("bench: %s writes no zstd:chunked as containers-storage 1.50 and later do; SKOPEO names another" % SKOPEO)
        return layer["digest"], layer["annotations"][ANNOTATION], "sha256:" + quietly("sha256sum", tar).decode().split()[0]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Tap:
    """Between a client and the registry. Counts bytes of blobs, requests for them and ranges that were asked for."""

    def __init__(self, registry):
        self.to, self.bytes, self.requests, self.ranges = registry.port, 0, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self.forward, args=(client, server, self.asked), daemon=True).start()
            threading.Thread(target=self.forward, args=(server, client, self.answered), daemon=True).start()

    def forward(self, source, sink, look):
        try:
            while data := source.recv(1 << 18):
                look(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def asked(self, data):
        self.requests += len(re.findall(rb"GET \S*/blobs/", data))
        for ranges in re.findall(rb"\r\n[Rr]ange: bytes=([0-9,-]+)", data):
            self.ranges += ranges.count(b",") + 1

    def answered(self, data):
        self.bytes += len(data)

    def close(self):
        self.listener.close()


def write_versions(paths, mib):
    """In the second version each 20th file has other bytes in its middle, and one in a hundred is new."""
    sizes = list(sizes_of_system(mib))
    in_child(write_files, paths[0], sizes)
    in_child(write_files, paths[1], sizes + sizes[:len(sizes) // 100], "usr/share", lambda n: n % 20 == 0)


def file_system(where, kind, mib):
    """Its mount point; None: this machine cannot."""
    image, at = "%s/%s.image" % (where, kind), "%s/%s" % (where, kind)
    if not shutil.which(FILE_SYSTEMS[kind][0]):
        return None
    with open(image, "w") as f:
        os.posix_fallocate(f.fileno(), 0, mib << 20)
    quietly(*FILE_SYSTEMS[kind], image)
    os.mkdir(at)
    device = loop_device(image)
    mounted = device and subprocess.run(["mount", device, at], stderr=subprocess.DEVNULL).returncode == 0
    if device:
        subprocess.run(["losetup", "--detach", device], check=True) # it goes with its mount
    return at if mounted else None


def loop_device(image):
    """With direct I/O: else what is written reaches the disk's file only when somebody flushes, and all at once."""
    for more in (["--direct-io=on"], []):
        made = subprocess.run(["losetup", *more, "--find", "--show", image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if made.returncode == 0:
            return made.stdout.strip()
    return None


class PullStore(Store):
    """With enable_partial_images, which skopeo wants."""

    def __init__(self, where, name):
        super().__init__(where, name)
        with open(self.root + ".conf", "a") as f:
            f.write('[storage.options]\npull_options = {enable_partial_images = "true"}\n')


def skopeo_pull(port, version):
    return [SKOPEO, "--insecure-policy", "copy", "--src-tls-verify=false", "docker://127.0.0.1:%d/x:%d" % (port, version),
            "containers-storage:localhost/x:%d" % version]


def our_pull(ours, port, version, pushed):
    blob, toc, tar = pushed
    return [ours, "import-layer", "-i", "version%d" % version, "--toc-digest", toc, "--expect-digest", tar,
            "--url", "http://127.0.0.1:%d/v2/x/blobs/%s" % (port, blob)]
