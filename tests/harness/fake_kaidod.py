# SPDX-License-Identifier: BSD-3-Clause
"""kaidod as charon's plugin sees it (docs/rpc.md, ike.*): keeps the SAs that it is told, and does what a test says.

    kaidod = FakeKaidod("/run/x/kaidod.sock")
    kaidod.start()
    kaidod.wait("two SAs", lambda: len(kaidod.sas) == 2)
    kaidod.notify("ike.expire", sa=1, hard=False)
    kaidod.stop()           # away, as if it had been killed; start() again with all it had, or forget() first
"""

import json
import os
import socket
import threading
import time

PATIENCE = 60


class FakeKaidod:
    def __init__(self, path):
        self.path = path
        self.lock = threading.Condition()
        self.sas = {}  # handle: params of ike.sa.set, with what ike.sa.update said
        self.calls = []  # (method, params), in the order of their coming
        self.events = []
        self.refused = {}  # if_id: message of the error that its SAs get
        self.spis = []  # in use by others
        self.unknown = []  # handles of the last ike.sync that it did not have
        self.held = False  # reads, but answers nothing
        self.waiting = []  # answers that are held
        self.listener = self.connection = None

    # --- what a test does

    def start(self):
        """Listens; what it has stays."""
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        with self.lock:
            listener, connection = self.listener, self.connection
            self.listener = self.connection = None
            self.waiting = []
        for end in (listener, connection):
            if end:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def forget(self):
        with self.lock:
            self.sas = {}

    def hold(self):
        with self.lock:
            self.held = True

    def release(self):
        with self.lock:
            self.held = False
            for line in self.waiting:
                self._send(line)
            self.waiting = []

    def notify(self, method, **params):
        with self.lock:
            self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def secrets(self, secrets, locked=()):
        """secrets: (kind, local, remote, text); locked: (local, remote)."""
        self.notify(
            "ike.secrets",
            secrets=[{"kind": kind, "local": local, "remote": remote,
                      "secret": text.encode().hex()} for kind, local, remote, text in secrets],
            locked=[{"local": local, "remote": remote} for local, remote in locked])

    def wait(self, what, condition, patience=PATIENCE):
        """Until condition() is true; it is asked whenever something came."""
        deadline = time.monotonic() + patience
        with self.lock:
            while True:
                result = condition()
                if result:
                    return result
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited in vain for {what}")
                self.lock.wait(left)

    def of(self, if_id, direction=None):
        """The SAs of a tunnel, oldest first."""
        with self.lock:
            return [sa for _, sa in sorted(self.sas.items()) if sa["if_id"] == if_id and
                    direction in (None, sa["direction"])]

    def wait_sas(self, if_id, count=2):
        self.wait(f"{count} SAs of {if_id}", lambda: len(self._of(if_id)) == count)
        return self.of(if_id)

    def wait_event(self, what, **members):
        def find():
            return next((event for event in self.events
                         if all(event.get(name) == value for name, value in members.items())), None)
        return self.wait(f"the event of {what}", find)

    # --- its own thread

    def _of(self, if_id):
        return [sa for sa in self.sas.values() if sa["if_id"] == if_id]

    def _send(self, message):
        if self.connection:
            try:
                self.connection.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                pass

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    with self.lock:
                        if not self.listener:
                            return
                        self._answer(connection, json.loads(line))
                        self.lock.notify_all()
        except OSError:
            return

    def _answer(self, connection, request):
        method, params = request["method"], request["params"]
        answer = {"jsonrpc": "2.0", "id": request["id"]}
        self.calls.append((method, params))
        if method == "ike.open":
            self.connection = connection
        try:
            answer["result"] = getattr(self, "_" + method.replace(".", "_"))(params)
        except Refused as error:
            answer["error"] = {"code": 3, "message": str(error)}
        if self.held:
            self.waiting.append(answer)
        else:
            self._send(answer)

    def _ike_open(self, params):
        return {"protocol": params["protocol"], "spis": self.spis}

    def _ike_sync(self, params):
        self.unknown = [sa for sa in params["sas"] if sa not in self.sas]
        self.sas = {sa: value for sa, value in self.sas.items() if sa in params["sas"]}
        return {"unknown": self.unknown}

    def _ike_sa_set(self, params):
        if params["if_id"] in self.refused:
            raise Refused(self.refused[params["if_id"]])
        self.sas[params["sa"]] = params
        return {"installed": True}

    def _ike_sa_update(self, params):
        if params["sa"] not in self.sas:
            raise Refused("no such SA")
        self.sas[params["sa"]].update(params)
        return {}

    def _ike_sa_delete(self, params):
        self.sas.pop(params["sa"], None)
        return {}

    def _ike_event(self, params):
        self.events.append(params)
        return {}


class Refused(Exception):
    """An error to be answered."""
