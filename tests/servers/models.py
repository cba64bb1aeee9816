"""A TLS server that stands for the models of several vendors, with an authority of its own; says its port.

Arguments: a directory for key and certificates, a file for what it was asked, the command that the model asks for, and,
where it is to be a certain one, the port.
It speaks Messages (Anthropic), Responses (by WebSocket as well) and Chat Completions (OpenAI), and generateContent
(Gemini), streamed or not, and follows one script: who offers a tool that runs commands is asked to run the command, and
who comes back with what that printed is told that all is done. What is asked goes to the file, a JSON object a line.
"""
import base64, gzip, hashlib, http.server, json, os, secrets, ssl, string, subprocess, sys, threading, time

directory, log, command = sys.argv[1:4]
HOSTS = ["api.anthropic.com", "platform.claude.com", "console.anthropic.com", "claude.ai", "api.openai.com", "chatgpt.com",
         "auth.openai.com", "generativelanguage.googleapis.com", "openrouter.ai", "models.dev", "opencode.ai"]
SAID = "All done."
# What ends a run of mini-swe-agent: a command, not a text.
SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
# How an agent without tools is told to write a file.
EDIT = "task.txt\n```\n<<<<<<< SEARCH\n=======\ndone\n>>>>>>> REPLACE\n```\n"
lock = threading.Lock()


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificates():
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=suite", *usage)
    openssl("req", *curve, "-keyout", "key", "-out", "request", "-subj", "/CN=models")
    with open(os.path.join(directory, "names"), "w") as names:
        names.write("subjectAltName=" + ",".join("DNS:" + host for host in HOSTS))
    openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "cert",
            "-days", "2", "-extfile", "names")


def tool_of(tools):
    """The name of the tool that runs commands, and what to give it; `tools` are pairs of name and schema."""
    for name, schema in tools:
        fields = (schema or {}).get("properties") or {}
        given = next((field for field in ("command", "cmd", "commands") if field in fields), None)
        if given is None or not any(word in name.lower() for word in ("bash", "shell", "exec", "command", "terminal")):
            continue
        filled = {}
        for field in (schema.get("required") or []):
            kind = fields.get(field, {}).get("type")
            filled[field] = {"string": "the task", "number": 1, "integer": 1, "boolean": False, "array": []}.get(kind)
        asked = SUBMITTED.asked()
        filled[given] = ["bash", "-c", asked] if fields[given].get("type") == "array" else asked
        return name, filled
    return None


class SUBMITTED:
    """What is asked for in this answer, by thread: the command, or the word that ends the run."""
    here = threading.local()

    @classmethod
    def asked(cls):
        return "echo " + SUBMIT if getattr(cls.here, "ends", False) else command


def plan(text, tools, has_result):
    """What the model says: a tool and its input, or a text."""
    SUBMITTED.here.ends = has_result and SUBMIT in text
    called = tool_of(tools)
    if called and (not has_result or SUBMITTED.here.ends):
        return called, None
    if not called and "SEARCH/REPLACE" in text and "FAILED 42" not in text:
        return None, EDIT
    return None, SAID


def accounts(own):
    """What a login of ChatGPT is good for: one account."""
    one = {"id": own, "account_user_id": "user-1", "structure": "personal", "plan_type": "pro", "name": None,
           "is_deactivated": False, "profile_picture_url": None, "workspace_backend_origin": "https://chatgpt.com",
           "account_routing_override": "us"}
    return {"accounts": [one], "account_ordering": [own], "default_account_id": own}


def handed_out(handler, asked, text):
    """The answer of a token endpoint: new ones, of the form of Claude's."""
    new = lambda word: f"sk-ant-{word}-" + "".join(secrets.choice(string.ascii_letters) for _ in range(93)) + "AA"
    answer = {"token_type": "Bearer", "access_token": new("oat01"), "refresh_token": new("ort01"), "expires_in": 28800,
              "scope": "user:inference user:profile"}
    handler.note({"method": "ANSWER", "body": answer})
    handler.say(200, answer)


def plain(coding, body):
    """A body without its compression: what is in it is to be seen."""
    if coding == "zstd":
        return subprocess.run(["zstd", "-dcq"], input=body, stdout=subprocess.PIPE, check=True).stdout
    return gzip.decompress(body) if coding == "gzip" else body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            whole = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self):
        body = plain(self.headers.get("Content-Encoding"), self.body())
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.note({"method": self.command, "path": self.path, "headers": headers, "body": body.decode("latin-1")})
        path = self.path.partition("?")[0]
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            asked = {}
        if self.headers.get("Upgrade") == "websocket" and path.endswith("/responses"):
            return websocket(self)
        for ending, speak in SPEECHES:
            if self.command == "POST" and path.endswith(ending):
                return speak(self, asked, body.decode("latin-1"))
        if path.endswith("/accounts/check"):
            return self.say(200, accounts(self.headers.get("chatgpt-account-id")))
        return self.say(404, {"type": "error", "error": {"type": "not_found_error", "message": "not here"}})

    def note(self, what):
        with lock, open(log, "a") as seen:
            json.dump(what, seen)
            seen.write("\n")

    def say(self, code, value):
        said = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def stream(self, events):
        """Server-sent events; pairs of name (or nothing) and data."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            piece = ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *words):
        pass


def anthropic(handler, asked, text):
    tools = [(tool["name"], tool.get("input_schema")) for tool in asked.get("tools") or []]
    called, said = plan(text, tools, '"tool_result"' in text)
    usage = {"input_tokens": 10, "output_tokens": 10}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.get("model"), "content": [],
             "stop_reason": None, "stop_sequence": None, "usage": usage}
    ends = "tool_use" if called else "end_turn"
    if called:
        block = {"type": "tool_use", "id": "toolu_1", "name": called[0], "input": called[1]}
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(called[1])}
    else:
        block, empty, delta = {"type": "text", "text": said}, {"type": "text", "text": ""}, {"type": "text_delta", "text": said}
    if not asked.get("stream"):
        return handler.say(200, {**whole, "content": [block], "stop_reason": ends})
    events = [
        {"type": "message_start", "message": whole},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": ends, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    handler.stream((event["type"], event) for event in events)


def offered(tools):
    """The tools of a request, those of namespaces with the namespace's name."""
    for tool in tools:
        if tool.get("type") == "namespace":
            for one in offered(tool.get("tools") or []):
                yield {**one, "namespace": tool.get("name")}
        else:
            yield tool


def response(asked, text):
    """The whole of a response and the events of its stream."""
    given = asked.get("input") if isinstance(asked.get("input"), list) else []
    more = [tool for item in given if item.get("type") == "additional_tools" for tool in item.get("tools") or []]
    tools = list(offered([*(asked.get("tools") or []), *more]))
    # One that takes a program instead of JSON: the program calls the tool that runs commands.
    program = next((tool for tool in tools if tool.get("type") == "custom" and tool.get("name") == "exec"), None)
    has_result = any(item.get("type") in ("function_call_output", "custom_tool_call_output") for item in given)
    called, said = plan(text, [(tool.get("name") or "", tool.get("parameters")) for tool in tools], has_result)
    if program and not called and not has_result:
        called = "exec", "text(await tools.exec_command({cmd: " + json.dumps(command) + "}))"
    if called and isinstance(called[1], str):
        item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": called[0], "input": called[1],
                "namespace": program.get("namespace"), "status": "completed"}
    elif called:
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": called[0],
                "arguments": json.dumps(called[1]), "status": "completed"}
    else:
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": said, "annotations": []}]}
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20}
    # Who only wants the connection warmed up is told nothing.
    items = [] if asked.get("generate") is False else [item]
    whole = {"id": "resp_1", "object": "response", "created_at": int(time.time()), "model": asked.get("model"),
             "status": "completed", "output": items, "usage": usage}
    events = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}},
        *({"type": "response.output_item.added", "output_index": 0, "item": {**one, "status": "in_progress"}} for one in items),
        *({"type": "response.output_item.done", "output_index": 0, "item": one} for one in items),
        {"type": "response.completed", "response": whole},
    ]
    return whole, [{**event, "sequence_number": at} for at, event in enumerate(events)]


def responses(handler, asked, text):
    whole, events = response(asked, text)
    if not asked.get("stream"):
        return handler.say(200, whole)
    handler.stream((event["type"], event) for event in events)


def message(stream):
    """The next text of a WebSocket, without its frames; nothing at its end. Who asks for more than texts is let down."""
    whole, last = b"", False
    while not last:
        head = stream.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return None
        last, size = head[0] & 128, head[1] & 127
        size = int.from_bytes(stream.read({126: 2, 127: 8}[size]), "big") if size > 125 else size
        mask = stream.read(4)
        text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(size)))
        if head[0] & 15 < 3:
            whole += text
        else:
            last = False
    return whole


def websocket(handler):
    """Responses over a WebSocket: a request a message, an event a message."""
    seed = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(seed.encode()).digest()).decode())
    handler.end_headers()
    handler.close_connection = True
    while (said := message(handler.rfile)) is not None:
        text = said.decode()
        handler.note({"method": "MESSAGE", "path": handler.path, "headers": {"host": handler.headers["Host"]},
                      "body": said.decode("latin-1")})
        for event in response(json.loads(text), text)[1]:
            data = json.dumps(event).encode()
            handler.wfile.write(b"\x81\x7f" + len(data).to_bytes(8, "big") + data)


def chat(handler, asked, text):
    tools = [(tool["function"]["name"], tool["function"].get("parameters")) for tool in asked.get("tools") or []]
    called, said = plan(text, tools, '"role": "tool"' in text or '"role":"tool"' in text)
    message = {"role": "assistant", "content": said}
    if called:
        function = {"name": called[0], "arguments": json.dumps(called[1])}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    ends = "tool_calls" if called else "stop"
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    whole = {"id": "chatcmpl-1", "created": int(time.time()), "model": asked.get("model")}
    if not asked.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": ends}
        return handler.say(200, {**whole, "object": "chat.completion", "choices": [choice], "usage": usage})
    for at, call in enumerate(message.get("tool_calls", [])):
        call["index"] = at
    chunk = lambda delta, end: {**whole, "object": "chat.completion.chunk",
                                "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
    last = {**whole, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    handler.stream([(None, chunk(message, None)), (None, chunk({}, ends)), (None, last), (None, "[DONE]")])


def gemini(handler, asked, text):
    declared = [one for tool in asked.get("tools") or [] for one in tool.get("functionDeclarations") or []]
    tools = [(one["name"], one.get("parametersJsonSchema") or one.get("parameters")) for one in declared]
    called, said = plan(text, tools, '"functionResponse"' in text)
    if (asked.get("generationConfig") or {}).get("responseMimeType") == "application/json":
        said = json.dumps({"reasoning": "none", "model_choice": "flash", "complexity_reasoning": "none", "complexity_score": 1})
    part = {"functionCall": {"name": called[0], "args": called[1]}} if called else {"text": said}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20}
    whole = {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
             "usageMetadata": usage}
    if ":stream" in handler.path:
        return handler.stream([(None, whole)])
    handler.say(200, whole)


SPEECHES = [
    ("/oauth/token", handed_out),
    ("/messages", anthropic),
    ("/messages/count_tokens", lambda handler, asked, text: handler.say(200, {"input_tokens": 10})),
    ("/responses", responses),
    ("/chat/completions", chat),
    (":streamGenerateContent", gemini),
    (":generateContent", gemini),
    (":countTokens", lambda handler, asked, text: handler.say(200, {"totalTokens": 10})),
]

certificates()
port = int(sys.argv[4]) if len(sys.argv) > 4 else 0
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(directory, "cert"), os.path.join(directory, "key"))
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
server.serve_forever()
