import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { account, minimal } from './example.fixture.js';
import { parseConfiguration } from './load.js';
import { readTlsFiles, RenewedIdentity, type TlsFileErrorCode, type TlsFiles } from './tls.js';

const UID = process.getuid?.() ?? 0;
const folder = mkdtempSync(join(tmpdir(), 'dmgw-tls-'));
after(() => rmSync(folder, { recursive: true }));

function read(value: Record<string, unknown>): ReturnType<typeof readTlsFiles> {
  const parsed = parseConfiguration([{ file: 'F', value: { ...minimal(), ...value } }]);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  return readTlsFiles(parsed.value.configuration, UID);
}

function good(value: Record<string, unknown>): TlsFiles {
  const files = read(value);
  assert.ok(files.ok, files.ok ? '' : files.error.text);
  return files.value;
}

function refused(value: Record<string, unknown>, code: TlsFileErrorCode, text: RegExp): void {
  const files = read(value);
  assert.ok(!files.ok);
  assert.equal(files.error.code, code);
  assert.match(files.error.text, text);
}

describe('certificate authorities', () => {
  it('that cannot be read are refused by key and file', () => {
    const caFile = '/nonexistent/ca.pem';
    const text = /^accounts\[0\]\.caFile: \/nonexistent\/ca\.pem cannot be read/;
    refused({ accounts: [account({ caFile })] }, 'unreadable', text);
  });
  it('that are none are refused', () => {
    const caFile = join(folder, 'ca.pem');
    writeFileSync(caFile, 'hello');
    refused({ retrieve: { caFile } }, 'not-a-certificate', /^retrieve\.caFile: .* holds no certificate; expected PEM$/);
  });
});

describe('the certificate of the gateway', { skip: NO_CERTIFICATES }, () => {
  const write = (host: string): { certFile: string; keyFile: string } => {
    const [certFile, keyFile] = [join(folder, `${host}.cert`), join(folder, `${host}.key`)];
    if (NO_CERTIFICATES === false) {
      const { cert, key } = makeCertificate(host);
      writeFileSync(certFile, cert);
      writeFileSync(keyFile, key, { mode: 0o600 });
    }
    return { certFile, keyFile };
  };
  const { certFile, keyFile } = write('gateway.example');
  const other = write('other.example');
  const accounts = (changes: Record<string, unknown>) => ({ accounts: [account({ certFile, keyFile, ...changes })] });

  it('is read with its key', () => {
    assert.deepEqual(good(accounts({})).identities.get(certFile), {
      cert: readFileSync(certFile, 'utf8'),
      key: readFileSync(keyFile, 'utf8'),
    });
  });
  it('needs the key that belongs to it', () => {
    refused(accounts({ keyFile: other.keyFile }), 'wrong-key', /^accounts\[0\]\.keyFile: .* is not the key of/);
  });
  it('needs a key at all', () => {
    refused(accounts({ keyFile: '/nonexistent/key.pem' }), 'unreadable', /^accounts\[0\]\.keyFile: .* cannot be read/);
    const noKey = join(folder, 'no.key');
    writeFileSync(noKey, 'hello', { mode: 0o600 });
    refused(accounts({ keyFile: noKey }), 'not-a-key', /holds no usable key; expected a private key in PEM/);
  });
  it('whose key others may read is refused', () => {
    chmodSync(other.keyFile, 0o644);
    refused(accounts({ keyFile: other.keyFile }), 'exposed', /has mode 0644; expected 0600 \(chmod 600/);
  });
  it('stands in the configuration together with its key', () => {
    for (const half of ['certFile', 'keyFile']) {
      const parsed = parseConfiguration([
        { file: 'F', value: { ...minimal(), accounts: [account({ [half]: '/srv/half.pem' })] } },
      ]);
      assert.ok(!parsed.ok);
      assert.match(parsed.error.text, /expected a path, because accounts\[0\]\.(certFile|keyFile) is set/);
    }
  });
});

describe('the certificate of the image server', { skip: NO_CERTIFICATES }, () => {
  const [certFile, keyFile] = [join(folder, 'serve.cert'), join(folder, 'serve.key')];
  const put = (of: { cert?: string; key?: string }): void => {
    if (of.cert !== undefined) writeFileSync(certFile, of.cert);
    if (of.key !== undefined) writeFileSync(keyFile, of.key, { mode: 0o600 });
  };
  const serve = { ...(minimal()['serve'] as object), certFile, keyFile };

  it('is read with its key, and read anew once both have changed', () => {
    const [first, second] = [makeCertificate('gw.lan'), makeCertificate('gw.lan')];
    put(first);
    const files = good({ serve }).server;
    assert.ok(files);
    assert.deepEqual(files.identity, first);
    const warned: unknown[] = [];
    const renewing = new RenewedIdentity(files, { ...silentLog, warn: (text) => void warned.push(text) });
    assert.equal(renewing.renewed(), undefined);
    put({ cert: second.cert });
    assert.equal(renewing.renewed(), undefined);
    assert.equal(renewing.renewed(), undefined);
    assert.equal(warned.length, 1, 'a certificate without its key is told once');
    put({ key: second.key });
    assert.deepEqual(renewing.renewed(), second);
    assert.equal(renewing.renewed(), undefined);
    rmSync(certFile);
    assert.equal(renewing.renewed(), undefined);
  });

  it('stands in the configuration together with its key', () => {
    const half = { ...(minimal()['serve'] as object), certFile };
    const parsed = parseConfiguration([{ file: 'F', value: { ...minimal(), serve: half } }]);
    assert.ok(!parsed.ok);
    assert.match(parsed.error.text, /serve\.keyFile.*expected a path, because serve\.certFile is set/);
  });
});
