#!/usr/bin/env python3
"""fake_openai.py – an OpenAI-compatible server that answers from a table and fails as it is told.

    fake_openai.py --port-file F [--gold FILE.jsonl …] [--faults a,b,…] [--fault-tries N] [--style S] [--chunk N] …

Prints nothing; writes its port to F when it listens. What it says depends on prompt and seed alone: with --gold (rows of
{"problem", "answer"}) seven of ten answers are right. A prompt that begins with "do:" is an order: "do:500,stall,ok=hello"
makes its first try an HTTP 500, its second a stall, and answers "hello" at the third. With --faults every other prompt fails
first, N times, with a fault that its text chooses. Python 3, standard library only.
"""
import argparse
import hashlib
import http.server
import json
import os
import signal
import socket
import socketserver
import struct
import sys
import threading
import time

lock = threading.Lock()
tries = {}      # (prompt, seed) → how often it was asked
flying = 0


def words(n, seed):
    return "".join(" step%d" % ((seed * 31 + i * 7) % 97) for i in range(n))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    # ---- bytes ----

    def head(self, status, kind, length=None, **more):
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        for k, v in more.items():
            self.send_header(k.replace("_", "-"), v)
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def send(self, status, text, kind="application/json", **more):
        data = text if isinstance(text, bytes) else text.encode()
        self.head(status, kind, len(data), **more)
        self.wfile.write(data)
        note("%d %s" % (status, self.path))

    def error(self, status, message, **more):
        self.send(status, json.dumps({"error": {"message": message, "type": "fake", "code": status}}), **more)

    def drop(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
        self.connection.close()
        self.close_connection = True

    def hang(self):
        """Until the client leaves."""
        self.connection.settimeout(120)
        try:
            self.connection.recv(1)
        except OSError:
            pass
        self.close_connection = True

    # ---- requests ----

    def do_GET(self):
        if args.key and self.headers.get("Authorization") != "Bearer " + args.key:
            return self.error(401, "Incorrect API key provided: %s" % self.headers.get("Authorization"))
        if self.path == "/v1/models" and not args.no_list:
            now = int(time.time())  # changes, as it does for real servers: no part of an identity
            return self.send(200, json.dumps({"object": "list", "data": [
                {"id": m, "object": "model", "created": now, "owned_by": "fake", "root": "/models/" + m} for m in args.model]}))
        if self.path == "/version":
            return self.send(200, json.dumps({"version": args.version}))
        return self.send(404, '{"detail":"Not Found"}')

    def do_POST(self):
        global flying
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if args.key and self.headers.get("Authorization") != "Bearer " + args.key:
            return self.error(401, "Incorrect API key provided: %s" % self.headers.get("Authorization"))
        if self.path != "/v1/chat/completions":
            return self.error(404, "no such path")
        with lock:
            flying += 1
            too_many = args.most and flying > args.most
        try:
            if too_many:
                return self.error(429, "too many requests at once", Retry_After="0")
            self.complete(body)
        except OSError:  # the client left
            self.close_connection = True
        finally:
            with lock:
                flying -= 1

    def complete(self, q):
        refused = [f for f in args.refuse if f in q]
        if args.minimum_top_k and q.get("top_k", 1) < args.minimum_top_k - 1:
            return self.send(422, json.dumps({"detail": [{"loc": ["body", "top_k"], "msg": "Input should be greater"}]}))
        if refused:
            return self.send(422, json.dumps({"detail": "Unexpected fields in the request: {%s}" % ", ".join(map(repr, refused))}))
        if args.reasoning_model and "max_tokens" in q:
            return self.send(400, json.dumps({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this "
                             "model. Use 'max_completion_tokens' instead.", "param": "max_tokens", "code": "unsupported_parameter"}}))
        if q["model"] not in args.model:
            return self.error(404, "The model `%s` does not exist." % q["model"])
        prompt, seed = q["messages"][-1]["content"], q.get("seed", 0)
        most = q.get("max_tokens", q.get("max_completion_tokens"))
        h = hashlib.sha256(("%s|%s" % (prompt, seed)).encode()).digest()
        with lock:
            n = tries[prompt, seed] = tries.get((prompt, seed), 0) + 1
        orders, answer = [], None
        if prompt.startswith("do:"):
            orders = prompt[3:].split("\n")[0].split(",")
            if orders[-1].startswith("ok="):
                answer = orders.pop()[3:]
            todo = orders[n - 1] if n <= len(orders) else None
            if answer is None and todo is None:
                todo = orders[-1]  # for ever
        else:
            todo = args.faults[h[0] % len(args.faults)] if args.faults and n <= args.fault_tries and h[1] % 2 else None
        if answer is None:
            gold = args.answers.get(prompt, "7")
            answer = "The answer is \\boxed{%s}." % (gold if h[2] % 10 < 7 else "%d" % (h[3] + 1000))
        note("ask %d %s" % (n, todo or "ok"))
        time.sleep(args.delay)
        thinking = "Let me see." + words(3 + h[4] % 9, h[5])
        self.reply(q, todo, thinking, answer, 40 + h[6], "length" if h[7] % 10 == 0 and not orders and not prompt.startswith("do:") else "stop", most)

    def reply(self, q, todo, thinking, answer, n_tokens, finish, most):
        style = args.style
        if todo and todo.startswith("style="):
            style, todo = todo[6:], None
        if todo and todo.isdigit():
            more = {"Retry_After": "0"} if todo in ("429", "503") else {}
            return self.error(int(todo), "the server is having a bad day", **more)
        if todo == "429-late":
            return self.error(429, "come back tomorrow", Retry_After="86400")
        if todo == "quota":
            return self.send(429, json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}))
        if todo == "502-html":
            return self.send(502, "<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")
        if todo == "context":
            return self.error(400, "This model's maximum context length is 4096 tokens. However, you requested %s max_tokens." % most)
        if todo == "bad-request":
            return self.error(400, "messages must alternate\nbetween\x1b[31m roles")
        if todo == "redirect":
            return self.send(307, "", Location="http://127.0.0.1:9/v1/chat/completions")
        if todo == "html":
            return self.send(200, "<!doctype html><title>Sign in</title>", "text/html")
        if todo == "garbage":
            return self.send(200, bytes((i * 37 + 11) % 256 for i in range(500)), "text/event-stream")
        if todo == "utf8":
            return self.send(200, b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n', "text/event-stream")
        if todo == "types":
            return self.send(200, json.dumps({"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}))
        if todo == "empty-choices":
            return self.send(200, json.dumps({"choices": []}))
        if todo == "null-content":
            return self.send(200, json.dumps({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}))
        if todo == "empty":
            return self.send(200, "")
        if todo == "filter":
            return self.send(200, json.dumps({"choices": [{"message": {"content": "I"}, "finish_reason": "content_filter"}]}))
        if todo == "not-http":
            self.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            self.close_connection = True
            return None
        if todo == "headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"X-Pad: " + b"a" * 8000 + b"\r\n")
        if todo == "stall":
            return self.hang()
        if todo == "drop":
            return self.drop()
        if style == "json" or not q.get("stream"):
            return self.document(style, thinking, answer, n_tokens, finish)
        return self.stream(q, todo, style, thinking, answer, n_tokens, finish)

    def message(self, style, thinking, answer):
        if style == "split":
            return {"reasoning_content": thinking, "content": answer}
        if style == "reasoning":
            return {"reasoning": thinking, "content": answer}
        if style == "both":
            return {"reasoning": thinking, "reasoning_content": thinking, "content": answer}
        return {"content": "<think>%s</think>%s" % (thinking, answer)}

    def document(self, style, thinking, answer, n_tokens, finish):
        m = dict(self.message("split", thinking, answer), role="assistant")
        self.send(200, "\n\n" + json.dumps({"object": "chat.completion", "choices": [{"index": 0, "message": m, "finish_reason": finish}],
                                            "usage": {"completion_tokens": n_tokens}}))

    def stream(self, q, todo, style, thinking, answer, n_tokens, finish):
        deltas = [{"role": "assistant", "content": ""}]
        for field, text in self.message(style, thinking, answer).items():
            deltas += [{field: text[i:i + 5]} for i in range(0, len(text), 5)]
        if style == "both":  # each piece in both fields, as some servers do
            deltas = [dict(d, reasoning=d["reasoning_content"]) if "reasoning_content" in d else d for d in deltas if "reasoning" not in d]
        events = [{"id": "x", "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        events.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if q.get("stream_options", {}).get("include_usage") and not args.no_usage:
            events.append({"id": "x", "choices": [], "usage": {"completion_tokens": n_tokens}})
        eol = "\r\n" if args.crlf else "\n"
        raw = [("data: %s" % json.dumps(e) + eol * 2).encode() for e in events] + [("data: [DONE]" + eol * 2).encode()]
        half = len(raw) // 2
        self.head(200, "text/event-stream; charset=utf-8")
        for i, piece in enumerate(raw):
            if i == half and todo == "cut":      # a clean end of HTTP, in the middle of the reply
                self.chunk(piece[:len(piece) // 2])
                return self.end()
            if i == half and todo == "cut-event":
                return self.end()
            if i == half and todo == "mid-drop":
                return self.drop()
            if i == half and todo == "mid-stall":
                return self.hang()
            if i == half and todo == "comments":  # signs of life for ever
                while True:
                    self.chunk(b": keep-alive\n\n")
                    time.sleep(0.05)
            if i == half and todo == "mid-error":
                self.chunk(b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n')
                return self.end()
            if todo == "huge":
                while True:
                    self.chunk(piece * 64)
            if todo == "slow":
                time.sleep(0.02)
            if i % 7 == 3:
                self.chunk(b": a comment\n\n")
            step = args.chunk or len(piece)
            for k in range(0, len(piece), step):
                self.chunk(piece[k:k + step])
        self.end()
        note("200 stream")
        if todo == "close":
            self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def note(line):
    if args.log:
        with lock, open(args.log, "a") as f:
            f.write(line + "\n")


def listed(s):
    return [x for x in s.split(",") if x]


p = argparse.ArgumentParser()
p.add_argument("--port-file", required=True)
p.add_argument("--port", type=int, default=0)
p.add_argument("--model", action="append")
p.add_argument("--version", default="0.1-fake")
p.add_argument("--gold", action="append", default=[])
p.add_argument("--faults", type=listed, default=[])
p.add_argument("--fault-tries", type=int, default=1)
p.add_argument("--style", default="plain", help="plain, split, reasoning, both, json")
p.add_argument("--chunk", type=int, default=0, help="bytes of an HTTP chunk, wherever that cuts")
p.add_argument("--crlf", action="store_true")
p.add_argument("--no-usage", action="store_true")
p.add_argument("--no-list", action="store_true")
p.add_argument("--refuse", type=listed, default=[], help="fields that are a 422")
p.add_argument("--minimum-top-k", type=int, default=0)
p.add_argument("--reasoning-model", action="store_true", help="wants max_completion_tokens")
p.add_argument("--key")
p.add_argument("--most", type=int, default=0, help="requests at once, 429 beyond")
p.add_argument("--delay", type=float, default=0)
p.add_argument("--log")
args = p.parse_args()
args.model = args.model or ["fake-1"]
args.answers = {}
for name in args.gold:
    with open(name) as f:
        for row in map(json.loads, f):
            args.answers[row["problem"]] = str(row["answer"])

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = Server(("127.0.0.1", args.port), Handler)
with open(args.port_file + ".tmp", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(args.port_file + ".tmp", args.port_file)
server.serve_forever()
