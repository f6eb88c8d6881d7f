/** No query string of an ImageURI, and no credential, stands where people read: log, texts, files. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { createLog } from '../log/index.js';
import { Credentials } from '../net/index.js';
import { openHouse, pattern, removeFolder, serveFile, startOrigin, type Behaviour } from './fixture.js';
import type { ImageState } from './states.js';

const CONTENT = pattern(300_001);
const SECRET = 'hunter2';
/** It stands in the query of every URL: as given, of redirects, in descriptors and reports. */
const QUERY = `?token=${SECRET}`;

const DESCRIPTOR = `<media><type>application/x-firmware</type><size>${CONTENT.length}</size>
  <objectURI>/object${QUERY}</objectURI><installNotifyURI>/report${QUERY}</installNotifyURI></media>`;

const redirect =
  (to: string): Behaviour =>
  (_, response) =>
    void response.writeHead(302, { Location: to }).end();
const status =
  (code: number): Behaviour =>
  (_, response) =>
    void response.writeHead(code).end();

const rows: readonly (readonly [name: string, behaviour: Behaviour, ends: ImageState, url?: string])[] = [
  ['cut and resumed', serveFile(CONTENT, { cutAfter: 100_000 }), 'available'],
  ['redirected', redirected(`/moved${QUERY}`), 'available'],
  ['redirected in circles', redirect(`/image.bin${QUERY}`), 'failed'],
  ['redirected to a forbidden address', redirect(`http://127.0.0.2:9/x${QUERY}`), 'failed'],
  ['redirected to nowhere', redirect(`http://${SECRET}@:99999/${QUERY}`), 'failed'],
  ['redirected to another scheme', redirect(`ftp://127.0.0.1/x${QUERY}`), 'failed'],
  ['refused', status(403), 'needs-uri'],
  ['missing', status(404), 'failed'],
  ['broken', (request) => request.destroy(), 'failed'],
  ['named by a descriptor', described, 'available'],
  ['at a host without address', status(404), 'failed', `http://no-such-host.invalid/x${QUERY}`],
  ['at a closed port', status(404), 'failed', `http://user:${SECRET}@127.0.0.1:1/x${QUERY}`],
];

function redirected(to: string): Behaviour {
  return (request, response, count) =>
    (request.url?.startsWith('/moved') === true ? serveFile(CONTENT) : redirect(to))(request, response, count);
}

function described(...[request, response, count]: Parameters<Behaviour>): void {
  if (request.url?.startsWith('/object') === true) return serveFile(CONTENT)(request, response, count);
  if (request.method === 'POST') return status(503)(request, response, count);
  response.writeHead(200, { 'Content-Type': 'application/vnd.oma.dd+xml' }).end(DESCRIPTOR);
}

describe('of an image that is', () => {
  for (const [name, behaviour, ends, url] of rows) {
    it(`${name}, no secret is in log, texts and sidecar`, async () => {
      const origin = await startOrigin(behaviour);
      const lines: string[] = [];
      const log = createLog({ level: 'debug', write: (line) => lines.push(line) })('image');
      const credentials = Credentials.of([{ origin: new URL(origin.url).origin, scheme: 'bearer', secret: SECRET }]);
      assert.ok(credentials.ok);
      const house = openHouse({
        catalog: { log },
        blobs: { log },
        downloader: {
          log,
          access: { allowAddress: (address) => address === '127.0.0.1', credentials: credentials.value },
        },
      });
      try {
        await house.downloader.start();
        const { id } = house.add('a', url ?? `${origin.url}${QUERY}`);
        const image = await house.until(id, ends);
        if (behaviour === described)
          await eventually('a report', () => lines.some((line) => /install report/.test(line)));
        await house.close();
        assert.ok(lines.length > 0);
        const texts = [image.resultText, ...house.events.map((event) => event.image.resultText)];
        const blobs = join(house.folder, 'blobs');
        const sidecars = readdirSync(blobs).filter((file) => file.endsWith('.json'));
        for (const text of [...lines, ...texts, ...sidecars.map((file) => readFileSync(join(blobs, file), 'utf8'))]) {
          assert.ok(!text.includes(SECRET) && !text.includes('token='), text);
        }
      } finally {
        await house.close();
        await origin.close();
        removeFolder(house.folder);
      }
    });
  }
});
