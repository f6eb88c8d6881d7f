import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { addImage } from './operator.js';
import { eventually } from './wait.js';
import { MIB, readImage, retrievalAlert, sha256At, testImage, withLab } from './with-lab.js';

const SUCCESS = '1200';

/** Takes install reports on any port of this address. */
async function listenForReports(host: string): Promise<{ url: string; reports: string[]; close: () => void }> {
  const reports: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      reports.push(`${request.method ?? ''} ${body.trim()}`);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const url = `http://${host}:${(server.address() as AddressInfo).port}/report`;
  return { url, reports, close: () => server.close() };
}

describe('an ImageURI that names a download descriptor', () => {
  it('leads to the image, which goes on after a kill; its success is reported', async () => {
    const image = await testImage('described', 6 * MIB, 21);
    const options = { devices: 0, offers: [image.offer], rateBytesPerSecond: 3 * MIB };
    await withLab('descriptor', options, async (lab) => {
      const { hostname } = new URL(lab.downloads.urlOf('/'));
      const listener = await listenForReports(hostname);
      try {
        const file = join(lab.gateway.storeDir, '..', 'image.dd');
        writeFileSync(
          file,
          `<media xmlns="http://www.openmobilealliance.org/xmlns/dd"><type>application/octet-stream</type>
           <size>${image.bytes}</size><objectURI>${image.path.slice(1)}</objectURI>
           <installNotifyURI>${listener.url}</installNotifyURI></media>`,
        );
        await lab.downloads.offer({ path: '/image.dd', file, contentType: 'application/vnd.oma.dd+xml' });
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf('/image.dd') }));
        await eventually('half of the image', async () => {
          const { bytesByPath } = await lab.downloads.stats();
          return (bytesByPath[image.path] ?? 0) > image.bytes / 2 ? true : undefined;
        });
        await lab.gateway.kill();
        await lab.gateway.start();
        assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);
        await eventually('the report', () => Promise.resolve(listener.reports.length > 0 ? true : undefined));

        assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), image.sha256);
        assert.deepEqual(listener.reports, ['POST 900 Success']);
        const accesses = (await lab.downloads.accesses()).filter(({ bytes }) => bytes > 0);
        assert.deepEqual(
          accesses.map(({ path, status }) => `${status} ${path}`),
          ['200 /image.dd', `200 ${image.path}`, '200 /image.dd', `206 ${image.path}`],
        );
      } finally {
        listener.close();
      }
    });
  });
});
