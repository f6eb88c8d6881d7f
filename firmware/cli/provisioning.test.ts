/** What `dmgw provision` takes while no gateway runs. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { minimal } from '../config/example.fixture.js';
import { dmgw } from './terminal.fixture.js';

const leaf = (name: string, value: string): string =>
  `<Node><NodeName>${name}</NodeName><RTProperties><Format><chr/></Format></RTProperties><Value>${value}</Value></Node>`;
const inner = (name: string, ...nodes: string[]): string =>
  `<Node><NodeName>${name}</NodeName><RTProperties><Format><node/></Format></RTProperties>${nodes.join('')}</Node>`;
const credentials = (name: string, level: string, secret: string): string =>
  inner(
    name,
    ...[leaf('AAuthLevel', level), leaf('AAuthType', 'DIGEST'), leaf('AAuthName', 'gw'), leaf('AAuthSecret', secret)],
  );
const BOOTSTRAP = `<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD>${inner(
  'DMAcc',
  inner(
    'a',
    leaf('AppID', 'w7'),
    leaf('ServerID', 'dm.example.com'),
    inner('AppAddr', inner('1', leaf('Addr', 'https://dm.example.com/dm'), leaf('AddrType', 'URI'))),
    inner('AppAuth', credentials('1', 'CLCRED', 'of the gateway'), credentials('2', 'SRVCRED', 'of the server')),
  ),
)}</MgmtTree>`;

describe('dmgw provision FILE', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-provisioning-'));
  const [config, file] = [join(folder, 'dmgw.json'), join(folder, 'bootstrap')];
  const stateDir = join(folder, 'state');
  const run = (...words: string[]): ReturnType<typeof dmgw> => dmgw([...words, '--config', config]);
  before(() => {
    mkdirSync(stateDir, { mode: 0o700 });
    writeFileSync(config, JSON.stringify({ ...minimal(), stateDir }), { mode: 0o600 });
  });
  after(() => rmSync(folder, { recursive: true }));

  it('refuses in one line what is not there, is too long or is cut off, and provisions nothing', async () => {
    for (const [content, reason] of [
      [undefined, /^dmgw: \S+bootstrap cannot be read \(.*ENOENT.*\)\n$/],
      [' '.repeat(1024 * 1024 + 1), /^dmgw: \S+bootstrap has more than 1048576 bytes\n$/],
      [BOOTSTRAP.slice(0, 500), /^dmgw: \S+bootstrap: [^\n]+\n$/],
    ] as const) {
      if (content !== undefined) writeFileSync(file, content);
      const { code, out, err } = await run('provision', file);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, reason);
    }
    assert.equal(existsSync(join(stateDir, 'provisioned.json')), false);
  });

  it('takes the accounts of a bootstrap document of OMA DM, for the next start', async () => {
    writeFileSync(file, BOOTSTRAP);
    assert.deepEqual(await run('provision', file), { code: 0, out: 'provisioned\n', err: '' });
    const { out } = await run('config', 'show');
    assert.match(out, /^accounts\[0\]\.serverId +"dm\.example\.com" +\S+\/provisioned\.json$/m);
    assert.match(out, /^accounts\[0\]\.url +"https:\/\/dm\.example\.com\/dm" /m);
    assert.match(out, /^accounts\[0\]\.client\.scheme +"md5" /m);
    assert.equal((await run('provision', file)).out, 'nothing has changed\n');
  });
});
