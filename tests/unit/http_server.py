#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""http_server.py FILE [PEM]: serves FILE at 127.0.0.1, with key and certificate of PEM by TLS, in as many ways as there are first words of a path (the methods of Handler). Prints the
port, and ends when stdin does."""
import http.server, os, re, socketserver, ssl, sys, threading

DATA = open(sys.argv[1], "rb").read()
SIZE = len(DATA)
BOUNDARY = "a-boundary"
broken = {}  # connections that were broken off, by path


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        way = self.path.split("/")[1].split("?")[0].replace("-", "_")
        self.ranges = [(int(a), int(b) + 1) for a, b in re.findall(r"(\d+)-(\d+)", self.headers.get("Range", ""))]
        getattr(self, "way_" + way)()

    # ---- answers ----

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self):
        self.wfile.flush()
        self.close_connection = True

    def one(self, first, end, total=SIZE, **more):
        self.answer(206, DATA[first:end], Content_Range="bytes %d-%d/%s" % (first, end - 1, total), **more)

    def multipart(self, ranges, between=b"", end=b""):
        body = b"preamble\r\n"
        for first, stop in ranges:
            body += b"\r\n--%s\r\nContent-Type: x/y\r\nContent-Range: bytes %d-%d/%d\r\n%s\r\n%s" % (
                BOUNDARY.encode(), first, stop - 1, SIZE, between, DATA[first:stop])
        body += b"\r\n--%s--\r\n" % BOUNDARY.encode() + end
        self.answer(206, body, Content_Type='multipart/byteranges; boundary="%s"' % BOUNDARY)

    # ---- that work ----

    def way_good(self):
        if len(self.ranges) > 1:
            self.multipart(self.ranges)
        elif self.ranges:
            self.one(*self.ranges[0])
        else:
            self.answer(200, DATA)

    def way_single(self):  # as many object stores do
        self.one(*self.ranges[0]) if len(self.ranges) == 1 else self.answer(200, DATA)

    def way_first_only(self):
        self.one(*self.ranges[0]) if self.ranges else self.answer(200, DATA)

    def way_refuses_many(self):
        self.answer(400) if len(self.ranges) > 1 else self.way_good()

    def way_coalesces(self):
        self.multipart([(self.ranges[0][0], self.ranges[-1][1])])

    def way_one_part(self):
        self.multipart(self.ranges)

    def way_wide(self):
        self.one(max(self.ranges[0][0] - 10, 0), min(self.ranges[-1][1] + 10, SIZE))

    def way_reverses(self):
        self.multipart(self.ranges[::-1]) if len(self.ranges) > 1 else self.way_good()

    def way_unknown_total(self):
        self.one(*(self.ranges[0] if self.ranges else (0, SIZE)), total="*")

    def way_breaks_twice(self):
        broken[self.path] = broken.get(self.path, 0) + 1
        if broken[self.path] > 2:
            return self.way_good()
        first, end = self.ranges[0] if self.ranges else (0, SIZE)
        self.answer(206 if self.ranges else 200, DATA[first:(first + end) // 2], end - first,
                    Content_Range="bytes %d-%d/%d" % (first, end - 1, SIZE))
        self.hang_up()

    def way_token(self):
        self.way_good() if self.headers.get("Authorization") == "Bearer token" else self.answer(401)

    def way_redirect(self):
        self.answer(307, b"elsewhere", Location="/good/x")

    def way_redirect_with_token(self):
        self.answer(307, b"elsewhere", Location="/token/x")

    def way_redirect_to_other(self):  # who must not see the token
        self.answer(307, b"elsewhere", Location="http://localhost:%d/token/x" % self.server.server_address[1])

    # ---- that do not ----

    def way_redirect_to_file(self):
        self.answer(302, Location="file:///etc/passwd")

    def way_redirect_loop(self):
        self.answer(302, Location=self.path)

    def way_whole(self):
        self.answer(200, DATA)

    def way_unknown_length(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(DATA)
        self.hang_up()

    def way_shifted(self):
        first, end = self.ranges[0]
        self.one(first + 1, end + 1) if end < SIZE else self.one(first + 1, end)

    def way_other_total(self):
        self.one(*self.ranges[0], total=SIZE + 1)

    def way_no_range(self):
        self.answer(206, DATA[:10])

    def way_no_range_in_part(self):
        self.answer(206, b"--x\r\n\r\n" + DATA, Content_Type="multipart/byteranges; boundary=x")

    def way_backwards(self):
        self.answer(206, DATA[:10], Content_Range="bytes 9-5/%d" % SIZE)

    def way_huge_numbers(self):
        self.answer(206, DATA[:10], Content_Range="bytes 99999999999999999999-999999999999999999999/9")

    def way_junk(self):
        self.multipart(self.ranges, b"X: " + b"y" * 900 + b"\r\n", b"")
        self.hang_up()

    def way_endless_parts(self):
        self.send_response(206)
        self.send_header("Content-Type", "multipart/byteranges; boundary=x")
        self.send_header("Connection", "close")
        self.end_headers()
        self.endless(b"junk\r\n" * 1000)

    def way_endless_headers(self):
        self.send_response(206)
        self.flush_headers()
        self.endless(b"X-More: " + b"y" * 900 + b"\r\n")

    def endless(self, text):
        try:
            while True:
                self.wfile.write(text)
        except OSError:
            self.close_connection = True

    def way_short(self):
        first, end = self.ranges[0] if self.ranges else (0, SIZE)
        self.answer(206 if self.ranges else 200, DATA[first:first + 1], end - first,
                    Content_Range="bytes %d-%d/%d" % (first, end - 1, SIZE))
        self.hang_up()

    def way_silent(self):
        self.hang_up()

    def way_416(self):
        self.answer(416, Content_Range="bytes */%d" % SIZE)

    def way_500(self):
        self.answer(500, b"no")

    def way_501(self):
        self.answer(501)

    def way_hangs(self):
        forever.wait()

    def way_hangs_later(self):
        self.wfile.write(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n" % (
            self.ranges[0][0], self.ranges[0][1] - 1, SIZE, self.ranges[0][1] - self.ranges[0][0]) + DATA[self.ranges[0][0]:][:1])
        self.wfile.flush()
        forever.wait()

    def way_trickles(self):
        self.wfile.write(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-%d/%d\r\n\r\n" % (SIZE - 1, SIZE))
        try:
            while not forever.wait(0.02):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


forever = threading.Event()
server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[2])
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.write(1, b"%d\n" % server.server_address[1])
sys.stdin.read()
os._exit(0)
