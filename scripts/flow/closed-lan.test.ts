import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { get as getSecure } from 'node:https';
import { join } from 'node:path';
import { it } from 'node:test';
import { makeCertificate, NO_CERTIFICATES } from '../../firmware/net/certificate.fixture.js';
import { addImage } from './operator.js';
import { PROJECT_ROOT } from './project.js';
import { MIB, readImage, retrievalAlert, testImage, withLab } from './with-lab.js';

/** Fetches from an address of the LAN. @returns the SHA-256 of a 200, else the status; undefined: cut off */
function fetchFrom(localAddress: string, url: string, ca: string): Promise<string | number | undefined> {
  return new Promise((resolve) => {
    const asked = getSecure(url, { localAddress, ca, servername: 'gw.lan', agent: false }, (reply) => {
      const hash = createHash('sha256');
      reply.on('data', (chunk: Buffer) => hash.update(chunk));
      reply.on('end', () => resolve(reply.statusCode === 200 ? hash.digest('hex') : reply.statusCode));
    });
    asked.on('error', () => resolve(undefined));
  });
}

it(
  'images are served by https, to those who have the token, from the addresses that are allowed',
  {
    skip: NO_CERTIFICATES,
  },
  async () => {
    const folder = join(PROJECT_ROOT, 'build/flow');
    mkdirSync(folder, { recursive: true });
    const [certFile, keyFile] = [join(folder, `cert-${process.pid}.pem`), join(folder, `key-${process.pid}.pem`)];
    const { cert, key } = makeCertificate('gw.lan');
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key, { mode: 0o600 });
    const image = await testImage('closed-lan', 2 * MIB, 34);
    const serve = { certFile, keyFile, tokenHours: 2 };
    await withLab(
      'closed-lan',
      { devices: 0, offers: [image.offer], gateway: { settings: { serve } } },
      async (lab) => {
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
        await retrievalAlert(lab, 'a');
        const url = new URL((await readImage(lab, 'a')).LocalImageURI);
        assert.equal(url.protocol, 'https:');
        assert.match(url.search, /^\?e=\d+&t=[\w-]{22}$/);
        const at = (last: number): string => url.hostname.replace(/\d+$/, String(last));
        assert.equal(await fetchFrom(at(200), url.href, cert), image.sha256);
        assert.equal(await fetchFrom(at(200), `${url.origin}${url.pathname}`, cert), 404);

        // The same token after a restart, and now only for one address.
        await lab.gateway.stop();
        lab.gateway.configure({ serve: { ...serve, allowPrefixes: [`${at(200)}/32`] } });
        await lab.gateway.start();
        assert.equal(await fetchFrom(at(200), url.href, cert), image.sha256);
        assert.equal(await fetchFrom(at(201), url.href, cert), undefined);
      },
    );
  },
);
