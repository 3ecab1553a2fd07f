"""/docs: the same description for people, as a page that needs no script; and its stylesheet."""

import functools
import http
import json
from collections.abc import Iterable
from html import escape
from importlib import resources
from typing import Any

import falcon

from pivision.api.endpoint import CSS, ERRORS_OF_OPENING, HTML, Content, described
from pivision.api.openapi import Json, OpenApi

_SCHEMAS = "#/components/schemas/"
_FORM = falcon.MEDIA_MULTIPART
_METHODS_SHOWN = ("get", "post", "put", "patch", "delete")  # what answers GET answers HEAD


class Reference:
    """/docs"""

    def __init__(self, description: OpenApi) -> None:
        self._description = description

    @functools.cached_property
    def _page(self) -> bytes:
        return page(self._description.document).encode()

    @described({200: Content((HTML,), str)}, errors=ERRORS_OF_OPENING)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """This description, as a page."""
        resp.content_type = HTML
        resp.data = self._page

    on_head = on_get


class ReferenceStyle:
    """/docs.css"""

    def __init__(self) -> None:
        self._style = resources.files("pivision.web").joinpath("docs.css").read_bytes()

    @described({200: Content((CSS,), str)}, errors=ERRORS_OF_OPENING)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What the page looks like."""
        resp.content_type = CSS
        resp.data = self._style

    on_head = on_get


def page(document: Json) -> str:
    """The page of an OpenAPI document as openapi.py makes it."""
    operations = [
        (path, method, methods[method])
        for path, methods in document["paths"].items()
        for method in _METHODS_SHOWN
        if method in methods
    ]
    schemas = document["components"]["schemas"]
    info = document["info"]
    contents = "".join(
        f'<li><a href="#{escape(each["operationId"])}"><code>{method.upper()} {escape(path)}</code></a></li>'
        for path, method, each in operations
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(info["title"])}: the HTTP API</title>
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<header>
<h1>{escape(info["title"])} {escape(info["version"])}</h1>
<p>{escape(info["description"])} Everything under <code>/v1</code> asks for the header
<code>Authorization: Bearer TOKEN</code>; <code>python -m pivision token make NAME</code> makes a token. What answers
GET answers HEAD. For programs: <a href="/openapi.json">openapi.json</a>.</p>
</header>
<nav aria-label="Addresses"><ul>{contents}</ul></nav>
<main>
{"".join(_section(path, method, each) for path, method, each in operations)}
<h2 id="schemas">Schemas</h2>
{"".join(_schema(name, schemas[name]) for name in sorted(schemas))}
</main>
</body>
</html>
"""


def _section(path: str, method: str, operation: Json) -> str:
    parts = [
        f'<section id="{escape(operation["operationId"])}">',
        f'<h2><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>',
        f"<p>{_prose(operation['summary'])} {_prose(operation.get('description', ''))}</p>",
        _table("Parameters", ("name", "in", "type", "what it is"), map(_parameter, operation.get("parameters", ()))),
    ]
    if "requestBody" in operation:
        bodies = operation["requestBody"]["content"].items()
        parts.append(_table("Body", ("content type", "what it is"), map(_content, bodies)))
    answers = (_answer(status, answer) for status, answer in sorted(operation["responses"].items()))
    parts.append(_table("Answers", ("status", "what it means", "content"), answers))
    parts.append(f"<h3>In a shell</h3><pre><code>{escape(_curl(path, method, operation))}</code></pre></section>\n")
    return "".join(parts)


def _parameter(parameter: Json) -> tuple[str, ...]:
    name = f"<code>{escape(parameter['name'])}</code>"
    return name, escape(parameter["in"]), _type(parameter["schema"]), _prose(parameter["description"])


def _content(media_and_content: tuple[str, Json]) -> tuple[str, ...]:
    media, content = media_and_content
    return f"<code>{escape(media)}</code>", _type(content["schema"])


def _answer(status: str, answer: Json) -> tuple[str, ...]:
    phrase = http.HTTPStatus(int(status)).phrase
    told = [_prose(each) for each in answer["description"].split("\n\n")]
    told += [
        f"<code>{escape(name)}</code>: {_prose(header['description'])}"
        for name, header in answer.get("headers", {}).items()
    ]
    contents = (" ".join(_content(each)) for each in answer.get("content", {}).items())
    return f"<strong>{status}</strong> {escape(phrase)}", "<br>".join(told), "<br>".join(contents)


def _schema(name: str, schema: Json) -> str:
    parts = [f'<section id="schema-{escape(name)}"><h3><code>{escape(name)}</code></h3>']
    parts.append(f"<p>{_prose(schema.get('description', ''))}</p>")
    if "properties" in schema:
        required = schema.get("required", ())
        fields = (
            (
                f"<code>{escape(field)}</code>",
                _type(told) + ("" if field in required else ", optional"),
                _prose(told.get("description", "")),
            )
            for field, told in schema["properties"].items()
        )
        parts.append(_table("", ("field", "type", "what it is"), fields))
    else:
        parts.append(f"<p>{_type(schema)}</p>")
    return "".join([*parts, "</section>\n"])


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Rows of HTML; nothing at all when there are none."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'{heading}<div class="wide" tabindex="0">{table}</div>'


def _type(schema: Json) -> str:
    """A JSON Schema in a few words, with a link to each that has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(_SCHEMAS))
        return f'<a href="#schema-{name}">{name}</a>'
    for key, word in (("anyOf", " or "), ("allOf", " with ")):
        if key in schema:
            return word.join(_type(each) for each in schema[key] if each.keys() != {"properties"})
    if "enum" in schema:
        return "one of " + ", ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if schema.get("format") == "binary":
        return "the bytes of a file"
    kind = _kind(schema)
    return f"{kind}{_bounds(schema)}"


def _kind(schema: Json) -> str:
    kind = schema.get("type", "any JSON")
    if kind == "array":
        entries = schema.get("items") or {}
        each = " and ".join(dict.fromkeys(map(_type, schema.get("prefixItems", [entries]))))
        return f"list of ({each})"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of ({_type(schema['additionalProperties'])})"
    if kind == "object" and "properties" in schema:
        return "object with " + ", ".join(f"<code>{escape(field)}</code>" for field in schema["properties"])
    return escape(kind if isinstance(kind, str) else " or ".join(kind))


def _bounds(schema: Json) -> str:
    names = {"minimum": "at least", "maximum": "at most", "minLength": "at least", "maxLength": "at most"}
    unit = {"minLength": " characters", "maxLength": " characters"}
    told = [f"{word} {schema[key]}{unit.get(key, '')}" for key, word in names.items() if key in schema]
    if "default" in schema:
        told.append(f"default <code>{escape(json.dumps(schema['default']))}</code>")
    return "".join(f", {each}" for each in told)


def _prose(text: str) -> str:
    """Text with `code` in it."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _curl(path: str, method: str, operation: Json) -> str:
    parameters: list[Json] = operation.get("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    words = ["curl"]
    if method != "get" and not (method == "post" and "requestBody" in operation):
        words.append(f"-X {method.upper()}")
    if "security" in operation:
        words.append('-H "Authorization: Bearer $TOKEN"')
    bodies: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    if _FORM in bodies:
        words += ["-F image=@photo.jpg"]
        words += [
            f"-F {each['name']}={each['example']}" for each in parameters if each["in"] == "query" and "example" in each
        ]
    return " ".join([*words, f"http://127.0.0.1:8080{path}"])
