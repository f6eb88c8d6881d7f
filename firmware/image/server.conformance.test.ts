import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CONTENT, rowsFor, SHA, SIZE, TYPE, validatorsAt, type Row } from './conformance.fixture.js';
import { openHouse, removeFolder, serveFile, startOrigin, type House, serverOptions } from './fixture.js';
import { ImageServer } from './server.js';
import { converse, parseParts, requestOf } from './wire.fixture.js';

let house: House;
let server: ImageServer;
let port: number;
let rows: ReadonlyMap<string, Row>;

before(async () => {
  const origin = await startOrigin(serveFile(CONTENT));
  house = openHouse();
  await house.downloader.start();
  const { id } = house.add('fw.bin', origin.url);
  house.add('pending', 'http://127.0.0.1:1/x');
  const { availableMs } = await house.until(id, 'available');
  await origin.close();
  const seconds = Math.floor((availableMs ?? assert.fail()) / 1000);
  rows = new Map(rowsFor(validatorsAt(`"${SHA}"`, seconds)).map((row) => [row.name, row]));
  server = new ImageServer(serverOptions(house));
  const started = await server.start();
  assert.ok(started.ok);
  port = started.value[0]!.port;
});
after(async () => {
  await server.close();
  await house.close();
  removeFolder(house.folder);
});

describe('on the wire, each request alone', () => {
  // The dates are known only when the image is there; the names are the same whatever they are.
  for (const { name } of rowsFor(validatorsAt('"x"', 0))) {
    it(name, async () => {
      const { lines, expected, closes } = rows.get(name)!;
      const method = lines.split(' ')[0] ?? '';
      const asked = await converse(port, requestOf(lines), { methods: [method] });
      assert.equal(asked.replies.length, 1);
      assert.equal(asked.rest.length, 0);
      const reply = asked.replies[0]!;
      const { status, headers, spans = [] } = expected;
      const { connection, 'keep-alive': keepAlive, ...rest } = reply.headers;
      assert.deepEqual({ status: reply.status, ...rest }, { status, ...headers });
      assert.deepEqual([connection, keepAlive], closes ? ['close', undefined] : ['keep-alive', 'timeout=5']);
      const sent =
        spans.length > 1
          ? parseParts(reply).map(({ type, start, total, bytes }) => {
              assert.deepEqual([type, total], [TYPE, SIZE]);
              return { start, bytes };
            })
          : spans.map(([start]) => ({ start, bytes: reply.body }));
      assert.deepEqual(
        sent.map(({ start, bytes }) => [start, start + bytes.length - 1]),
        spans,
      );
      for (const { start, bytes } of sent) assert.ok(bytes.equals(CONTENT.subarray(start, start + bytes.length)));
    });
  }
});
