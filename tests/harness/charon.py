# SPDX-License-Identifier: BSD-3-Clause
"""Debian's charon with kaido's plugin, in a network namespace and with its own settings.

    charon = Charon("gw", folder, "192.0.2.1/24", plugin="build/control/ike/libstrongswan-kernel-kaido.so")
    charon.start("/run/x/kaidod.sock")
    charon.load("connections { ... }")
    charon.swanctl("--initiate", "--child", "net")

charon looks for plugins in one folder only, so it gets a mount namespace where a copy with ours lies over that.
"""

import os
import shutil
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PLUGINS = "/usr/lib/ipsec/plugins"
PATIENCE = 60
LOAD = ("random nonce openssl pem pkcs1 pkcs8 pubkey x509 revocation constraints sha1 sha2 md4 hmac kdf gcm "
        "eap-identity eap-mschapv2 kernel-kaido kernel-netlink socket-default vici")


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class Charon:
    def __init__(self, name, folder, plugin, kaidod):
        self.name = name
        self.namespace = f"{os.environ.get('KAIDO_TAG', f'kaido-{os.getpid()}')}-{name}"
        self.folder = os.path.join(folder, name)
        self.plugin = plugin
        self.kaidod = kaidod
        self.settings = ""  # more of the plugin's
        self.load_list = LOAD
        self.modular = False  # plugins as a packaged charon loads them, by a section each
        self.process = None
        self.daemon = run(os.path.join(ROOT, "scripts/charon")).strip()
        os.makedirs(os.path.join(self.folder, "plugins"), mode=0o700)
        # AppArmor confines the one at its own place to files of /etc.
        self.program = shutil.copy(shutil.which("swanctl") or "/usr/sbin/swanctl", self.folder)
        run("ip", "netns", "add", self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _plugins(self):
        if not self.modular:
            return f"load = {self.load_list}"
        sections = "\n".join(f"{name} {{\n load = yes\n }}" for name in sorted(LOAD.split())
                             if name != "kernel-kaido")
        conf = os.path.join(ROOT, "control/ike/kernel-kaido.conf")
        return f"load_modular = yes\n plugins {{\n {sections}\n include {conf}\n }}"

    def _config(self):
        return f"""
            charon-systemd {{
                {self._plugins()}
                threads = 16
                retransmit_timeout = 2.0
                retransmit_base = 1.0
                retransmit_tries = 30
                half_open_timeout = 60
                dos_protection = no  # else few at once from one address
                plugins {{
                    kernel-kaido {{
                        socket = {self.kaidod}
                        {self.settings}
                    }}
                    vici {{
                        socket = unix://{self.folder}/vici
                    }}
                }}
                filelog {{
                    all {{
                        path = {self.folder}/log
                        flush_line = yes
                        default = 1
                        knl = 2
                    }}
                }}
            }}
            swanctl {{
                load = random openssl pem pkcs1 pkcs8 pubkey x509
            }}
        """

    def _sanitizer(self):
        """What must be loaded first for a plugin that was built with sanitizers; none else."""
        found = [line.split()[2] for line in run("ldd", self.plugin).splitlines() if "libasan" in line]
        return found[0] if found else ""

    def start(self):
        plugins = os.path.join(self.folder, "plugins")
        shutil.copytree(PLUGINS, plugins, dirs_exist_ok=True)
        shutil.copy(self.plugin, plugins)
        self.env = dict(os.environ, STRONGSWAN_CONF=self._write("strongswan.conf", self._config()))
        with open(os.path.join(self.folder, "output"), "ab") as output:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "unshare", "-m", "sh", "-c",
                 'mount --bind "$1" "$2" && LD_PRELOAD=$4 exec "$3"', "sh", plugins, PLUGINS, self.daemon,
                 self._sanitizer()],
                env=self.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + PATIENCE
        while self._swanctl("--stats").returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name}'s charon did not start:\n{self.log()[-4000:]}")
            time.sleep(0.1)

    def stop(self):
        """As systemd does: it deletes its SAs. Sanitizers may have found nothing in the plugin."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        with open(os.path.join(self.folder, "output"), encoding="utf-8", errors="replace") as file:
            output = file.read()
        if "runtime error" in output or "ERROR: AddressSanitizer" in output or "kernel-kaido" in output:
            raise AssertionError(output)

    def remove(self):
        self.stop()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False)

    def _swanctl(self, *arguments, patience=PATIENCE):
        return subprocess.run(
            [self.program, *arguments, "--uri", f"unix://{self.folder}/vici"], env=self.env, check=False,
            capture_output=True, text=True, timeout=patience)

    def swanctl(self, *arguments, patience=PATIENCE):
        done = self._swanctl(*arguments, patience=patience)
        if done.returncode:
            raise AssertionError(f"swanctl {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def fails(self, *arguments):
        """What swanctl says of what does not succeed."""
        done = self._swanctl(*arguments)
        if not done.returncode:
            raise AssertionError(f"swanctl {arguments} succeeded: {done.stdout}")
        return done.stdout + done.stderr

    def file(self, kind, name, text):
        """A certificate or key (x509, x509ca, private) for load(); connections name it."""
        os.makedirs(os.path.join(self.folder, kind), mode=0o700, exist_ok=True)
        self._write(os.path.join(kind, name), text)

    def load(self, text):
        self.swanctl("--load-all", "--file", self._write("swanctl.conf", text))

    def initiate(self, child):
        return self.swanctl("--initiate", "--child", child, "--timeout", str(PATIENCE))

    def log(self):
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            with open(os.path.join(self.folder, "output"), encoding="utf-8", errors="replace") as file:
                return file.read()

    def wait_log(self, text, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while text not in self.log():
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} never logged {text!r}:\n{self.log()[-4000:]}")
            time.sleep(0.1)


def wire(left, left_addresses, right, right_addresses):
    """A cable between two of them."""
    run("ip", "-n", left.namespace, "link", "add", "wan", "type", "veth", "peer", "name", "wan", "netns",
        right.namespace)
    for charon, addresses in ((left, left_addresses), (right, right_addresses)):
        for address in addresses:
            run("ip", "-n", charon.namespace, "address", "add", address, "dev", "wan")
        run("ip", "-n", charon.namespace, "link", "set", "wan", "up")
