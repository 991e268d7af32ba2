"""What the official conformance suite wants a server to offer, added to ours: its tools, resources and prompts.

The names and texts are those of the suite's scenarios. What it asks of a server besides (its class, its capabilities,
its subscriptions, its transport) is answered by the server of the product, to which this is added.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp_types as t
from mcp.server import Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import PromptsListChanged, SubscriptionBus, ToolsListChanged
from mcp.shared.exceptions import MCPError

__all__ = ["add_fixtures"]

Context = ServerRequestContext[Any]
Params = t.CallToolRequestParams
Called = t.CallToolResult | t.InputRequiredResult
Tool = Callable[[Context, Params], Awaitable[Called]]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
TEXT: dict[str, Any] = {"type": "string"}
PAUSE = 0.05
"""Seconds between two messages of a tool; the suite wants to see them come one by one."""

TOOLS: dict[str, Tool] = {}
SCHEMAS: dict[str, dict[str, Any]] = {}


def tool(name: str, schema: dict[str, Any] | None = None) -> Callable[[Tool], Tool]:
    def added(function: Tool) -> Tool:
        TOOLS[name] = function
        SCHEMAS[name] = schema or {"type": "object", "properties": {}}
        return function

    return added


def of(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def says(text: str) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=text)])


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> t.EmbeddedResource:
    return t.EmbeddedResource(resource=t.TextResourceContents(uri=uri, mime_type=mime_type, text=text))


# ------------------------------------------------------------------------------------------------------ content


@tool("test_simple_text")
async def simple_text(_: Context, __: Params) -> Called:
    return says("This is a simple text response for testing.")


@tool("test_image_content")
async def image_content(_: Context, __: Params) -> Called:
    return t.CallToolResult(content=[t.ImageContent(data=PNG, mime_type="image/png")])


@tool("test_audio_content")
async def audio_content(_: Context, __: Params) -> Called:
    return t.CallToolResult(content=[t.AudioContent(data=WAV, mime_type="audio/wav")])


@tool("test_embedded_resource")
async def embedded_resource(_: Context, __: Params) -> Called:
    return t.CallToolResult(content=[embedded("test://embedded-resource", "This is an embedded resource content.")])


@tool("test_multiple_content_types")
async def multiple_content_types(_: Context, __: Params) -> Called:
    mixed = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    text = t.TextContent(text="Multiple content types test:")
    return t.CallToolResult(content=[text, t.ImageContent(data=PNG, mime_type="image/png"), mixed])


@tool("test_error_handling")
async def error_handling(_: Context, __: Params) -> Called:
    text = t.TextContent(text="This tool intentionally returns an error for testing")
    return t.CallToolResult(content=[text], is_error=True)


@tool(
    "json_schema_2020_12_tool",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": of({"street": TEXT, "city": TEXT}, **{"$anchor": "addressDef"})},
        "properties": {
            "name": TEXT,
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": TEXT | {"enum": ["phone", "email"]},
            "phone": TEXT,
            "email": TEXT,
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
@tool("test_x_mcp_header", of({"region": TEXT | {"x-mcp-header": "Region"}}))
async def fine(_: Context, __: Params) -> Called:
    return says("ok")


# --------------------------------------------------------------------------------------- while a call is under way


@tool("test_tool_with_logging")
@tool("test_logging_tool")
async def with_logging(context: Context, _: Params) -> Called:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message("info", words, related_request_id=context.request_id)
        await asyncio.sleep(PAUSE)
    return says("done")


@tool("test_tool_with_progress")
async def with_progress(context: Context, _: Params) -> Called:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(PAUSE)
    return says("done")


@tool("test_reconnection")
async def reconnection(context: Context, _: Params) -> Called:
    if context.close_sse_stream:
        await context.close_sse_stream()
    await asyncio.sleep(4 * PAUSE)
    return says("Reconnection test completed")


@tool("test_sampling", of({"prompt": TEXT}, required=["prompt"]))
async def sampling(context: Context, params: Params) -> Called:
    asked = t.SamplingMessage(role="user", content=t.TextContent(text=(params.arguments or {})["prompt"]))
    given = await context.session.create_message([asked], max_tokens=100, related_request_id=context.request_id)
    return says(f"LLM response: {getattr(given.content, 'text', given.content)}")


async def elicited(context: Context, message: str, schema: dict[str, Any]) -> Called:
    given = await context.session.elicit_form(message, schema, related_request_id=context.request_id)
    return says(f"Elicitation completed: action={given.action}, content={json.dumps(given.content or {})}")


@tool("test_elicitation", of({"message": TEXT}, required=["message"]))
async def elicitation(context: Context, params: Params) -> Called:
    schema = of({"username": TEXT, "email": TEXT}, required=["username", "email"])
    return await elicited(context, (params.arguments or {})["message"], schema)


@tool("test_elicitation_sep1034_defaults")
async def elicitation_defaults(context: Context, _: Params) -> Called:
    properties = {
        "name": TEXT | {"default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": TEXT | {"enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await elicited(context, "Defaults", of(properties))


@tool("test_elicitation_sep1330_enums")
async def elicitation_enums(context: Context, _: Params) -> Called:
    titled = [{"const": f"value{number}", "title": f"Choice {number}"} for number in (1, 2, 3)]
    untitled = TEXT | {"enum": ["option1", "option2", "option3"]}
    named = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}
    properties = {
        "untitledSingle": untitled,
        "titledSingle": TEXT | {"oneOf": titled},
        "legacyEnum": TEXT | named,
        "untitledMulti": {"type": "array", "items": untitled},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return await elicited(context, "Enums", of(properties))


@tool("test_missing_capability")
async def missing_capability(context: Context, _: Params) -> Called:
    offered = context.session.client_capabilities
    if offered is None or offered.sampling is None:
        needs = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(code=t.MISSING_REQUIRED_CLIENT_CAPABILITY, message="Needs sampling", data=needs)
    return says("ok")


# ------------------------------------------------------------------------- calls that come again with what they need


def question(message: str, **properties: Any) -> t.ElicitRequest:
    schema = of(properties, required=[*properties])
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str, tokens: int) -> t.CreateMessageRequest:
    message = t.SamplingMessage(role="user", content=t.TextContent(text=text))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[message], max_tokens=tokens))


def needed(requests: dict[str, Any], state: str | None = None) -> t.InputRequiredResult:
    return t.InputRequiredResult(input_requests=requests, request_state=state)


def accepted(params: Any, key: str, *fields: str) -> dict[str, Any] | None:
    """The accepted answer to `key`; None where it is missing or malformed: then it has to be asked again."""
    answer = (params.input_responses or {}).get(key)
    if not isinstance(answer, t.ElicitResult) or answer.action != "accept":
        return None
    content = dict(answer.content or {})
    return content if all(isinstance(content.get(field), str | bool) for field in fields) else None


NAME = {"user_name": question("What is your name?", name=TEXT)}


@tool("test_streaming_elicitation")
async def streaming_elicitation(context: Context, params: Params) -> Called:
    await context.session.report_progress(1, 2)
    return says("ok") if params.input_responses else needed(NAME)


@tool("test_input_required_result_elicitation")
async def input_elicitation(_: Context, params: Params) -> Called:
    answer = accepted(params, "user_name", "name")
    return says(f"Hello, {answer['name']}!") if answer else needed(NAME)


@tool("test_input_required_result_sampling")
async def input_sampling(_: Context, params: Params) -> Called:
    answer = (params.input_responses or {}).get("capital_question")
    if isinstance(answer, t.CreateMessageResult):
        return says(str(answer.content))
    return needed({"capital_question": sample("What is the capital of France?", 100)})


@tool("test_input_required_result_list_roots")
async def input_roots(_: Context, params: Params) -> Called:
    answer = (params.input_responses or {}).get("client_roots")
    if isinstance(answer, t.ListRootsResult):
        return says(" ".join(str(root.uri) for root in answer.roots))
    return needed({"client_roots": t.ListRootsRequest()})


@tool("test_input_required_result_request_state")
@tool("test_input_required_result_tampered_state")
async def input_state(_: Context, params: Params) -> Called:
    if params.request_state == "asked" and accepted(params, "confirm", "ok"):
        return says("state-ok")
    return needed({"confirm": question("Please confirm", ok={"type": "boolean"})}, "asked")


@tool("test_input_required_result_multiple_inputs")
async def input_multiple(_: Context, params: Params) -> Called:
    wanted = {**NAME, "greeting": sample("Generate a greeting", 50), "client_roots": t.ListRootsRequest()}
    return says("all there") if wanted.keys() <= (params.input_responses or {}).keys() else needed(wanted, "asked")


@tool("test_input_required_result_multi_round")
async def input_rounds(_: Context, params: Params) -> Called:
    match params.request_state:
        case None:
            return needed({"step1": question("Step 1: What is your name?", name=TEXT)}, "first")
        case "first":
            return needed({"step2": question("Step 2: What is your favorite color?", color=TEXT)}, "second")
    return says("done")


@tool("test_input_required_result_capabilities")
async def input_capabilities(context: Context, _: Params) -> Called:
    offered = context.session.client_capabilities or t.ClientCapabilities()
    asked: dict[str, Any] = {}
    if offered.sampling is not None:
        asked["sampled"] = sample("?", 10)
    if offered.elicitation is not None:
        asked["elicited"] = question("?", x=TEXT)
    return needed(asked)


# ------------------------------------------------------------------------------------------- resources, prompts

RESOURCES = {
    "test://static-text": t.TextResourceContents(
        uri="test://static-text",
        mime_type="text/plain",
        text="This is the content of the static text resource.",
    ),
    "test://static-binary": t.BlobResourceContents(uri="test://static-binary", mime_type="image/png", blob=PNG),
    "test://watched-resource": t.TextResourceContents(
        uri="test://watched-resource", mime_type="text/plain", text="Watched resource content"
    ),
}
TEMPLATE = "test://template/"


def content_of(uri: str) -> t.TextResourceContents | t.BlobResourceContents | None:
    if not uri.startswith(TEMPLATE):
        return RESOURCES.get(uri)
    number = uri.removeprefix(TEMPLATE).split("/")[0]
    text = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
    return t.TextResourceContents(uri=uri, mime_type="application/json", text=text)


PROMPTS: Mapping[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


def prompt(params: t.GetPromptRequestParams) -> t.GetPromptResult | t.InputRequiredResult:
    given = params.arguments or {}
    content: list[Any]
    match params.name:
        case "test_simple_prompt":
            content = [t.TextContent(text="This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            text = f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"
            content = [t.TextContent(text=text)]
        case "test_prompt_with_embedded_resource":
            resource = embedded(given["resourceUri"], "Embedded resource content for testing.")
            content = [resource, t.TextContent(text="Please process the embedded resource above.")]
        case "test_prompt_with_image":
            image = t.ImageContent(data=PNG, mime_type="image/png")
            content = [image, t.TextContent(text="Please analyze the image above.")]
        case _:
            answer = accepted(params, "user_context", "context")
            if answer is None:
                return needed({"user_context": question("What context should the prompt use?", context=TEXT)})
            content = [t.TextContent(text=answer["context"])]
    return t.GetPromptResult(messages=[t.PromptMessage(role="user", content=each) for each in content])


# ---------------------------------------------------------------------------------------------------------- adding


def add_fixtures(server: Server[Any], bus: SubscriptionBus) -> None:
    """Have `server` offer all of this beside its own; whose own is asked for is answered as before."""

    @tool("test_trigger_tool_change")
    async def trigger_tool_change(_: Context, __: Params) -> Called:
        await bus.publish(ToolsListChanged())
        return says("ok")

    @tool("test_trigger_prompt_change")
    async def trigger_prompt_change(_: Context, __: Params) -> Called:
        await bus.publish(PromptsListChanged())
        return says("ok")

    def beside(method: str, ours: Callable[[Context, Any], Awaitable[Any]]) -> None:
        entry = server.get_request_handler(method)
        assert entry is not None, method

        async def handler(context: Context, params: Any) -> Any:
            answer = await ours(context, params)
            return await entry.handler(context, params) if answer is None else answer

        server.add_request_handler(method, entry.params_type, handler)

    def listed(method: str, key: str, added: list[Any]) -> None:
        entry = server.get_request_handler(method)
        assert entry is not None, method

        async def handler(context: Context, params: Any) -> Any:
            whole = await entry.handler(context, params)
            return whole.model_copy(update={key: [*getattr(whole, key), *added]})

        server.add_request_handler(method, entry.params_type, handler)

    async def call_tool(context: Context, params: Params) -> Called | None:
        return await TOOLS[params.name](context, params) if params.name in TOOLS else None

    async def read(_: Context, params: t.ReadResourceRequestParams) -> t.ReadResourceResult | None:
        content = content_of(str(params.uri))
        return None if content is None else t.ReadResourceResult(contents=[content])

    async def subscribe(_: Context, params: t.SubscribeRequestParams) -> t.EmptyResult | None:
        return t.EmptyResult() if content_of(str(params.uri)) else None

    async def get_prompt(_: Context, params: t.GetPromptRequestParams) -> Any:
        return prompt(params) if params.name in PROMPTS else None

    async def complete(_: Context, params: t.CompleteRequestParams) -> t.CompleteResult | None:
        if getattr(params.ref, "name", None) not in PROMPTS:
            return None
        return t.CompleteResult(completion=t.Completion(values=["paris", "park"], total=2, has_more=False))

    async def set_level(_: Context, __: t.SetLevelRequestParams) -> t.EmptyResult:
        return t.EmptyResult()

    listed("tools/list", "tools", [t.Tool(name=each, description=each, input_schema=SCHEMAS[each]) for each in TOOLS])
    listed(
        "resources/list",
        "resources",
        [t.Resource(uri=uri, name=uri, description=uri, mime_type=each.mime_type) for uri, each in RESOURCES.items()],
    )
    template = t.ResourceTemplate(
        uri_template=TEMPLATE + "{id}/data", name="template", description="template", mime_type="application/json"
    )
    listed("resources/templates/list", "resource_templates", [template])
    listed(
        "prompts/list",
        "prompts",
        [
            t.Prompt(name=name, description=name, arguments=[t.PromptArgument(name=each, required=True) for each in of])
            for name, of in PROMPTS.items()
        ],
    )
    beside("tools/call", call_tool)
    beside("resources/read", read)
    beside("resources/subscribe", subscribe)
    beside("resources/unsubscribe", subscribe)
    beside("prompts/get", get_prompt)
    beside("completion/complete", complete)
    server.add_request_handler("logging/setLevel", t.SetLevelRequestParams, set_level)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="conformance"))
