/**
 * What an ELF file says of where it can be loaded: processor, C library, ABI of Node.js.
 * Reads the dynamic section as the loader does, by program headers, so that a stripped file tells as much.
 */

export interface ElfFacts {
  /** As process.arch, or `machine N` for others. */
  readonly arch: string;
  /** DT_NEEDED: the libraries that are loaded with it. */
  readonly needed: readonly string[];
  /** The C library that it was linked against; `unknown` where it needs none. */
  readonly libc: 'glibc' | 'musl' | 'unknown';
  /** The newest version of glibc's symbols that it uses, such as `2.34`. */
  readonly glibc: string | undefined;
  /** NODE_MODULE_VERSION, where it exports it; other addons show it only when they are loaded. */
  readonly nodeAbi: number | undefined;
  /**
   * It takes a hook back when an object is collected, as `node::ObjectWrap` of Node.js 24.19 and later does: where no
   * context is entered then, that ends the process (nodejs/node#65446).
   */
  readonly removesCleanupHook: boolean;
}

const ARCH: Readonly<Record<number, string>> = {
  3: 'ia32',
  8: 'mips',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
};

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileBytes: number;
}

/** @throws with one line when it is no ELF file that can be loaded */
export function readElf(bytes: Buffer): ElfFacts {
  if (bytes.length < 52 || bytes.readUInt32BE(0) !== 0x7f454c46) throw new Error('no ELF file');
  const wide = bytes[4] === 2;
  const little = bytes[5] === 1;
  const half = (at: number): number => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  const word = (at: number): number => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const long = (at: number): number => Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
  const native = (at: number): number => (wide ? long(at) : word(at));
  const size = wide ? 8 : 4;

  const headers = native(wide ? 32 : 28);
  const headerBytes = half(wide ? 54 : 42);
  const segments = Array.from({ length: half(wide ? 56 : 44) }, (_, index): Segment => {
    const at = headers + index * headerBytes;
    return {
      type: word(at),
      offset: native(at + (wide ? 8 : 4)),
      address: native(at + (wide ? 16 : 8)),
      fileBytes: native(at + (wide ? 32 : 16)),
    };
  });
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (!dynamic) throw new Error('an ELF file that cannot be loaded: it has no dynamic section');

  const entries: [number, number][] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.fileBytes; at += 2 * size) {
    entries.push([native(at), native(at + size)]);
  }
  const valueOf = (tag: number): number => entries.find(([found]) => found === tag)?.[1] ?? 0;
  const table = valueOf(DT_STRTAB);
  const holder = segments.find(
    ({ type, address, fileBytes }) => type === PT_LOAD && table >= address && table < address + fileBytes,
  );
  if (!holder) throw new Error('an ELF file whose string table lies nowhere');
  const start = table - holder.address + holder.offset;
  const names = bytes.subarray(start, start + valueOf(DT_STRSZ)).toString('latin1');
  const nameAt = (at: number): string => names.slice(at, names.indexOf('\0', at));

  const needed = entries.filter(([tag]) => tag === DT_NEEDED).map(([, at]) => nameAt(at));
  const glibc = [...names.matchAll(/\0GLIBC_([\d.]+)(?=\0)/g)].map(([, version = '']) => version).sort(byVersion);
  const abi = /\0node_register_module_v(\d+)\0/.exec(names)?.[1];
  const machine = half(18);
  return {
    arch: ARCH[machine] ?? `machine ${machine}`,
    needed,
    libc: libcOf(needed, glibc.length > 0),
    glibc: glibc.at(-1),
    nodeAbi: abi === undefined ? undefined : Number(abi),
    removesCleanupHook: names.includes('RemoveEnvironmentCleanupHook'),
  };
}

/** musl's soname is `libc.so` on OpenWrt, `libc.musl-ARCH.so.1` elsewhere. */
function libcOf(needed: readonly string[], usesGlibc: boolean): ElfFacts['libc'] {
  if (usesGlibc || needed.some((name) => /^(?:libc\.so\.\d+|ld-linux.*)$/.test(name))) return 'glibc';
  return needed.some((name) => /^libc\.(?:so|musl-.*)$/.test(name)) ? 'musl' : 'unknown';
}

function byVersion(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true });
}
