"""An installation whose dashboard a browser is to look at, and what is done to it by HTTP."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from asynctestkit.processes import Service

MARKER = """<b id="marker">&amp; \\ " '</b>"""
"""What stands in every text that a caller chooses: no element, wherever it is shown."""
RECEIVER = "https://erp.example.com"
"""Who may be told of tasks' ends, and is not there."""
OPERATIONS = f"""
operations:
  create-client:
    summary: {json.dumps("Create a client " + MARKER)}
    description: {json.dumps("In the Customer API " + MARKER)}
    route: POST /clients
    queue: clients
    limits: [crm]
    waitSeconds: 30
    arguments: &client
      type: object
      required: [email, name]
      additionalProperties: false
      properties:
        email: {{type: string, format: email, maxLength: 254}}
        name: {{type: string, minLength: 1, maxLength: 200}}
        age: {{type: integer, minimum: 0, maximum: 150}}
    upstream: {{method: POST, url: "{{CUSTOMER_API_URL}}/clients", timeoutSeconds: 7200}}
    retry: {{maxAttempts: 3, backoffSeconds: [0.05, 0.1]}}
  get-client:
    summary: Read a client
    route: GET /clients/{{id}}
    queue: clients
    arguments:
      type: object
      required: [id]
      properties: {{id: {{type: string, examples: ["7"]}}}}
    upstream: {{method: GET, url: "{{CUSTOMER_API_URL}}/clients/{{id}}"}}
  import-clients:
    summary: Import clients from the old system
    route: POST /imports
    queue: imports
    limits: [old-system]
    arguments: *client
    upstream: {{method: POST, url: "{{CUSTOMER_API_URL}}/clients"}}
    retry: {{maxAttempts: 3, backoffSeconds: [0.05, 0.1]}}
limits:
  crm: {{concurrency: 40, ratePerSecond: 500, burst: 200}}
  old-system: {{concurrency: 2, breaker: {{failures: 2, openSeconds: [3600, 3600]}}}}
"""


@dataclass(frozen=True)
class Dashboard:
    """One running installation."""

    service: Service
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """How whoever fills it says who it is."""

    def at(self, page: str = "") -> str:
        return f"{self.service.url}/ui/{page}"

    def submit(
        self, local: str = "ann", *, path: str = "/clients", name: str = "Ann", **headers: str
    ) -> str:
        """Submit one that behaves as the demo makes of its email's local part; its id."""
        given = {"Prefer": "respond-async", **headers}
        answer = self.ask("POST", path, {"email": f"{local}@example.com", "name": name}, **given)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def fill(self, *, many: int = 60) -> None:
        """Tasks of each kind, with the marker in whatever a caller chooses."""
        for number in range(many):
            self.submit(f"n{number}", name=f"Client {number}", task_labels="team=a")
        told = {"task_callback": f"{RECEIVER}/hooks?of={quote(MARKER)}"}
        ended = [
            self.submit("marked", name=MARKER, **told),
            self.submit("flaky+2", name="Flo"),
            self.submit("gone.fail+404", name=MARKER),
            *(self.submit(f"{n}.fail+503", name=MARKER) for n in "abc"),
        ]
        for task_id in ended:
            self.ended(task_id)
        self.ended(self.submit("old", task_labels="team=old"))
        order = {
            "action": "delete",
            "filter": {"label": ["team=old"], "operation": "create-client"},
        }
        self.ask("POST", "/tasks:batch", order)
        for number in range(3):
            self.submit(f"i{number}.drop", path="/imports", name=MARKER)
        self.running("long", task_labels="team=b, batch=7")
        self.ask("POST", "/operations/get-client/pause")
        self.ask("GET", "/clients/7", Prefer="respond-async")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return httpx.request(
            method,
            self.service.url + path,
            json=body,
            headers={**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}},
            trust_env=False,
            timeout=60,
        )

    def running(self, local: str, **headers: str) -> str:
        """Submit one that runs until it is cancelled; its id, once it does."""
        task_id = self.submit(f"{local}.slow+3600", **headers)
        while self.task(task_id)["status"] != "running":
            time.sleep(0.05)
        return task_id

    def told(self) -> str:
        """The id of the task whose end somebody is to be told."""
        (first, *_) = self.ask("GET", "/tasks?operation=callback&view=full").json()["tasks"]
        return first["arguments"]["task"]["id"]

    def batch(self) -> str:
        """The id of the latest batch."""
        return self.ask("GET", "/batches").json()["batches"][0]["id"]

    def task(self, task_id: str) -> dict[str, Any]:
        return self.ask("GET", f"/tasks/{task_id}").json()

    def ended(self, task_id: str) -> dict[str, Any]:
        """The task, once it has finished."""
        while True:
            task = self.ask("GET", f"/tasks/{task_id}", Prefer="wait=30").json()
            if task["done"]:
                return task
