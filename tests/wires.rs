//! A real value in each part of a request, sent by real clients inside over HTTP/1.1, HTTP/2 and a WebSocket.
//!
//! A body goes in two pieces, cut at a few points; the value's halves meet inside only, so nothing but the broker
//! can see it. The twin sends a word by all ways in one run, and all of it arrives.

use crate::broker::Hosts;
use crate::harness::{python_with_clients, text};

use serde_json::Value;

/// `WAY...`: sends the text of stdin, put together, by each way; a body is cut in the middle of it, or behind so many
/// of its letters. Says each status.
const PYTHON_CLIENT: &str = "
import aiohttp, asyncio, gzip, sys
text, at = ''.join(sys.stdin.read().split()), 'https://api.github.com/'
async def main():
    async with aiohttp.ClientSession() as session:
        for word in sys.argv[1:]:
            way, _, cut = word.partition('@')
            print(way, await send(session, way, int(cut or 20)), flush=True)
async def pieces(body, cut):
    yield body[:cut]
    await asyncio.sleep(0.05)
    yield body[cut:]
async def status(request):
    async with request as response:
        return response.status
async def send(session, way, cut):
    def body(before, behind, kind, pack=bytes, **more):
        whole = pack((before + text + behind).encode())
        at_last = len(before) + cut if pack is bytes else len(whole) * cut // 40
        return status(session.post(at + way, data=pieces(whole, at_last), headers={'content-type': kind, **more}))
    if way == 'header': return await status(session.get(at + way, headers={'x-note': 'a ' + text}))
    if way == 'query': return await status(session.get(at + way, params={'q': text}))
    if way == 'path': return await status(session.get(at + 'path/' + text))
    if way == 'json': return await body('{\"a\": \"', '\"}', 'application/json')
    if way == 'form': return await body('a=1&b=', '&c=2', 'application/x-www-form-urlencoded')
    if way == 'gzip': return await body('some text, ', ', and more', 'text/plain', gzip.compress, **{'content-encoding': 'gzip'})
    if way == 'multipart':
        form = aiohttp.FormData()
        form.add_field('file', text.encode('utf-16'), filename='a.txt')
        return await status(session.post(at + way, data=form))
    async with session.ws_connect(at + way, compress=15) as socket:
        await (socket.send_str(text) if way == 'text' else socket.send_bytes(b'\\0' + text.encode()))
        return (await socket.receive()).data
asyncio.run(main())
";

/// The same over HTTP/2, in two frames.
const NODE_CLIENT: &str = "
const text = require('fs').readFileSync(0, 'utf8').split(/\\s+/).join('');
const client = require('http2').connect('https://api.github.com');
const way = process.argv[1], cut = Number(process.argv[2]);
const head = {':method': 'POST', ':path': '/' + way, ...(way === 'h2-header' ? {'x-note': text} : {})};
const stream = client.request(head, {endStream: false});
stream.on('response', head => console.log(way, head[':status']));
stream.on('error', error => console.log(way, error.code));
stream.on('close', () => client.destroy());
stream.resume();
if (way === 'h2-header') { stream.end('x'); } else {
  stream.write('some text, ' + text.slice(0, cut));
  setTimeout(() => stream.end(text.slice(cut) + ', and more'), 50);
}
";

const IN_HEADS: [&str; 3] = ["header", "query", "path"];
const CUT: [&str; 3] = ["json", "form", "gzip"];
const WHOLE: [&str; 3] = ["multipart", "text", "binary"];

#[test]
fn a_real_value_from_a_real_client_ends_the_run_by_every_way_and_a_word_arrives() {
    let Some(python) = python_with_clients() else { return };
    let python = python.to_string_lossy().into_owned();
    let hosts = Hosts::of_wires();
    let real = hosts.world.real("GITHUB_TOKEN").to_owned();
    let in_python = |value: (&str, &str), ways: &[&str]| {
        let script = format!("echo '{} {}' | {python} -c \"$0\" {}", value.0, value.1, ways.join(" "));
        hosts.run(["bash", "-c", &script, PYTHON_CLIENT])
    };
    let in_node = |value: (&str, &str), way: &str, cut: usize| {
        let script = format!("echo '{} {}' | node -e \"$0\" {way} {cut}", value.0, value.1);
        hosts.run(["bash", "-c", &script, NODE_CLIENT])
    };
    let cuts = CUT.iter().flat_map(|way| ["5", "20", "39"].map(|cut| format!("{way}@{cut}")));
    let ways: Vec<String> = IN_HEADS.iter().chain(&WHOLE).map(|way| (*way).to_owned()).chain(cuts).collect();
    let halves = real.split_at(12);
    for way in &ways {
        let ran = in_python(halves, &[way]).expect_code(120);
        assert_eq!(ran.record.of("leak-stopped").len(), 1, "{way}: {ran}");
    }
    for (way, cut) in [("h2-header", 0), ("h2", 5), ("h2", 20), ("h2", 39)] {
        let ran = in_node(halves, way, cut).expect_code(120);
        assert_eq!(ran.record.of("leak-stopped").len(), 1, "{way}, {cut}: {ran}");
    }
    // What came before the end: neither the value nor the half behind what all tokens begin with.
    let middle = &real[12..28];
    let holds = |one: &Value| one.to_string().contains(middle);
    assert!(!hosts.asked().iter().any(holds), "it left: {:?}", hosts.asked());

    let (before, word) = (hosts.asked().len(), ("n0thing-that", "is-secret-at-all-but-as-long"));
    let ways: Vec<&str> = IN_HEADS.iter().chain(&CUT).chain(&WHOLE).copied().collect();
    let ran = in_python(word, &ways).expect_clean();
    let said =
        "header 200\nquery 200\npath 200\njson 200\nform 200\ngzip 200\nmultipart 200\ntext ok\nbinary ok\n";
    assert_eq!(ran.text(), said, "{ran}");
    for (way, cut) in [("h2-header", 0), ("h2", 5)] {
        let ran = in_node(word, way, cut).expect_clean();
        assert_eq!(ran.text(), format!("{way} 200\n"), "{ran}");
    }
    let asked = hosts.asked().split_off(before);
    let versions: Vec<_> = asked.iter().map(|one| text(one, "/version").to_owned()).collect();
    assert_eq!(asked.len(), 11, "{asked:?}");
    assert!(versions[..9].iter().all(|version| version == "1.1"), "{versions:?}");
    assert_eq!(versions[9..], ["2.0", "2.0"]);
    assert!(asked.iter().all(|one| one["whole"] == true), "{asked:?}");
    // An extension that would compress its frames was asked for, and never offered to the server.
    let sockets = asked.iter().filter(|one| ["/text", "/binary"].contains(&text(one, "/path")));
    assert!(
        sockets.clone().all(|one| one.pointer("/headers/sec-websocket-extensions").is_none()),
        "{asked:?}"
    );
    assert_eq!(sockets.count(), 2);
}
