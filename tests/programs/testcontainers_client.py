"""What a test suite does with testcontainers, up to the moment at which it is killed: what it leaves behind is ryuk's."""
import os
import urllib.request

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

network = Network()
network.create()
server = DockerContainer("box").with_command(["sh", "-c", "echo ready; exec httpd -f -p 8000 -h /etc"]).with_exposed_ports(8000)
server.waiting_for(LogMessageWaitStrategy("ready"))
server.start()
with urllib.request.urlopen(f"http://{server.get_container_host_ip()}:{server.get_exposed_port(8000)}/hostname", timeout=20) as answer:
    print("served", answer.read().decode().strip())
print("exec", server.exec(["echo", "inside"]).output.decode().strip(), flush=True)
os._exit(0)
