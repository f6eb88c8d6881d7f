import fc from 'fast-check';
import type { Element } from '../../firmware/codec/index.js';
import { expandMessage, withNamespaces } from '../../firmware/conversations/format.js';
import { meta, syncml } from './elements.js';
import { ALERT_CODES, FORMATS, TYPES, uriFrom, VALUES } from './words.js';

/** A command without its CmdID, which it gets in its message. */
interface Command {
  readonly name: string;
  readonly parts: readonly Element[];
  readonly commands?: readonly Command[];
}

/** An optional part: `nothing` times as often absent as there. */
function seldom<T>(nothing: number, part: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: nothing, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: part });
}

const pick = fc.nat(255);
const uri = fc.tuple(pick, pick, pick).map(uriFrom);

const item = fc
  .record({
    uri,
    format: seldom(5, fc.constantFrom(...FORMATS)),
    type: seldom(9, fc.constantFrom(...TYPES)),
    data: seldom(1, fc.constantFrom(...VALUES)),
    moreData: seldom(40, fc.constant(true)),
  })
  .map((parts) =>
    syncml('Item', [
      syncml('Target', [syncml('LocURI', parts.uri)]),
      ...((parts.format ?? parts.type) ? [meta({ Format: parts.format, Type: parts.type })] : []),
      ...(parts.data === undefined ? [] : [syncml('Data', parts.data)]),
      ...(parts.moreData ? [syncml('MoreData')] : []),
    ]),
  );
const items = fc.oneof(
  { weight: 8, arbitrary: item.map((one) => [one]) },
  { weight: 1, arbitrary: fc.array(item, { maxLength: 5 }) },
);

const plain = fc.record({
  name: fc.constantFrom('Add', 'Add', 'Replace', 'Get', 'Get', 'Delete'),
  parts: items,
});
const copy = fc.tuple(uri, uri).map(([from, to]) => ({
  name: 'Copy',
  parts: [syncml('Item', [location('Target', to), location('Source', from)])],
}));
const exec = fc.tuple(items, seldom(1, fc.constant('c'))).map(([inner, correlator]) => ({
  name: 'Exec',
  parts: [...(correlator === undefined ? [] : [syncml('Correlator', correlator)]), ...inner],
}));
const alert = fc.tuple(fc.constantFrom(...ALERT_CODES), items).map(([code, inner]) => ({
  name: 'Alert',
  parts: [syncml('Data', code), ...inner],
}));
const unknown = fc.constantFrom('Put', 'Search', 'Vendor').map((name) => ({ name, parts: [] }));

const { command } = fc.letrec<{ command: Command }>((tie) => ({
  command: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 12, arbitrary: plain },
    { weight: 1, arbitrary: copy },
    { weight: 2, arbitrary: exec },
    { weight: 1, arbitrary: alert },
    { weight: 1, arbitrary: unknown },
    {
      weight: 3,
      arbitrary: fc.record({
        name: fc.constantFrom('Atomic', 'Sequence'),
        parts: fc.constant([]),
        commands: fc.array(tie('command'), { maxLength: 4 }),
      }),
    },
  ),
}));

/** Limits of the peer, seldom small. */
const limits = seldom(6, fc.constantFrom('1', '1024', '1100', '1500', '2000', '5000', '1000000'));

/** A message with any commands on any nodes. @param index in its session, from 0 */
export const commandMessages: fc.Arbitrary<(index: number) => Element> = fc
  .record({
    commands: fc.array(command, { maxLength: 12 }),
    maxMsgSize: limits,
    maxObjSize: seldom(20, fc.constantFrom('0', '100', '100000')),
    final: seldom(9, fc.constant('absent')),
  })
  .map(({ commands, maxMsgSize, maxObjSize, final }) => (index) => {
    const sizes = (maxMsgSize ?? maxObjSize) ? [meta({ MaxMsgSize: maxMsgSize, MaxObjSize: maxObjSize })] : [];
    return message(index, numbered(commands), sizes, final === undefined);
  });

/** A large object in chunks, of which some are lost, come twice, or in another order. */
export const objectSessions: fc.Arbitrary<readonly Element[]> = fc
  .record({
    name: fc.constantFrom('Add', 'Replace'),
    uri: fc.oneof(uri, fc.constant('./GwMO/ImageInventory/a/Data'), fc.constant('./GwMO/ImageInventory/a/Name')),
    format: seldom(1, fc.constantFrom('b64', 'bin', 'chr')),
    octets: fc.integer({ min: 1, max: 3000 }),
    chunks: fc.integer({ min: 1, max: 5 }),
    announced: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.constantFrom(-1, 1, 1e12), fc.constant(NaN)),
    order: seldom(2, fc.array(fc.nat(4), { minLength: 1, maxLength: 6 })),
    before: seldom(4, command),
    after: seldom(6, command),
  })
  .map(({ name, uri: target, format, octets, chunks, announced, order, before, after }) => {
    const data = 'QUJD'.repeat(Math.ceil(octets / 4));
    const length = Math.ceil(data.length / chunks);
    const size = Number.isNaN(announced) ? undefined : String(data.length + announced);
    return (order ?? Array.from({ length: chunks }, (_, n) => n)).map((chunk, index) => {
      const first = chunk === 0;
      const last = chunk === chunks - 1;
      const part = syncml('Item', [
        location('Target', target),
        ...(first ? [meta({ Format: format, Size: chunks > 1 ? size : undefined })] : []),
        syncml('Data', data.slice(chunk * length, (chunk + 1) * length)),
        ...(last ? [] : [syncml('MoreData')]),
      ]);
      const commands = [...(before ? [before] : []), { name, parts: [part] }, ...(after ? [after] : [])];
      return message(index, numbered(commands), [], last);
    });
  });

function message(
  index: number,
  commands: readonly Element[],
  headerParts: readonly Element[],
  final: boolean,
): Element {
  const header = '<SyncHdr/>';
  const status = `<Status><CmdID>1</CmdID><MsgRef>${index + 1}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>`;
  const whole = withNamespaces(expandMessage(`${header}${status}`, 'server', index + 1, '1234'));
  const [syncHdr, syncBody] = whole.children;
  return syncml('SyncML', [
    syncml('SyncHdr', [...(syncHdr?.children ?? []), ...headerParts]),
    syncml('SyncBody', [...(syncBody?.children ?? []), ...commands, ...(final ? [syncml('Final')] : [])]),
  ]);
}

/** With CmdIDs in document order. */
function numbered(commands: readonly Command[]): Element[] {
  let cmdId = 1;
  const number = ({ name, parts, commands: inner = [] }: Command): Element => {
    cmdId += 1;
    return syncml(name, [syncml('CmdID', String(cmdId)), ...parts, ...inner.map(number)]);
  };
  return commands.map(number);
}

function location(name: 'Target' | 'Source', locUri: string): Element {
  return syncml(name, [syncml('LocURI', locUri)]);
}
