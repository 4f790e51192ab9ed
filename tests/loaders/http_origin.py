#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The origin that the http loader is tested against: a server that answers
well or badly as the path says. Prints its port, ends with its input.

    /echo/...       the request target as it came
    /headers/TEXT   TEXT (percent-encoded) among the headers
    /headersN/TEXT  the same of HTTP status N
    /status/N       HTTP status N
    /body/N         N zero bytes
    /connections    how many connections there were
    /requests       how many requests there were
    /redirect/N     N redirects, then a value
    /to/URL         a redirect to the URL (percent-encoded)
    /address        the address that was asked; 127.0.0.1 and .2 are served
    /coded/NAME     a body that is coded, one of CODED
    /accept         the header Accept-Encoding
    /login          the header Authorization, or "none"
    /ACTION         one of ACTIONS
"""
import gzip
import os
import re
import socket
import sys
import threading
import urllib.parse
import zlib

accepted = []
requested = []


def response(body, status="200 OK", headers=""):
    return (f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}"
            "\r\n").encode("latin-1") + body


def answer_chunked(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b"one ", b"two ", b"three"):
        conn.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    conn.sendall(b"0\r\n\r\n")


def answer_until_close(conn):
    conn.sendall(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    return "close"


def answer_early_end(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
    return "close"


def answer_bad_chunk(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"zz\r\nnot hexadecimal")
    return "close"


def answer_garbage(conn):
    conn.sendall(bytes(range(256)) * 16)
    return "close"


def answer_nothing(_):
    return "close"


def answer_last(conn):
    """Answers, and closes as the next request arrives."""
    conn.sendall(response(b"last"))
    conn.recv(1)
    return "close"


def answer_hang(conn):
    conn.recv(1)
    return "close"


def answer_drip(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    conn.settimeout(0.02)
    while True:
        conn.sendall(b"x")
        try:
            conn.recv(1)
            return "close"
        except socket.timeout:
            pass


def answer_endless(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        conn.sendall(b"\0" * 65536)


def answer_big_404(conn):
    conn.sendall(response(b"\0" * 1000000, "404 Not Found"))


def answer_continue(conn):
    conn.sendall(b"HTTP/1.1 103 Early Hints\r\nCache-Control: max-age=9\r\n"
                 b"\r\n" + response(b"after hints"))


def answer_address(conn):
    conn.sendall(response(conn.getsockname()[0].encode()))


two = threading.Barrier(2)


def answer_together(conn):
    two.wait(30)
    conn.sendall(response(b"together"))


def answer_away(conn):
    conn.sendall(response(b"", "302 Found",
                          "Location: file:///etc/passwd\r\n"))


ACTIONS = {name[len("answer_"):]: function
           for name, function in list(globals().items())
           if name.startswith("answer_")}


def deflate(data, bits):
    stream = zlib.compressobj(9, zlib.DEFLATED, bits)
    return stream.compress(data) + stream.flush()


PLAIN = b"plain " * 20000
GZIP = gzip.compress(PLAIN)
ZLIB = deflate(PLAIN, 15)
BOMB = gzip.compress(bytes(64 << 20))
# NAME: headers, body, status.
CODED = {
    "gzip": ("Content-Encoding: gzip", GZIP),
    "x-gzip": ("content-encoding:X-GZIP", GZIP),
    "members": ("Content-Encoding: gzip", gzip.compress(PLAIN[:50000]) +
                gzip.compress(PLAIN[50000:])),
    "deflate": ("Content-Encoding: deflate", ZLIB),
    "raw": ("Content-Encoding: deflate", deflate(PLAIN, -15)),
    "identity": ("Content-Encoding: identity", PLAIN),
    "with-identity": ("Content-Encoding: identity, gzip", GZIP),
    "empty": ("Content-Encoding: gzip", b""),
    "cut": ("Content-Encoding: gzip", GZIP[:len(GZIP) // 2]),
    "no-checksum": ("Content-Encoding: gzip", GZIP[:-8]),
    "wrong-checksum": ("Content-Encoding: gzip", GZIP[:-8] + b"12345678"),
    "garbage": ("Content-Encoding: gzip", PLAIN),
    "behind": ("Content-Encoding: gzip", GZIP + b"more"),
    "deflate-cut": ("Content-Encoding: deflate", ZLIB[:-1]),
    "deflate-behind": ("Content-Encoding: deflate", ZLIB + b"x"),
    "br": ("Content-Encoding: br", b"\x0b\x02\x80plain\x03"),
    "zstd": ("Content-Encoding: zstd", b"\x28\xb5\x2f\xfd"),
    "nonsense": ('Content-Encoding: "\t\xff"', PLAIN),
    "twice": ("Content-Encoding: gzip, gzip", gzip.compress(GZIP)),
    "two-headers": ("Content-Encoding: gzip\r\nContent-Encoding: deflate",
                    deflate(GZIP, 15)),
    "bomb": ("Content-Encoding: gzip", BOMB),
    "transfer": ("Transfer-Encoding: gzip", GZIP),
    "absent-br": ("Content-Encoding: br", b"absent", "404 Not Found"),
    "absent-bomb": ("Content-Encoding: gzip", BOMB, "404 Not Found"),
}


def accepted_encodings(head):
    """The values of the headers Accept-Encoding."""
    return b",".join(re.findall(rb"\r\n(?i:accept-encoding): ([^\r]*)",
                                head))


def answer(conn, target, head):
    _, action, *rest = target.split("/", 2)
    text = rest[0] if rest else ""
    if action in ACTIONS:
        return ACTIONS[action](conn)
    if action.startswith("headers"):
        header = urllib.parse.unquote(text, "latin-1")
        status = action[len("headers"):] or "200"
        conn.sendall(response(b"value", status + " Status", header + "\r\n"))
    elif action == "status":
        conn.sendall(response(b"no value", f"{text} Status"))
    elif action == "body":
        conn.sendall(response(b"\0" * int(text)))
    elif action == "connections":
        conn.sendall(response(str(len(accepted)).encode()))
    elif action == "to":
        where = urllib.parse.unquote(text, "latin-1")
        conn.sendall(response(b"", "302 Found", f"Location: {where}\r\n"))
    elif action == "coded":
        header, body, *status = CODED[text]
        conn.sendall(response(body, *status, headers=header + "\r\n"))
    elif action == "short":
        body = gzip.compress(b"gzip")
        conn.sendall(response(body, headers="Content-Encoding: gzip\r\n"))
    elif action == "accept":
        conn.sendall(response(accepted_encodings(head)))
    elif action == "login":
        found = re.search(rb"\r\nAuthorization: ([^\r]*)", head)
        conn.sendall(response(found.group(1) if found else b"none"))
    elif action == "requests":
        conn.sendall(response(str(len(requested)).encode()))
    elif action == "redirect" and text != "0":
        where = f"Location: /redirect/{int(text) - 1}\r\n"
        conn.sendall(response(b"not this", "302 Found",
                              where + "Cache-Control: max-age=9\r\n"))
    else:
        conn.sendall(response(target.encode("latin-1")))
    return None


def serve(conn):
    received = b""
    try:
        while True:
            while b"\r\n\r\n" not in received:
                data = conn.recv(65536)
                if not data:
                    return
                received += data
            head, received = received.split(b"\r\n\r\n", 1)
            target = head.split(b" ")[1].decode("latin-1")
            requested.append(target)
            if answer(conn, target, head) == "close":
                return
    except OSError:
        pass
    finally:
        conn.close()


def accept(listener):
    while True:
        conn, address = listener.accept()
        accepted.append(address)
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


def listen_twice():
    """The same port of two addresses."""
    while True:
        first = socket.create_server(("127.0.0.1", 0), backlog=64)
        address = ("127.0.0.2", first.getsockname()[1])
        try:
            return first, socket.create_server(address, backlog=64)
        except OSError:
            first.close()


def main():
    listeners = listen_twice()
    for listener in listeners:
        threading.Thread(target=accept, args=(listener,),
                         daemon=True).start()
    print(listeners[0].getsockname()[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
