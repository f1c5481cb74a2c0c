"""From a request to a view and back: one transaction for each request, admitted, checked, done once.

Laws: nothing is parsed for someone who is not admitted; a refusal rolls everything back; an answer is given
only after the transaction that it tells of has committed; files are read when it is over.
"""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import structlog
from flask import Blueprint, Response, g, request, send_file
from sqlalchemy.orm import Session

from service.api import authentication, calls, idempotency, parameters, preferences
from service.api.answers import Answer
from service.api.calls import Body, Call
from service.api.contract import Contract, Operation, bind
from service.runtime import clock, db
from service.wiring import System

View = Callable[[Call], Answer]
PublicView = Callable[[System], Answer]


def blueprints(system: System, contract: Contract, modules: Iterable[ModuleType]) -> list[Blueprint]:
    """Make a blueprint for each noun, with an endpoint named like its operation.

    Raises:
        ContractBroken: contract and code differ.
    """
    views = bind(contract.operations, modules)
    made: dict[str, Blueprint] = {}
    for operation in contract.operations:
        noun, _, verb = operation.id.partition(".")
        blueprint = made.setdefault(noun, Blueprint(noun, __name__))
        blueprint.add_url_rule(
            operation.rule,
            endpoint=verb,
            view_func=_endpoint(system, operation, views[operation.id]),
            methods=[operation.method],
            provide_automatic_options=False,
        )
    return list(made.values())


def _endpoint(system: System, operation: Operation, view: Callable[[Any], Answer]) -> Callable[..., Response]:
    def endpoint(**path: str) -> Response:
        if operation.is_public:
            return _response(view(system))
        return _response(_answer(system, operation, view, path))

    return endpoint


def _answer(system: System, operation: Operation, view: View, path: dict[str, str]) -> Answer:
    key_text = authentication.presented(request.headers)
    body = calls.read_body(request, operation)

    def act(session: Session) -> Answer:
        return _act(session, system, operation, view, key_text, path, body)

    answer = db.run(system.database, act)
    return answer if answer.later is None else answer.later()


def _act(
    session: Session,
    system: System,
    operation: Operation,
    view: View,
    key_text: str,
    path: dict[str, str],
    body: Body,
) -> Answer:
    assert operation.scopes is not None, "an operation without scopes is public"
    now = clock.now(session)
    key = authentication.admit(session, key_text, scopes=operation.scopes, pepper=system.pepper, now=now)
    structlog.contextvars.bind_contextvars(key_id=key.id, platform_id=key.platform_id)
    values = parameters.read(operation.parameters, path, request.args)
    principal = authentication.principal(session, key, values["platform"])
    structlog.contextvars.bind_contextvars(platform_id=principal.platform.id)
    call = Call(
        system=system,
        session=session,
        now=now,
        operation=operation,
        principal=principal,
        parameters=values,
        body=body,
        accept=request.headers.get("Accept", ""),
        request_id=g.request_id,
        prefer=tuple(request.headers.getlist(preferences.HEADER)),
    )
    if not operation.needs_key:
        return view(call)
    # Outside of the view, so that no view can forget it.
    idempotency_key = idempotency.key_of(request.headers)
    target = f"{request.path}?{request.query_string.decode('latin-1')}"
    return idempotency.once(
        session,
        principal.platform.id,
        idempotency_key,
        idempotency.request_sha256(operation.method, target, body.content),
        lambda: view(call),
        vault=system.vault,
        now=now,
    )


def _response(answer: Answer) -> Response:
    if answer.file is not None:
        made = send_file(answer.file, mimetype=answer.media_type)
    else:
        made = Response(answer.body(), content_type=answer.media_type)
    made.status_code = answer.status
    made.headers.update(answer.headers)
    return made
