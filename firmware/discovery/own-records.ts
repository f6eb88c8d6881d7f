import type { Answer, Question } from 'dns-packet';
import { ANY } from './link-socket.js';
import { hostName, instanceName, typeName, type AnnouncedService } from './service.js';
import { writeTxt } from './txt.js';

/** RFC 6762 section 10: records that name a host, and the others. */
const HOST_TTL_SECONDS = 120;
const OTHER_TTL_SECONDS = 4_500;

/** RFC 6763 section 9: where the types of service of a network are listed. */
const TYPES_NAME = '_services._dns-sd._udp.local';

/** The records of one service on one link. */
export class OwnRecords {
  /** What its name is now: another one after a conflict. */
  readonly instance: string;

  constructor(
    readonly service: AnnouncedService,
    private readonly addresses: readonly string[],
    conflicts: number,
  ) {
    this.instance = conflicts === 0 ? service.instance : `${service.instance}-${conflicts + 1}`;
  }

  get name(): string {
    return instanceName(this.instance, this.service.type);
  }

  get host(): string {
    return hostName(this.service.host);
  }

  /** Records that others share: to be told with a delay (RFC 6762 section 6). */
  shared(): Answer[] {
    const type = typeName(this.service.type);
    return [
      { type: 'PTR', name: type, ttl: OTHER_TTL_SECONDS, data: this.name },
      { type: 'PTR', name: TYPES_NAME, ttl: OTHER_TTL_SECONDS, data: type },
    ];
  }

  /** Records that are ours alone, with the cache-flush bit (section 10.2). */
  unique(): Answer[] {
    const { port, txt } = this.service;
    return [
      {
        type: 'SRV',
        name: this.name,
        ttl: HOST_TTL_SECONDS,
        flush: true,
        data: { port, target: this.host, priority: 0, weight: 0 },
      },
      { type: 'TXT', name: this.name, ttl: OTHER_TTL_SECONDS, flush: true, data: writeTxt(txt) },
      ...this.addresses.map((address): Answer => ({
        type: address.includes(':') ? 'AAAA' : 'A',
        name: this.host,
        ttl: HOST_TTL_SECONDS,
        flush: true,
        data: address,
      })),
    ];
  }

  /** Everything, the service's PTR first. */
  all(): Answer[] {
    const [pointer, types] = this.shared();
    return [pointer, ...this.unique(), types].filter((record) => record !== undefined);
  }

  /** The records that answer a question, and those that the asker will want next (RFC 6763 section 12). */
  answersTo(question: Question): Answer[] {
    const name = question.name.toLowerCase();
    const { type } = question;
    const fits = (record: Answer): boolean =>
      record.name.toLowerCase() === name && (type === record.type || type === ANY);
    const [pointer, types] = this.shared();
    if (pointer && fits(pointer)) return [pointer, ...this.unique()];
    if (types && fits(types)) return [types];
    const unique = this.unique().filter(fits);
    if (unique.some((record) => record.type === 'SRV')) {
      return [...unique, ...this.unique().filter((record) => record.name === this.host)];
    }
    return unique;
  }

  /** Whether a record of another host claims a name of ours for something else (section 9). */
  isContradictedBy(record: Answer, own: ReadonlySet<string>): boolean {
    const name = record.name.toLowerCase();
    if (record.type === 'SRV' && name === this.name.toLowerCase()) {
      const { port, target } = record.data;
      return port !== this.service.port || target.toLowerCase() !== this.host.toLowerCase();
    }
    if ((record.type === 'A' || record.type === 'AAAA') && name === this.host.toLowerCase()) {
      return !this.addresses.includes(record.data) && !own.has(record.data);
    }
    return false;
  }
}

/** What one who asks knows already (section 7.1). */
export class KnownAnswers {
  readonly #ttls = new Map<string, number>();

  constructor(answers: readonly Answer[]) {
    for (const answer of answers) {
      const key = keyOf(answer);
      this.#ttls.set(key, Math.max(ttlOf(answer), this.#ttls.get(key) ?? 0));
    }
  }

  /** Whether it knows this answer well enough. */
  has(answer: Answer): boolean {
    return (this.#ttls.get(keyOf(answer)) ?? -1) >= ttlOf(answer) / 2;
  }
}

/** A record by its name, type and data. */
export function keyOf(answer: Answer): string {
  return `${answer.type} ${answer.name.toLowerCase()} ${dataText(answer)}`;
}

function ttlOf(record: Answer): number {
  return record.type === 'OPT' ? 0 : (record.ttl ?? 0);
}

/** The data of a record as text, to tell equal ones. */
function dataText(record: Answer): string {
  if (record.type === 'PTR') return record.data.toLowerCase();
  if (record.type === 'SRV') return `${record.data.port} ${record.data.target.toLowerCase()}`;
  if (record.type === 'A' || record.type === 'AAAA') return record.data;
  if (record.type !== 'TXT') return '';
  const strings = Array.isArray(record.data) ? record.data : [record.data];
  return strings.map((string) => Buffer.from(string).toString('latin1')).join('\n');
}
