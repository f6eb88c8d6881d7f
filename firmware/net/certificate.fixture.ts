import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsIdentity } from './http.js';

/** Why tests that need a certificate are skipped; false where they are not. */
export const NO_CERTIFICATES: string | false =
  spawnSync('openssl', ['version']).status === 0 ? false : 'openssl, which makes the certificates, is not installed';

/** Makes a certificate that vouches for itself, so that it is its own authority too. @param name host or IP address */
export function makeCertificate(name: string): TlsIdentity {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-cert-'));
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${name.includes(':') ? 'IP' : 'DNS'}:${name}`];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  try {
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
