"""odd_registry.py PORT: a registry that answers as the name of the repository says, until it is killed."""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}).encode()
OTHER = f"sha256:{'a' * 64}"


class Odd(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind = self.path.split("/")[2]
        if self.path == "/v2/":
            self._say(200, b"{}")
        elif kind == "loop":
            self._say(302, b"", Location=self.path)
        elif kind == "away":
            self._say(307, b"", Location=f"http://127.0.0.1:1{self.path}")
        elif kind == "wrong":
            self._say(200, MANIFEST, **{"Docker-Content-Digest": OTHER})
        elif kind == "garbage":
            self._say(200, b"<html>not found</html>")
        elif kind == "token":
            realm = f'Bearer realm="http://127.0.0.1:{sys.argv[1]}/v2/loop/token",service="x"'
            self._say(401, b"{}", **{"WWW-Authenticate": realm})
        elif kind == "endless":
            self._endless()
        else:
            self._say(500, b"{}")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while self.command != "HEAD":
                self.wfile.write(b" " * 65536)
        except OSError:
            return


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Odd).serve_forever()
