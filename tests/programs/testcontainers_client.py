"""What a test suite does with testcontainers, up to the moment at which it is killed: what it leaves behind is ryuk's."""
import os
import urllib.request

from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy


def heard() -> bool:
    """Whether ryuk is told: the port of a container is open before its program listens, and what the library sends then is lost."""
    line = Reaper.get_instance()._socket
    return line is not None and line.recv(3) == b"ACK"


while not heard():
    Reaper.delete_instance()
network = Network()
network.create()
server = DockerContainer("box").with_command(["sh", "-c", "echo ready; exec httpd -f -p 8000 -h /etc"]).with_exposed_ports(8000)
server.waiting_for(LogMessageWaitStrategy("ready"))
server.start()
with urllib.request.urlopen(f"http://{server.get_container_host_ip()}:{server.get_exposed_port(8000)}/passwd", timeout=20) as answer:
    print("served", answer.read().startswith(b"root:"))
print("exec", server.exec(["echo", "inside"]).output.decode().strip(), flush=True)
os._exit(0)
