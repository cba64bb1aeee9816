// A TLS server that speaks HTTP/2, HTTP/1.1 and WebSockets, with the key and the certificate of `broker.py`; says its
// port, twice. Arguments: their directory, and a file for what it was asked, a JSON object a line: also as far as a
// request came that broke off.
const [crypto, fs, http2] = ['crypto', 'fs', 'http2'].map(require);
const [directory, log] = process.argv.slice(1);
const read = name => fs.readFileSync(`${directory}/${name}`);
const say = (request, parts, whole) => fs.appendFileSync(log, JSON.stringify({
  path: request.url, version: request.httpVersion, headers: request.headers,
  body: Buffer.concat(parts).toString('latin1'), whole,
}) + '\n');

const server = http2.createSecureServer({key: read('key'), cert: read('cert'), allowHTTP1: true}, (request, response) => {
  const parts = [];
  let whole = false;
  request.on('data', part => parts.push(part));
  request.on('error', () => {});
  request.on('end', () => { whole = request.complete; if (whole) response.end('ok'); });
  request.on('close', () => say(request, parts, whole));
});
// Each message as it comes, its frames put together; the answer is `ok`.
server.on('upgrade', (request, socket) => {
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let waiting = Buffer.alloc(0), parts = [];
  socket.on('error', () => {});
  socket.on('data', part => {
    waiting = Buffer.concat([waiting, part]);
    while (waiting.length >= 6) {
      const short = waiting[1] & 127, wide = short === 126 ? 2 : short === 127 ? 8 : 0;
      const length = wide ? waiting.readUIntBE(2 + Math.max(0, wide - 6), Math.min(wide, 6)) : short;
      const from = 2 + wide + 4;
      if (waiting.length < from + length) return;
      const [first, mask] = [waiting[0], waiting.subarray(from - 4, from)];
      const text = Buffer.from(waiting.subarray(from, from + length).map((byte, at) => byte ^ mask[at % 4]));
      waiting = waiting.subarray(from + length);
      if ((first & 15) === 8) { socket.end(Buffer.from([0x88, 0])); return; }
      if ((first & 8) === 0) parts.push(text);
      if ((first & 8) === 0 && first & 128) {
        say(request, parts, true);
        parts = [];
        socket.write(Buffer.from([0x81, 2, 0x6f, 0x6b]));
      }
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port, server.address().port));
