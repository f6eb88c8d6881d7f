import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerCheck } from './answers.js';

const header = (msgId: number, meta = ''): string =>
  `<SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>1</SessionID><MsgID>${msgId}</MsgID>` +
  `<Target><LocURI>t</LocURI></Target><Source><LocURI>s</LocURI></Source>${meta}</SyncHdr>`;
const message = (msgId: number, body: string, meta?: string): Uint8Array =>
  Buffer.from(`<SyncML xmlns="SYNCML:SYNCML1.2">${header(msgId, meta)}<SyncBody>${body}</SyncBody></SyncML>`);
const status = (cmdId: number, cmdRef: string, cmd: string): string =>
  `<Status><CmdID>${cmdId}</CmdID><MsgRef>7</MsgRef><CmdRef>${cmdRef}</CmdRef><Cmd>${cmd}</Cmd><Data>200</Data></Status>`;
const ITEM = '<Item><Source><LocURI>./A</LocURI></Source><Data>v</Data></Item>';
const results = (cmdId: number, cmdRef: string): string =>
  `<Results><CmdID>${cmdId}</CmdID><MsgRef>7</MsgRef><CmdRef>${cmdRef}</CmdRef>${ITEM}</Results>`;

const ASKED =
  `<Get><CmdID>3</CmdID>${ITEM}</Get><Sequence><CmdID>4</CmdID><Delete><CmdID>5</CmdID>${ITEM}${ITEM}</Delete></Sequence>` +
  '<Add/><Status/><Put><CmdID>6</CmdID><NoResp/></Put>';
const HEADER = status(1, '0', 'SyncHdr');
const GOOD = `${HEADER}${status(2, '3', 'Get')}${results(3, '3')}${status(4, '4', 'Sequence')}${status(5, '5', 'Delete')}${status(6, '', 'Add')}`;

/** Holds one answer to ASKED against the rules. */
function check(answer: Uint8Array, maxMsgSize?: number): void {
  const checked = new AnswerCheck();
  const meta = maxMsgSize === undefined ? '' : `<Meta><MaxMsgSize>${maxMsgSize}</MaxMsgSize></Meta>`;
  const understood = checked.serverSays('xml', message(7, ASKED, meta));
  assert.ok(understood);
  checked.limit(understood);
  checked.clientSays('xml', answer);
  checked.completed();
}

describe('the check of the answers', () => {
  it('takes one Status for each command, or for each of its Items', () => {
    check(message(1, `${GOOD}<Final/>`));
    check(message(1, `${GOOD}${status(7, '5', 'Delete')}`));
  });

  const faults: readonly (readonly [what: string, body: string, fault: RegExp])[] = [
    ['a command without Status', GOOD.slice(0, GOOD.lastIndexOf('<Status>')), /no Status for 7 {2}Add/],
    ['a Status too many', GOOD + status(7, '3', 'Get'), /a Status more than there may be for 7 3 Get/],
    ['a Status for a Status', GOOD + status(7, '', 'Status'), /a Status more than there may be/],
    [
      'a Status for a command that there is not',
      GOOD + status(7, '9', 'Get'),
      /a Status for 7 9 Get, which there is not/,
    ],
    ['a Status under another name', GOOD + status(7, '3', 'Add'), /a Status for 7 3 Add, which there is not/],
    ['Results without a Get', GOOD + results(7, '5'), /Results for no Get: 5/],
    ['CmdIDs that do not count up', GOOD + status(9, '5', 'Delete'), /CmdIDs count from 1/],
    [
      'an order of its own',
      GOOD.replace('<MsgRef>7</MsgRef><CmdRef>3</CmdRef>', '<CmdRef>3</CmdRef><MsgRef>7</MsgRef>'),
      /<Status> contains/,
    ],
    ['a Get of the gateway', `${GOOD}<Get><CmdID>7</CmdID>${ITEM}</Get>`, /<SyncBody> contains/],
    ['something behind Final', `${HEADER}<Final/>${status(2, '3', 'Get')}`, /<SyncBody> contains/],
    ['nothing at all', '', /<SyncBody> contains/],
    ['what is not XML', `${GOOD}<`, /not well-formed/],
  ];
  for (const [what, body, fault] of faults) {
    it(`finds ${what}`, () => assert.throws(() => check(message(1, body)), fault));
  }

  it("finds a message that is longer than the server's MaxMsgSize", () => {
    const answer = message(1, GOOD);
    check(answer, answer.byteLength);
    const longer = message(1, GOOD.replace('<Data>v', `<Data>${'v'.repeat(1024)}`));
    assert.throws(() => check(longer, longer.byteLength - 1), /octets, \d+ are allowed/);
  });
});
