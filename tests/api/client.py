"""A client that refuses answers which the contract does not describe: every test tests the contract."""

import copy
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from service.api import contract, problems
from service.api.contract import Contract

PROBLEM = "#/components/schemas/Problem"


@dataclass(frozen=True)
class Rules:
    """The contract as validators, held closed: a member of an answer that it does not name is a fault."""

    contract: Contract
    components: Mapping[str, Any]
    _compiled: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls) -> "Rules":
        """Read the contract of the service."""
        known = contract.load()
        return cls(known, closed(known.document["components"]))

    def operation(self, operation_id: str) -> Mapping[str, Any]:
        """Find an operation of the contract by its id."""
        return next(
            item
            for path in self.contract.document["paths"].values()
            for method, item in path.items()
            if method in contract.METHODS and item["operationId"] == operation_id
        )

    def check(self, operation_id: str | None, response: TestResponse) -> None:
        """Assert that an answer is one that the contract names; one of no operation refuses."""
        if operation_id is None:
            assert response.status_code in {404, 405}, response.status_code
            self._check_problem(response)
            return
        documented = self.operation(operation_id)["responses"]
        status = str(response.status_code)
        assert status in documented, f"{operation_id} does not document {status}: {response.text}"
        item = contract.resolve(self.contract.document, documented[status])
        for name, header in item.get("headers", {}).items():
            is_needed = contract.resolve(self.contract.document, header).get("required", False)
            assert not is_needed or name in response.headers, f"{operation_id} {status} lacks {name}"
        assert response.mimetype in item["content"], f"{operation_id} {status} is {response.mimetype}"
        schema = item["content"][response.mimetype]["schema"]
        if response.mimetype.endswith("json"):
            self.validate(schema, json.loads(response.data))
        if response.status_code >= 400:
            self._check_problem(response)

    def validate(self, schema: Mapping[str, Any], value: Any) -> None:
        """Assert that a value is of a schema of the contract."""
        text = json.dumps(schema, sort_keys=True)
        if text not in self._compiled:
            whole = {**schema, "components": self.components}
            self._compiled[text] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        errors = [
            f"{list(one.instance_path)}: {one.message}" for one in self._compiled[text].iter_errors(value)
        ]
        assert not errors, "\n".join([*errors, json.dumps(value, ensure_ascii=False)[:2_000]])

    def _check_problem(self, response: TestResponse) -> None:
        assert response.mimetype == problems.MEDIA_TYPE
        problem = json.loads(response.data)
        self.validate({"$ref": PROBLEM}, problem)
        assert problem["status"] == response.status_code
        assert problem["request_id"] == response.headers["X-Request-Id"]


def closed(schemas: Any) -> Any:
    """Copy schemas so that every object refuses the members that it does not name."""
    if isinstance(schemas, list):
        return [closed(one) for one in schemas]
    if not isinstance(schemas, dict):
        return copy.copy(schemas)
    made = {name: closed(one) for name, one in schemas.items()}
    if isinstance(schemas.get("properties"), dict) and "type" in schemas:
        made.setdefault("additionalProperties", False)
    return made


@dataclass(frozen=True)
class Client:
    """Sends requests as the holder of a key."""

    app: Flask
    rules: Rules
    key: str | None

    def of(self, key: str | None) -> "Client":
        """Give a client of another key."""
        return Client(self.app, self.rules, key)

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> TestResponse:
        """Send a GET."""
        return self.send("GET", path, headers=headers, query_string=query)

    def post(
        self, path: str, document: Any = None, *, idempotency_key: str | None = None, **query: Any
    ) -> TestResponse:
        """Send a POST with a JSON document, under a new Idempotency-Key unless one is given."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self.send("POST", path, headers=headers, json=document, query_string=query)

    def put(self, path: str, document: Any, **query: Any) -> TestResponse:
        """Send a PUT with a JSON document."""
        return self.send("PUT", path, json=document, query_string=query)

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        **options: Any,
    ) -> TestResponse:
        """Send any request and hold the answer to the contract."""
        given = dict(headers or {})
        if self.key is not None:
            given.setdefault("Authorization", f"Bearer {self.key}")
        if json is not None:
            options["json"] = json
        response = self.app.test_client().open(path, method=method, headers=given, buffered=True, **options)
        self.rules.check(self._operation(method, path), response)
        return response

    def _operation(self, method: str, path: str) -> str | None:
        try:
            endpoint, _ = self.app.url_map.bind("localhost").match(path.partition("?")[0], method)
        except HTTPException:
            return None
        return endpoint if any(one.id == endpoint for one in self.rules.contract.operations) else None
