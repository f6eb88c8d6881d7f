import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { request, type IncomingMessage } from 'node:http';

/**
 * A DM 1.2 client for tests that shares nothing with `firmware/`: literal XML, node:http, its own digests, WBXML by the
 * tools of libwbxml. What it understands of an answer it finds by regular expressions.
 */
export interface ForeignClientOptions {
  readonly url: string;
  readonly deviceId: string;
  readonly sessionId: string;
  readonly contentType?: string;
  /** Speaks WBXML of this version. */
  readonly wbxml?: '1.1' | '1.2' | '1.3';
}

/** An HTTP reply as it came. */
export interface RawReply {
  readonly status: number;
  readonly contentType: string;
  readonly octets: Buffer;
  readonly text: string;
  /** Content of `x-syncml-hmac`. */
  readonly hmac: string | undefined;
}

/** Why the foreign client cannot speak WBXML here; false where it can. */
export const noWbxml: string | false =
  spawnSync('wbxml2xml', ['-h']).error !== undefined && 'wbxml2xml is not installed (Debian: libwbxml2-utils)';

/** Runs a tool of libwbxml that converts standard input. @throws with what it says */
function convert(tool: 'wbxml2xml' | 'xml2wbxml', args: readonly string[], input: string | Buffer): Buffer {
  const done = spawnSync(tool, [...args, '-o', '-', '-'], { input });
  if (done.status !== 0) throw new Error(`${tool}: ${done.error?.message ?? done.stderr.toString()}`);
  return done.stdout;
}

const md5 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** `B64(H(B64(H(user:password)):nonce))`, written down from the standard. */
export function md5Digest(user: string, password: string, nonce: Uint8Array): string {
  const inner = md5(`${user}:${password}`).toString('base64');
  return md5(`${inner}:`, nonce).toString('base64');
}

/** The mac over a body, written down from the standard: `B64(H(B64(H(user:password)):nonce:B64(H(body))))`. */
export function macDigest(user: string, password: string, nonce: Uint8Array, body: Uint8Array): string {
  const inner = md5(`${user}:${password}`).toString('base64');
  return md5(`${inner}:`, nonce, `:${md5(body).toString('base64')}`).toString('base64');
}

/** Cred of md5 as XML. */
export function md5Cred(user: string, password: string, nonce: Uint8Array): string {
  return cred('syncml:auth-md5', md5Digest(user, password, nonce));
}

/** Cred of basic as XML. */
export function basicCred(user: string, password: string): string {
  return cred('syncml:auth-basic', Buffer.from(`${user}:${password}`).toString('base64'));
}

function cred(type: string, data: string): string {
  return `<Cred><Meta><Type xmlns="syncml:metinf">${type}</Type><Format xmlns="syncml:metinf">b64</Format></Meta><Data>${data}</Data></Cred>`;
}

/** The two commands of every package 1, with CmdIDs 1 and 2. */
export function packageOne(deviceId: string, alert = 1201): string {
  const leaf = (name: string, value: string): string =>
    `<Item><Source><LocURI>./DevInfo/${name}</LocURI></Source><Meta><Format xmlns='syncml:metinf'>chr</Format></Meta><Data>${value}</Data></Item>`;
  return `<Alert><CmdID>1</CmdID><Data>${alert}</Data></Alert><Replace><CmdID>2</CmdID>
    ${leaf('DevId', deviceId)} ${leaf('Man', 'Foreign &amp; Sons')} ${leaf('Mod', 'F1')} ${leaf('DmV', '0.1')} ${leaf('Lang', 'en')}
  </Replace>`;
}

/** A Status of the client. */
export function status(msgRef: string, cmdRef: string, cmd: string, code: number, more = ''): string {
  // MsgRef before CmdID, as the examples of the specifications have it.
  return `<Status><MsgRef>${msgRef}</MsgRef><CmdID>${100 + Number(cmdRef)}</CmdID><CmdRef>${cmdRef}</CmdRef><Cmd>${cmd}</Cmd>${more}<Data>${code}</Data></Status>`;
}

/** Chal with the next nonce, as it stands in the Status for a server's header. */
export function chal(nonce: Uint8Array, type = 'syncml:auth-md5'): string {
  const text = Buffer.from(nonce).toString('base64');
  return `<Chal><Meta><Type xmlns="syncml:metinf">${type}</Type><Format xmlns="syncml:metinf">b64</Format><NextNonce xmlns="syncml:metinf">${text}</NextNonce></Meta></Chal>`;
}

/** An answer of the server, to be looked at piece by piece. */
export class Answer {
  constructor(
    readonly text: string,
    readonly octets: Buffer = Buffer.from(text),
    readonly hmac?: string,
  ) {}

  get final(): boolean {
    return this.text.includes('<Final/>');
  }

  get msgId(): string {
    return inside(this.text, 'MsgID');
  }

  /** Codes of all Statuses in their order, as `Cmd:CmdRef=code`. */
  get statuses(): string[] {
    return elements(this.text, 'Status').map(
      (one) => `${inside(one, 'Cmd')}:${inside(one, 'CmdRef')}=${inside(one.replace(/<Chal>.*<\/Chal>/s, ''), 'Data')}`,
    );
  }

  /** The nonce of a Chal, if there is one. */
  get nextNonce(): Uint8Array | undefined {
    const text = inside(this.text, 'NextNonce');
    return text === '' ? undefined : Buffer.from(text, 'base64');
  }

  /** Data of the server's Cred, empty where there is none. */
  get cred(): string {
    const [found] = elements(this.text, 'Cred');
    return found === undefined ? '' : inside(found, 'Data');
  }

  /** All commands of one name, as XML. */
  commands(name: string): string[] {
    return elements(inside(this.text, 'SyncBody'), name);
  }
}

/** The content of the first element of that name. */
export function inside(xml: string, name: string): string {
  return new RegExp(`<${name}(?: [^>]*)?>(.*?)</${name}>`, 's').exec(xml)?.[1] ?? '';
}

function elements(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?>.*?</${name}>`, 'gs'))].map(([found]) => found);
}

/** Sends the messages of one session. */
export class ForeignClient {
  msgId = 0;

  constructor(readonly options: ForeignClientOptions) {}

  /** Sends the next message and reads the answer. */
  async send(
    body: string,
    header: {
      cred?: string;
      final?: boolean;
      maxMsgSize?: number;
      maxObjSize?: number;
      /** What `x-syncml-hmac` shall say of the octets that leave. */
      hmac?: (octets: Buffer) => string;
    } = {},
  ): Promise<Answer> {
    this.msgId += 1;
    const { wbxml } = this.options;
    const xml = this.message(body, header);
    // Line feeds between elements are of no account to it: they are not kept.
    const octets = wbxml === undefined ? Buffer.from(xml) : convert('xml2wbxml', ['-v', wbxml], xml);
    const reply = await this.post(octets, header.hmac && { 'x-syncml-hmac': header.hmac(octets) });
    if (reply.status !== 200) throw new Error(`HTTP ${reply.status}: ${reply.text}`);
    return new Answer(reply.text, reply.octets, reply.hmac);
  }

  message(
    body: string,
    { cred: proof = '', final = true, maxMsgSize = 0, maxObjSize = 0, verProto = 'DM/1.2', verDtd = '1.2' } = {},
  ): string {
    const { deviceId, sessionId, url } = this.options;
    const limit = (name: string, value: number): string =>
      value > 0 ? `<${name} xmlns="syncml:metinf">${value}</${name}>` : '';
    const limits = limit('MaxMsgSize', maxMsgSize) + limit('MaxObjSize', maxObjSize);
    const meta = limits && `<Meta>${limits}</Meta>`;
    // libwbxml asks for the document type; with an external identifier alone it is legal.
    const doctype =
      this.options.wbxml === undefined ? '' : '<!DOCTYPE SyncML PUBLIC "-//SYNCML//DTD SyncML 1.2//EN" "none">';
    return `<?xml version="1.0"?>${doctype}
<SyncML xmlns='SYNCML:SYNCML1.2'>
  <SyncHdr><VerDTD>${verDtd}</VerDTD><VerProto>${verProto}</VerProto><SessionID>${sessionId}</SessionID><MsgID>${this.msgId}</MsgID>
    <Target><LocURI>${url}</LocURI></Target><Source><LocURI>${deviceId}</LocURI><LocName>user</LocName></Source>${proof}${meta}
  </SyncHdr>
  <SyncBody>${body}${final ? '<Final></Final>' : ''}</SyncBody>
</SyncML>`;
  }

  /** Posts octets on a connection of their own. */
  post(body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Promise<RawReply> {
    const { contentType = `application/vnd.syncml.dm+${this.options.wbxml === undefined ? '' : 'wb'}xml` } =
      this.options;
    return new Promise((resolve, reject) => {
      const outgoing = request(
        this.options.url,
        {
          method: 'POST',
          agent: false,
          headers: { 'Content-Type': contentType, ...headers },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', reject);
          incoming.on('end', () => {
            try {
              resolve(readReply(incoming, Buffer.concat(chunks)));
            } catch (thrown) {
              reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
            }
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}

/** @throws where the octets are no WBXML although their type says so */
function readReply({ statusCode = 0, headers }: IncomingMessage, octets: Buffer): RawReply {
  const { 'content-type': contentType = '', 'x-syncml-hmac': hmac } = headers;
  const xml = contentType.endsWith('+wbxml') ? convert('wbxml2xml', ['-k', '-m', '0'], octets) : octets;
  const text = xml.toString('utf8').replace(/<!\[CDATA\[(.*?)\]\]>/gs, (_, plain: string) => escapeXml(plain));
  return { status: statusCode, contentType, octets, text, hmac: typeof hmac === 'string' ? hmac : undefined };
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
