import fc from 'fast-check';
import type { Element } from '../../firmware/codec/index.js';
import { commandMessages, objectSessions } from './commands.js';
import { clientMessages, realNotifications, realPushes, realSessions } from './corpus.js';
import type { Encoding } from '../../firmware/dm/index.js';
import { write } from './encodings.js';
import type { FuzzMessage, Life } from './life.js';
import { mutateOctets, octetMutations, type OctetMutation } from './mutate-octets.js';
import { mutateTree, treeMutations, type TreeMutation } from './mutate-tree.js';
import { choose } from './words.js';

/** What is done to a message before it goes out. */
interface Plan {
  readonly tree: readonly TreeMutation[];
  readonly octets: readonly OctetMutation[];
  /** Chooses the message of which parts are taken. */
  readonly donor: number;
  readonly encoding: Encoding;
}

const SESSIONS = realSessions();
const NO_SETTINGS: Life['settings'] = [['given', 'other adds ./GwMO/ImageInventory/theirs/Name = theirs']];
/** Sessions that need nothing to have been so before: any database will do. */
const OPEN_SESSIONS = SESSIONS.filter(({ settings }) => settings.length === 0);
const DONORS: readonly Element[] = [
  ...SESSIONS.flatMap(({ messages }) => messages).filter((one): one is Element => !(one instanceof Uint8Array)),
  ...clientMessages(),
];
const DATAGRAMS = [...realNotifications(), ...realPushes()];

const nothing = fc.constant([]);
const encoding = fc.constantFrom<Encoding>('xml', 'wbxml');
/** Most messages of a session stay nearly as they were: else none gets far. */
const plan: fc.Arbitrary<Plan> = fc.record({
  tree: fc.oneof({ weight: 1, arbitrary: nothing }, { weight: 2, arbitrary: treeMutations }),
  octets: fc.oneof({ weight: 3, arbitrary: nothing }, { weight: 1, arbitrary: octetMutations }),
  donor: fc.nat(DONORS.length - 1),
  encoding,
});

/** A conversation with its messages changed. */
function changed(sessions: typeof SESSIONS): fc.Arbitrary<{ settings: Life['settings']; messages: FuzzMessage[] }> {
  const plans = fc.array(plan, { minLength: 1, maxLength: 3 });
  return fc
    .tuple(fc.constantFrom(...sessions), plans, encoding, fc.nat(3))
    .map(([{ settings, messages }, all, spoken, from]) => {
      // The first messages stay as they are in some sessions, so that the later ones have their turn.
      const made = messages.map((one, index) =>
        carryOut(one, index < from - 1 ? { ...UNCHANGED, encoding: spoken } : choose(all, index)),
      );
      return { settings, messages: made };
    });
}

const UNCHANGED: Plan = { tree: [], octets: [], donor: 0, encoding: 'xml' };

/** Messages of the generator, most of them unchanged. */
const generated = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.array(commandMessages, { minLength: 1, maxLength: 4 }), fc.array(plan), fc.nat(2), encoding)
      .map(([makers, plans, keep, spoken]) =>
        makers.map((make, index) =>
          carryOut(make(index), keep > 0 ? { ...UNCHANGED, encoding: spoken } : (plans[index] ?? UNCHANGED)),
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(objectSessions, encoding)
      .map(([messages, spoken]) => messages.map((one) => carryOut(one, { ...UNCHANGED, encoding: spoken }))),
  },
);

const session: fc.Arbitrary<FuzzMessage[]> = fc.oneof(
  { weight: 2, arbitrary: changed(OPEN_SESSIONS).map(({ messages }) => messages) },
  { weight: 2, arbitrary: generated },
);

const datagram = fc
  .tuple(
    fc.constantFrom(...DATAGRAMS),
    fc.constantFrom(...DATAGRAMS),
    fc.oneof({ weight: 1, arbitrary: nothing }, { weight: 5, arbitrary: octetMutations }),
  )
  .map(([octets, donor, mutations]) => mutateOctets(octets, mutations, donor));

/** Any life: sessions of all kinds on one database, and datagrams. */
export const lives: fc.Arbitrary<Life> = fc
  .record({
    first: fc.oneof(changed(SESSIONS), fc.constant({ settings: NO_SETTINGS, messages: [] })),
    others: fc.array(session, { maxLength: 80, size: 'max' }),
    datagrams: fc.array(datagram, { maxLength: 60, size: 'max' }),
  })
  .map(({ first, others, datagrams }) => ({
    settings: first.settings,
    sessions: [first.messages, ...others].filter((messages) => messages.length > 0),
    datagrams,
  }));

function carryOut(message: Element | Uint8Array, { tree, octets, donor, encoding: chosen }: Plan): FuzzMessage {
  const giver = choose(DONORS, donor);
  if (message instanceof Uint8Array) {
    return { encoding: 'xml', octets: mutateOctets(message, octets, write('xml', giver)) };
  }
  const written = write(chosen, tree.length > 0 ? mutateTree(message, tree, giver) : message);
  const result = octets.length > 0 ? mutateOctets(written, octets, write(chosen, giver)) : written;
  return { encoding: chosen, octets: result };
}
